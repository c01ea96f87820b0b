//! Sessions withstand a quantum computer, or there is none: KEM prekeys are used as they should be, and
//! nothing makes an engine do without.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_crypto::statements::DeviceId;
use sottovoce_crypto::{InitialMessage, SessionMessage, Suite};
use sottovoce_engine::{EventKind, Input, Reply, SendFailure, Unreadable};
use world::model_server::{Device, kem_prekey_id};
use world::scripted::{Scripted, party_of, words};
use world::{Fate, World, address, unreadable};

/// The handshake that the last message the server took begins with.
fn last_handshake(world: &World) -> InitialMessage {
    let taken = world.server.taken.last().expect("something was sent");
    match SessionMessage::decode(&taken.messages[0].ciphertext).expect("well-formed") {
        SessionMessage::Initial(initial) => initial,
        SessionMessage::Ratchet(_) => panic!("no initial message"),
    }
}

fn device_of<'a>(world: &'a mut World, name: &str) -> &'a mut Device {
    let device_id = party_of(world, name).device_id;
    world.server.devices.get_mut(&device_id).expect("registered")
}

fn kept(world: &World, node: usize, what: &str) -> usize {
    world
        .disk(node)
        .keys()
        .filter(|key| key.starts_with(what))
        .count()
}

/// Mallory, whom the server shows, and who knows no engine's manners.
fn mallory(world: &mut World) -> Scripted {
    let mallory = Scripted::new(31, "mallory", &[DeviceId::from_bytes([0xee; 16])]);
    mallory.show(world, &mallory.manifest(1, [0; 32], &[0]));
    mallory
}

#[test]
fn a_session_is_begun_by_pqxdh_with_one_time_prekeys_of_both_kinds() {
    let mut world = World::new(1, &["alice", "bob"]);
    let first = kem_prekey_id(&device_of(&mut world, "bob").one_time_kem[0]);
    world.send(0, 1, "hello", Fate::Done);
    world.settle();
    let handshake = last_handshake(&world);
    assert_eq!(handshake.suite(), Suite::Pqxdh);
    assert_eq!(handshake.kem_prekey_id(), Some(first));
    assert!(handshake.one_time_prekey_id().is_some());
    world.send(1, 0, "and back", Fate::Done);
    world.settle();
    assert_eq!(
        (world.texts(0), world.texts(1)),
        (vec!["and back"], vec!["hello"])
    );
    assert_eq!(
        kept(&world, 1, "one-time-kem-prekey/"),
        49,
        "one was used, and erased"
    );
    assert_eq!(kept(&world, 1, "initial/"), 0, "there is nothing to replay");
}

#[test]
fn a_one_time_kem_prekey_is_good_for_one_session() {
    let mut world = World::new(2, &["bob"]);
    let bob = party_of(&world, "bob");
    let mut mallory = mallory(&mut world);
    let again = device_of(&mut world, "bob").one_time_kem[0].clone();
    for number in 0..2_u64 {
        let device = device_of(&mut world, "bob");
        device.one_time.clear();
        device.one_time_kem.insert(0, again.clone());
        let mut session = mallory.begin(&mut world, &bob, true);
        let said = number.to_string();
        let plaintext = words(&world, &mallory.address, &bob.address, number + 1, &said);
        mallory.deliver(&mut world, &bob, &mut session, &plaintext);
        world.settle();
    }
    assert_eq!(world.texts(0), ["0"]);
    assert_eq!(unreadable(&world, 0), [Unreadable::NotAuthentic]);
    let key = format!("one-time-kem-prekey/{}", kem_prekey_id(&again));
    assert!(!world.disk(0).contains_key(&key), "its secret is erased");
    assert_eq!(kept(&world, 0, "initial/"), 0, "which is what stops the replay");
}

#[test]
fn the_last_resort_serves_when_no_one_time_kem_prekey_is_left() {
    for (seed, one_time, remembered) in [(3, true, 0), (4, false, 1)] {
        let mut world = World::new(seed, &["alice", "bob"]);
        let device = device_of(&mut world, "bob");
        device.one_time_kem.clear();
        if !one_time {
            device.one_time.clear();
        }
        let last_resort = kem_prekey_id(device.last_resort_kem.as_ref().expect("published"));
        world.send(0, 1, "hello", Fate::Done);
        world.settle();
        assert_eq!(world.texts(1), ["hello"]);
        assert_eq!(last_handshake(&world).kem_prekey_id(), Some(last_resort));
        assert_eq!(
            kept(&world, 1, "last-resort-kem-prekey/"),
            1,
            "it serves others too"
        );
        // Either one-time prekey makes the handshake single-use by being erased.
        assert_eq!(
            kept(&world, 1, "initial/"),
            remembered,
            "one-time prekey: {one_time}"
        );
        assert_eq!(
            device_of(&mut world, "bob").one_time_kem.len(),
            50,
            "stocked again"
        );
    }
}

