//! What the server shows of accounts is believed only where it verifies and follows from what was seen.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_crypto::statements::{DeviceId, DeviceManifest, Verified};
use sottovoce_engine::{Engine, EventKind, Input, SendFailure};
use sottovoce_proto::v1;
use world::scripted::{Scripted, party_of, words};
use world::{Fate, World, address};

#[test]
fn going_back_to_a_former_key_does_not_bring_back_an_older_list() {
    let (mut world, mut bob) = with_scripted_bob(65);
    bob.show(&mut world, &second(&bob));
    bob.serve(&mut world, &[0, 1]);
    world.send_to(0, &bob.address, "to version 2");
    world.settle();
    let mut other = Scripted::new(66, "bob", &[DeviceId::from_bytes([0xee; 16])]);
    other.show(&mut world, &other.manifest(1, [0; 32], &[0]));
    other.serve(&mut world, &[0]);
    world.send_to(0, &bob.address, "to the other account");
    world.settle();
    let account_key = other.account.public();
    world.input(
        0,
        Input::AcceptAccountKey {
            address: bob.address.clone(),
            account_key,
        },
    );
    world.settle();
    assert_eq!(world.server.taken.len(), 2);

    bob.show(&mut world, &bob.manifest(1, [0; 32], &[0]));
    bob.serve(&mut world, &[0]);
    world.restart(0);
    world.send_to(0, &bob.address, "to version 1");
    world.settle();
    assert_eq!(world.server.taken.len(), 2);
    assert!(
        matches!(world.complaints(0)[1], EventKind::ManifestConflict { .. }),
        "{:?}",
        world.complaints(0)
    );
}

#[test]
fn an_own_account_that_does_not_hold_together_is_not_loaded() {
    let world = World::new(67, &["alice"]);
    let shown = world.server.accounts[&address("alice").to_string()].clone();
    let parts = [shown.manifest.expect("it has one"), shown.bindings[0].clone()];
    let disk = world.disk(0);
    assert!(Engine::load(disk.clone()).is_ok());
    for part in parts
        .into_iter()
        .flat_map(|part| [part.statement, part.signature])
    {
        let mut own = disk["own"].clone();
        let place = own.windows(part.len()).position(|bytes| bytes == part);
        own[place.expect("it is kept") + 40] ^= 1;
        let mut disk = disk.clone();
        disk.insert("own".into(), own);
        assert!(Engine::load(disk).is_err(), "{part:?}");
    }
}

#[test]
fn an_unverifiable_account_is_not_written_to() {
    type Lie = fn(&mut v1::GetAccountResponse);
    let lies: [Lie; 5] = [
        |account| account.bindings.clear(),
        |account| account.account_key = vec![7; 31],
        |account| account.manifest.as_mut().expect("it has one").signature[3] ^= 1,
        |account| account.bindings[0].signature[3] ^= 1,
        |account| account.manifest = None,
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let mut world = World::new(20 + number as u64, &["alice", "bob"]);
        lie(world
            .server
            .accounts
            .get_mut(&address("bob").to_string())
            .expect("registered"));
        world.send(0, 1, "hello", Fate::Done);
        world.settle();
        assert!(world.server.taken.is_empty(), "lie {number}");
        assert!(
            world.complaints(0).iter().any(|kind| matches!(
                kind,
                EventKind::MessageFailed {
                    reason: SendFailure::RecipientNotVerified,
                    ..
                }
            )),
            "lie {number}"
        );
    }
}

#[test]
fn an_account_shown_under_another_name_is_not_believed() {
    let mut world = World::new(30, &["alice", "bob", "carol"]);
    let carol = world.server.accounts[&address("carol").to_string()].clone();
    world.server.accounts.insert(address("bob").to_string(), carol);
    world.send(0, 1, "for bob", Fate::Done);
    world.settle();
    assert!(world.server.taken.is_empty());
}

#[test]
fn a_message_to_nobody_fails_with_a_reason() {
    let mut world = World::new(32, &["alice", "bob"]);
    world.server.accounts.remove(&address("bob").to_string());
    world.send(0, 1, "hello?", Fate::Done);
    world.settle();
    assert!(matches!(
        world.complaints(0)[..],
        [EventKind::MessageFailed {
            reason: SendFailure::NoSuchAccount,
            ..
        }]
    ));
}

