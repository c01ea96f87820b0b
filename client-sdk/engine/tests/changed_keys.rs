//! Another account key under a known address: nothing is lost, nothing is believed, and the user decides.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_crypto::statements::{AccountKey, DeviceId};
use sottovoce_engine::{Engine, EventKind, Input, InputError, Unreadable};
use sottovoce_proto::v1;
use world::scripted::{Scripted, party_of, words};
use world::{Fate, World, address, pair, unreadable};

/// Alice knows Bob; then the server shows another account for his address, with a device of its own, and
/// Alice has tried to write to it.
fn with_a_changed_key(seed: u64) -> (World, Scripted, v1::GetAccountResponse) {
    let mut world = pair(seed);
    let truth = world.server.accounts[&address("bob").to_string()].clone();
    let mut impostor = Scripted::new(99, "bob", &[DeviceId::from_bytes([0xee; 16])]);
    impostor.show(&mut world, &impostor.manifest(1, [0; 32], &[0]));
    let real = world.nodes[1].engine.device_id();
    world.server.devices.get_mut(&real).expect("registered").address = "hidden@chat.example".into();
    impostor.serve(&mut world, &[0]);
    world.send(0, 1, "for the real bob only", Fate::Done);
    world.settle();
    (world, impostor, truth)
}

/// The server tells the truth about Bob again.
fn tell_the_truth(world: &mut World, impostor: &Scripted, truth: v1::GetAccountResponse) {
    let real = world.nodes[1].engine.device_id();
    world.server.devices.remove(&impostor.devices[0].0);
    world.server.devices.get_mut(&real).expect("registered").address = address("bob").to_string();
    world.server.accounts.insert(address("bob").to_string(), truth);
}

#[test]
fn nothing_goes_to_another_account_key_until_it_is_accepted() {
    let (mut world, impostor, _) = with_a_changed_key(15);
    let account_key = impostor.account.public();
    let changed = EventKind::AccountKeyChanged {
        address: address("bob"),
        account_key,
    };
    assert_eq!(world.complaints(0), [&changed]);

    // A restart forgets nothing, and another key than the one shown is not accepted by accident.
    world.restart(0);
    let wrong = world.nodes[0].engine.account_key();
    for input in [
        Input::AcceptAccountKey {
            address: address("bob"),
            account_key: wrong,
        },
        Input::RejectAccountKey {
            address: address("bob"),
            account_key: wrong,
        },
        Input::AcceptAccountKey {
            address: address("nobody"),
            account_key,
        },
    ] {
        let refused = world.nodes[0].engine.handle(world.now, &mut world.rng, input);
        assert_eq!(
            refused.expect_err("it is not the key shown"),
            InputError::NoSuchAccountKey
        );
    }
    world.settle();
    assert!(world.server.mailbox(impostor.devices[0].0).is_empty());
    let trusted = world.nodes[0].engine.trusted_account_key(&address("bob"));
    assert_eq!(trusted, Some(world.nodes[1].engine.account_key()));
}

#[test]
fn a_lie_about_an_account_key_ends_when_the_truth_is_shown() {
    let (mut world, impostor, truth) = with_a_changed_key(16);
    tell_the_truth(&mut world, &impostor, truth);
    world.now += 600_000;
    world.input(0, Input::Tick);
    world.settle();
    assert_eq!(world.texts(1), ["first", "for the real bob only"]);
    let told = world.complaints(0);
    assert!(matches!(
        told[..],
        [
            EventKind::AccountKeyChanged { .. },
            EventKind::ManifestConflict { .. }
        ]
    ));
}

#[test]
fn a_rejected_key_is_forgotten_and_told_again_when_shown_again() {
    let (mut world, impostor, truth) = with_a_changed_key(18);
    let account_key = impostor.account.public();
    world.input(
        0,
        Input::RejectAccountKey {
            address: address("bob"),
            account_key,
        },
    );
    world.settle();
    assert_eq!(
        world.complaints(0).len(),
        2,
        "the server goes on showing it: {:?}",
        world.complaints(0)
    );
    tell_the_truth(&mut world, &impostor, truth);
    world.input(
        0,
        Input::RejectAccountKey {
            address: address("bob"),
            account_key,
        },
    );
    world.settle();
    assert_eq!(world.texts(1), ["first", "for the real bob only"]);
}

#[test]
fn messages_under_a_key_not_accepted_hold_up_nobody_else() {
    let (mut world, mut impostor, _) = with_a_changed_key(19);
    let alice = party_of(&world, "alice");
    let mut session = impostor.begin(&mut world, &alice, true);
    for number in 1..=40 {
        let plaintext = words(&world, &address("bob"), &alice.address, number, "believe me");
        impostor.deliver(&mut world, &alice, &mut session, &plaintext);
    }
    world.settle();
    assert_eq!(
        unreadable(&world, 0),
        [Unreadable::KeyNotAccepted; 8],
        "32 are held"
    );
    assert_eq!(
        world.server.mailbox(alice.device_id).len(),
        32,
        "held ones are not acknowledged"
    );
    let real = world.nodes[1].engine.device_id();
    world.server.devices.get_mut(&real).expect("registered").address = address("bob").to_string();
    world.send(1, 0, "from the device you know", Fate::Done);
    world.settle();
    assert_eq!(world.texts(0), ["back", "from the device you know"]);

    let account_key = impostor.account.public();
    world.input(
        0,
        Input::AcceptAccountKey {
            address: address("bob"),
            account_key,
        },
    );
    world.settle();
    assert_eq!(world.texts(0).len(), 2 + 32, "once accepted they are opened");
    assert!(world.server.mailbox(alice.device_id).is_empty());
}

