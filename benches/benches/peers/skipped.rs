//! A message in its turn, while the session keeps keys for as many late messages as it ever does. What a client
//! saves after the message is in: the session's bytes, and the skipped keys that came or went. The peer is our
//! own session that keeps none.

use rand_chacha::ChaCha20Rng;
use sottovoce_benches::{medians, rounds, timed};
use sottovoce_crypto::{MAX_FORWARD_JUMP, MAX_SKIPPED_KEYS, Session};

use crate::ours;
use crate::row::Row;

/// `state_bytes` is what has to be saved after the message, and does not grow with the keys that are kept.
pub(crate) fn decrypt() -> Row {
    let rng = &mut ours::rng();
    let (mut alice, mut bob) = ours::established(rng);
    let (mut other_alice, mut other_bob) = ours::established(rng);
    for _ in 0..MAX_FORWARD_JUMP {
        ours::send(&mut alice, rng);
    }
    receive_and_save(&mut alice, &mut bob, rng);
    receive_and_save(&mut other_alice, &mut other_bob, rng);
    assert_eq!(bob.skipped_keys().count(), MAX_SKIPPED_KEYS);
    let message = ours::send(&mut alice, rng);
    ours::receive(&mut bob, &message);
    let sizes = (ours::sizes(&message, &bob), ours::sizes(&message, &other_bob));
    let other_rng = &mut ours::rng();
    Row {
        name: "decrypt_2000_skipped",
        medians_ns: medians(
            rounds(10_000),
            || receive_and_save(&mut alice, &mut bob, rng),
            || receive_and_save(&mut other_alice, &mut other_bob, other_rng),
        ),
        mark: 1.20,
        ours: sizes.0,
        peer: sizes.1,
    }
}

fn receive_and_save(alice: &mut Session, bob: &mut Session, rng: &mut ChaCha20Rng) -> std::time::Duration {
    let message = ours::send(alice, rng);
    timed(|| {
        let decrypted = ours::receive(bob, &message);
        (bob.to_bytes(), decrypted)
    })
    .0
}
