//! Invariant: no secret is left in memory that we own after its use.
//!
//! Whole conversations are run twice, alike to the byte. The first run learns their secrets: everything that
//! is drawn, every plaintext, what stored states hold, and what the specification derives from these, computed
//! here once more. In the second, every block of the heap that is freed or moved is searched for them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod accounts;
mod people;
mod schedule;
mod script;
mod sealed;
mod sender_keys;
mod state;

use people::{Device, Way};
use schedule::hmac;
use script::Script;
use sottovoce_crypto::{StorageKey, Suite};
use sottovoce_erasure::{Secrets, WatchingAllocator, watch};

#[global_allocator]
static ALLOCATOR: WatchingAllocator = WatchingAllocator;

#[test]
fn no_secret_is_left_in_freed_memory() {
    let mut learning = Script::new(Some(Secrets::default()));
    play(&mut learning);
    let secrets = learning.notes.take().unwrap();
    assert!(secrets.count() > 10_000, "{secrets:?}");

    let findings = watch(secrets, || play(&mut Script::new(None)));
    for (found, stack) in &findings.found {
        eprintln!("{found:?}\n{stack}");
    }
    assert!(findings.found.is_empty(), "secrets in freed memory, see above");
    assert!(findings.blocks > 10_000, "{} blocks", findings.blocks);
    // Argon2id's 64 MiB, whose contents nobody else can tell, are freed as zeros.
    assert!(findings.largest_used < 1 << 20, "{} bytes", findings.largest_used);
}

fn play(script: &mut Script) {
    storage(script);
    sealed::attachment(script);
    accounts::account(script);
    for suite in [Suite::Pqxdh, Suite::X3dh] {
        for one_time in [true, false] {
            conversation(script, Way { suite, one_time });
        }
    }
}

/// Storage keys: drawn, stretched from a passphrase, taken from bytes.
fn storage(script: &mut Script) {
    const PASSPHRASE: &[u8] = b"correct horse battery staple, and more";
    let drawn = StorageKey::generate(&mut script.rng);
    let stretched = StorageKey::from_passphrase(PASSPHRASE, &[7; 16]).unwrap();
    script.drawn();
    if script.notes.is_some() {
        script.note("passphrase", PASSPHRASE);
        for key in [&drawn, &stretched] {
            let key = key.to_bytes();
            script.note("storage key", key.as_slice());
            for label in ["seal", "blind"] {
                let derived = hmac(key.as_slice(), &[b"Sottovoce-v1 storage ", label.as_bytes()]);
                script.note(label, &derived);
            }
        }
    }
    assert_ne!(drawn.blind(b"label"), stretched.blind(b"label"));
    script.storage = Some(StorageKey::from_bytes(*stretched.to_bytes()));
}

fn conversation(script: &mut Script, way: Way) {
    // On the heap, where what they hold by value is freed as well.
    let alice = Box::new(Device::new(script, "alice@one.example", 1));
    let bob = Box::new(Device::new(script, "bob@two.example", 2));
    sealed::envelope(script, &alice, &bob);
    sender_keys::channel(script, &alice);
    let mut alices = alice.begin(script, &bob, way);

    // The third of Alice's messages comes first; the first comes after both ends were stored.
    let [first, second, third] = [(); 3].map(|()| script.write(&mut alices));
    let mut bobs = bob.accept(script, &alice, &alices, &third);
    script.restore(&mut alices);
    script.restore(&mut bobs);
    script.read(&mut bobs, &first);

    // Bob's answers overtake each other, across a turn; one stays away for good.
    let [lost, late, early] = [(); 3].map(|()| script.write(&mut bobs));
    script.read(&mut alices, &early);
    script.round_trip(&mut alices, &mut bobs);
    script.restore(&mut alices);
    script.read(&mut alices, &late);
    script.read(&mut bobs, &second);

    // In PQXDH, KEM exchanges fall due by count, and by age; their states are stored half way.
    for _ in 0..28 {
        script.round_trip(&mut alices, &mut bobs);
    }
    for _ in 0..2 {
        script.wait(8 * 24);
        let offer = script.write(&mut alices);
        script.restore(&mut alices);
        script.read(&mut bobs, &offer);
        script.restore(&mut bobs);
        let answer = script.write(&mut bobs);
        script.restore(&mut bobs);
        script.read(&mut alices, &answer);
        script.round_trip(&mut alices, &mut bobs);
    }
    // Its key has grown too old.
    script.refused(&mut alices, &lost.bytes);
    assert!(alices.kept.is_empty());

    // A session may end with keys still put away, and with an offer unanswered.
    script.wait(8 * 24);
    let [_, _, last] = [(); 3].map(|()| script.write(&mut alices));
    script.read(&mut bobs, &last);
    assert_eq!(bobs.kept.len(), 2);
}