/// Alice, and a Bob with three devices who shows whatever list of them he likes.
fn with_scripted_bob(seed: u64) -> (World, Scripted) {
    let mut world = World::new(seed, &["alice"]);
    let devices: Vec<_> = (1..=3).map(|number| DeviceId::from_bytes([number; 16])).collect();
    let mut bob = Scripted::new(1_000 + seed, "bob", &devices);
    bob.show(&mut world, &bob.manifest(1, [0; 32], &[0]));
    bob.serve(&mut world, &[0]);
    (world, bob)
}

/// Version 2 of Bob's list, as it follows from version 1.
fn second(bob: &Scripted) -> Verified<DeviceManifest> {
    bob.manifest(2, bob.manifest(1, [0; 32], &[0]).hash(), &[0, 1])
}

#[test]
fn a_new_device_is_written_to_as_well() {
    let (mut world, mut bob) = with_scripted_bob(40);
    world.send_to(0, &bob.address, "one");
    world.settle();
    bob.show(&mut world, &second(&bob));
    bob.serve(&mut world, &[0, 1]);
    world.send_to(0, &bob.address, "two");
    world.settle();
    let devices: Vec<_> = world
        .server
        .taken
        .iter()
        .map(|request| request.messages.len())
        .collect();
    assert_eq!(devices, [1, 2]);
    assert!(world.complaints(0).is_empty());
}

#[test]
fn an_older_or_contradicting_manifest_is_not_believed() {
    let (_, bob) = with_scripted_bob(0);
    // What the server shows after version 2, with devices 0 and 1, was seen.
    let lies: [(u64, [u8; 32], &[usize]); 3] = [
        (1, [0; 32], &[0]),
        (2, bob.manifest(1, [0; 32], &[0]).hash(), &[0, 2]),
        (3, [9; 32], &[0, 2]),
    ];
    for (number, (version, previous, devices)) in lies.into_iter().enumerate() {
        let (mut world, mut bob) = with_scripted_bob(50 + number as u64);
        bob.show(&mut world, &second(&bob));
        bob.serve(&mut world, &[0, 1]);
        world.send_to(0, &bob.address, "one");
        world.settle();
        bob.show(&mut world, &bob.manifest(version, previous, devices));
        bob.serve(&mut world, devices);
        world.send_to(0, &bob.address, "two");
        world.settle();
        assert_eq!(world.server.taken.len(), 1, "lie {number}");
        let conflict = |kind: &&EventKind| matches!(kind, EventKind::ManifestConflict { .. });
        assert!(world.complaints(0).iter().any(conflict), "lie {number}");
    }
}

#[test]
fn a_withheld_manifest_is_told_of() {
    let (mut world, mut bob) = with_scripted_bob(62);
    let alice = party_of(&world, "alice");
    let mut session = bob.begin(&mut world, &alice, true);
    // What Bob says speaks of version 2; what the server shows stays version 1.
    bob.show(&mut world, &second(&bob));
    let newer = words(&world, &bob.address, &alice.address, 1, "I have a new phone");
    bob.show(&mut world, &bob.manifest(1, [0; 32], &[0]));
    bob.deliver(&mut world, &alice, &mut session, &newer);
    world.settle();
    assert_eq!(world.texts(0), ["I have a new phone"]);
    assert!(matches!(
        world.complaints(0)[..],
        [EventKind::ManifestConflict { .. }]
    ));
}

#[test]
fn a_contradiction_told_by_a_peer_is_told_once() {
    let (mut world, mut bob) = with_scripted_bob(63);
    let alice = party_of(&world, "alice");
    let mut session = bob.begin(&mut world, &alice, true);
    // Bob has seen another first manifest of Alice than she has made.
    let truth = world.server.accounts[&alice.address.to_string()].clone();
    let other = Scripted::new(64, "alice", &[DeviceId::from_bytes([0xee; 16])]);
    other.show(&mut world, &other.manifest(1, [0; 32], &[0]));
    let said: Vec<_> = (1..=3)
        .map(|n| words(&world, &bob.address, &alice.address, n, &n.to_string()))
        .collect();
    world.server.accounts.insert(alice.address.to_string(), truth);
    for plaintext in said {
        bob.deliver(&mut world, &alice, &mut session, &plaintext);
    }
    world.settle();
    assert_eq!(world.texts(0), ["1", "2", "3"]);
    let disputed = EventKind::ManifestDisputed {
        address: alice.address,
        by: bob.address,
    };
    assert_eq!(world.complaints(0), [&disputed]);
}