#[test]
fn a_kem_prekey_is_erased_only_when_a_first_message_authenticates() {
    let mut world = World::new(5, &["alice", "bob"]);
    let first = kem_prekey_id(&device_of(&mut world, "bob").one_time_kem[0]);
    let key = format!("one-time-kem-prekey/{first}");
    world.disconnect(1);
    world.send(0, 1, "hello", Fate::Done);
    while world.call_next(0, true, Fate::Done) {}
    let bob = party_of(&world, "bob").device_id;
    let mut damaged = world.server.mailbox(bob)[0].clone();
    *damaged.ciphertext.last_mut().expect("not empty") ^= 1;
    world.server.mailbox(bob).clear();
    world.server.inject(bob, damaged);
    world.settle();
    assert_eq!(unreadable(&world, 1), [Unreadable::NotAuthentic]);
    assert!(world.disk(1).contains_key(&key), "a forgery uses nothing up");

    let genuine = world.server.taken[0].messages[0].ciphertext.clone();
    let alice = Scripted::new(6, "alice", &[party_of(&world, "alice").device_id]);
    world.server.inject(bob, alice.envelope(genuine));
    world.settle();
    assert_eq!(world.texts(1), ["hello"]);
    assert!(!world.disk(1).contains_key(&key));
}

#[test]
fn a_bundle_stripped_of_its_kem_prekey_is_refused() {
    let mut world = World::new(7, &["alice", "bob"]);
    world.send(0, 1, "for nobody to keep until they can read it", Fate::Done);
    world.call_next(0, true, Fate::Done);
    let (call, request) = world.take_call(0);
    let alice = world.nodes[0].engine.device_id();
    let answer = world.server.call(alice, world.now, request);
    let Ok(Reply::Bundles(mut response)) = answer else {
        panic!("bundles were asked for");
    };
    response.bundles[0].kem_prekey = None;
    let answer = Ok(Reply::Bundles(response));
    world.input(0, Input::Answered { call, answer });
    world.settle();
    assert!(world.server.taken.is_empty());
    assert_eq!(kept(&world, 0, "session/"), 0);
    assert!(matches!(
        world.complaints(0)[..],
        [EventKind::MessageFailed {
            reason: SendFailure::Downgraded,
            ..
        }]
    ));
    world.send(0, 1, "when the server is honest", Fate::Done);
    world.settle();
    assert_eq!(world.texts(1), ["when the server is honest"]);
}

#[test]
fn a_kem_prekey_of_another_device_is_not_used() {
    let mut world = World::new(8, &["alice", "bob", "carol"]);
    let others = device_of(&mut world, "carol").one_time_kem[0].clone();
    device_of(&mut world, "bob").one_time_kem.insert(0, others);
    world.send(0, 1, "for bob", Fate::Done);
    world.settle();
    assert!(world.server.taken.is_empty());
    assert!(matches!(
        world.complaints(0)[..],
        [EventKind::MessageFailed {
            reason: SendFailure::RecipientNotVerified,
            ..
        }]
    ));
}

#[test]
fn a_session_begun_by_plain_x3dh_is_refused() {
    let mut world = World::new(9, &["bob"]);
    let bob = party_of(&world, "bob");
    let mut mallory = mallory(&mut world);
    let one_time = kept(&world, 0, "one-time-prekey/");
    let mut session = mallory.begin_x3dh(&mut world, &bob);
    let plaintext = words(&world, &mallory.address, &bob.address, 1, "let us be classical");
    mallory.deliver(&mut world, &bob, &mut session, &plaintext);
    world.settle();
    assert!(world.texts(0).is_empty());
    assert_eq!(unreadable(&world, 0), [Unreadable::Downgraded]);
    assert_eq!(kept(&world, 0, "session/"), 0);
    assert_eq!(
        kept(&world, 0, "one-time-prekey/"),
        one_time,
        "and uses nothing up"
    );
    assert_eq!(
        world.nodes[0].engine.trusted_account_key(&address("mallory")),
        None
    );
}

#[test]
fn a_handshake_is_remembered_no_longer_than_the_prekeys_it_used() {
    const DAY: u64 = 86_400_000;
    let mut world = World::new(10, &["bob"]);
    let bob = party_of(&world, "bob");
    let mut mallory = mallory(&mut world);
    let mut session = mallory.begin(&mut world, &bob, false);
    let plaintext = words(&world, &mallory.address, &bob.address, 1, "hello");
    mallory.deliver(&mut world, &bob, &mut session, &plaintext);
    world.settle();
    for (days, remembered) in [(8, 1), (29, 1), (2, 0)] {
        world.now += days * DAY;
        world.input(0, Input::Tick);
        world.settle();
        world.restart(0);
        world.settle();
        assert_eq!(kept(&world, 0, "initial/"), remembered);
    }
}