#[test]
fn a_proposed_key_is_kept_whole_and_verified_again() {
    let (mut world, impostor, _) = with_a_changed_key(20);
    let key = format!("peer/{}", address("bob"));
    let disk = world.disk(0);
    let record = disk.get(&key).expect("Bob is known").clone();
    let binding = world.server.accounts[&address("bob").to_string()].bindings[0].clone();
    let places = [binding.statement, binding.signature].map(|part| {
        let place = record.windows(part.len()).position(|bytes| bytes == part);
        place.expect("the proposed account's binding is kept")
    });
    for place in places {
        let mut damaged = record.clone();
        damaged[place + 40] ^= 1;
        let mut disk = disk.clone();
        disk.insert(key.clone(), damaged);
        assert!(Engine::load(disk).is_err(), "40 bytes after {place}");
    }
    let mut strayed = disk.clone();
    strayed.remove(&key);
    strayed.insert(format!("peer/{}", address("carol")), record);
    assert!(Engine::load(strayed).is_err(), "it is about another address");

    world.restart(0);
    let account_key = impostor.account.public();
    world.input(
        0,
        Input::AcceptAccountKey {
            address: address("bob"),
            account_key,
        },
    );
    world.restart(0);
    let trusted = world.nodes[0].engine.trusted_account_key(&address("bob"));
    assert_eq!(trusted, Some(account_key));
}

/// Bob really begins anew: another account, on another device, under the same address.
fn bob_begins_anew(world: &mut World) -> AccountKey {
    let mut fresh = World::new(18, &["bob"]);
    std::mem::swap(&mut world.nodes[1], &mut fresh.nodes[0]);
    for (id, device) in std::mem::take(&mut world.server.devices) {
        if device.address != address("bob").to_string() {
            world.server.devices.insert(id, device);
        }
    }
    let new_account = fresh
        .server
        .accounts
        .remove(&address("bob").to_string())
        .expect("registered");
    world
        .server
        .accounts
        .insert(address("bob").to_string(), new_account);
    world
        .server
        .devices
        .extend(std::mem::take(&mut fresh.server.devices));
    world.nodes[1].engine.account_key()
}

#[test]
fn an_accepted_key_lets_messages_flow_again() {
    let mut world = pair(17);
    let account_key = bob_begins_anew(&mut world);
    world.send(0, 1, "are you there?", Fate::Done);
    world.settle();
    assert!(world.texts(1).is_empty());
    world.input(
        0,
        Input::AcceptAccountKey {
            address: address("bob"),
            account_key,
        },
    );
    world.settle();
    assert_eq!(world.texts(1), ["are you there?"]);
}

#[test]
fn a_message_taken_before_an_acceptance_goes_to_the_new_account_too() {
    let mut world = pair(21);
    world.send(0, 1, "once", Fate::Done);
    let (_, request) = world.take_call(0);
    let alice = world.nodes[0].engine.device_id();
    world
        .server
        .call(alice, world.now, request)
        .expect("the server takes it for the old account; its answer is lost");
    let account_key = bob_begins_anew(&mut world);
    let device_id = world.nodes[1].engine.device_id();
    let unknown =
        Scripted::new(1, "bob", &[device_id]).envelope(world.server.taken[0].messages[0].ciphertext.clone());
    world.server.inject(alice, unknown);
    world.deliver_next(0, Fate::Done);
    world.call_next(0, true, Fate::Done);
    world.input(
        0,
        Input::AcceptAccountKey {
            address: address("bob"),
            account_key,
        },
    );
    world.settle();
    assert_eq!(world.texts(1), ["once"]);
    let failed = |kind: &&EventKind| matches!(kind, EventKind::MessageFailed { .. });
    assert!(
        !world.complaints(0).iter().any(failed),
        "{:?}",
        world.complaints(0)
    );
}

#[test]
fn a_message_taken_before_a_rejection_is_not_told_as_failed() {
    let mut world = pair(20);
    world.send(0, 1, "once", Fate::Done);
    let (_, request) = world.take_call(0);
    let alice = world.nodes[0].engine.device_id();
    world
        .server
        .call(alice, world.now, request)
        .expect("the server takes it; its answer is lost");

    let truth = world.server.accounts[&address("bob").to_string()].clone();
    let impostor = Scripted::new(99, "bob", &[DeviceId::from_bytes([0xee; 16])]);
    impostor.show(&mut world, &impostor.manifest(1, [0; 32], &[0]));
    let unknown = impostor.envelope(world.server.taken[0].messages[0].ciphertext.clone());
    world.server.inject(alice, unknown);
    world.deliver_next(0, Fate::Done);
    world.call_next(0, true, Fate::Done);
    world.server.accounts.insert(address("bob").to_string(), truth);
    let account_key = impostor.account.public();
    world.input(
        0,
        Input::RejectAccountKey {
            address: address("bob"),
            account_key,
        },
    );
    world.settle();
    assert_eq!(world.texts(1), ["first", "once"]);
    let failed = |kind: &&EventKind| matches!(kind, EventKind::MessageFailed { .. });
    assert!(
        !world.complaints(0).iter().any(failed),
        "{:?}",
        world.complaints(0)
    );
}
