//! A server that lies is found out: nothing it makes up, holds back, repeats or swaps goes unnoticed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_crypto::statements::DeviceId;
use sottovoce_engine::{EventKind, SendFailure, Unreadable};
use sottovoce_proto::v1;
use world::scripted::{Scripted, party_of, words};
use world::{Fate, World, address, pair, unreadable};

/// Sends while the recipient is away, and hands out what lies in the mailbox.
fn held_back(world: &mut World, texts: &[&str]) -> Vec<v1::Envelope> {
    world.disconnect(1);
    for text in texts {
        world.send(0, 1, text, Fate::Done);
        while world.call_next(0, true, Fate::Done) {}
    }
    let bob = world.nodes[1].engine.device_id();
    std::mem::take(world.server.mailbox(bob))
}

#[test]
fn a_repeated_message_is_not_read_twice() {
    let mut world = World::new(10, &["alice", "bob"]);
    // The first one begins the session, the second is sent within it: both repeated under new ids.
    let envelopes = held_back(&mut world, &["one", "two"]);
    let bob = world.nodes[1].engine.device_id();
    for envelope in envelopes.iter().chain(&envelopes) {
        world.server.inject(bob, envelope.clone());
    }
    world.settle();
    assert_eq!(world.texts(1), ["one", "two"]);
    assert_eq!(unreadable(&world, 1), [Unreadable::NotAuthentic; 2]);
}

#[test]
fn a_message_held_back_is_missed() {
    let mut world = pair(12);
    let envelopes = held_back(&mut world, &["one", "two", "three"]);
    let bob = world.nodes[1].engine.device_id();
    world.server.inject(bob, envelopes[0].clone());
    world.server.inject(bob, envelopes[2].clone());
    world.settle();
    assert_eq!(world.texts(1), ["first", "one", "three"]);
    assert!(matches!(
        world.complaints(1)[..],
        [EventKind::MessagesMissing { count: 1, .. }]
    ));

    world.server.inject(bob, envelopes[1].clone());
    world.settle();
    let last = *world.received(1).last().expect("four messages");
    assert_eq!((last.text(), last.late), (Some("two"), true));
}

#[test]
fn a_message_given_another_sender_is_not_believed() {
    let mut world = World::new(13, &["alice", "bob", "carol"]);
    let carol = world.nodes[2].engine.device_id();
    let mut envelopes = held_back(&mut world, &["from alice"]);
    envelopes[0].sender = address("carol").to_string();
    envelopes[0].sender_device_id = carol.as_bytes().to_vec();
    let bob = world.nodes[1].engine.device_id();
    world.server.inject(bob, envelopes[0].clone());
    world.settle();
    assert!(world.texts(1).is_empty());
    assert_eq!(unreadable(&world, 1), [Unreadable::NotAuthentic]);
    assert_eq!(world.nodes[1].engine.trusted_account_key(&address("carol")), None);
}

#[test]
fn damage_and_nonsense_change_nothing() {
    let mut world = pair(14);
    let envelopes = held_back(&mut world, &["genuine"]);
    let bob = world.nodes[1].engine.device_id();
    for position in [0, 1, 5, 40, envelopes[0].ciphertext.len() - 1] {
        let mut damaged = envelopes[0].clone();
        damaged.ciphertext[position] ^= 1;
        world.server.inject(bob, damaged);
    }
    for nonsense in [
        v1::Envelope::default(),
        v1::Envelope {
            sender: "x".repeat(100_000),
            ..envelopes[0].clone()
        },
        v1::Envelope {
            sender: "nobody@chat.example".into(),
            ..envelopes[0].clone()
        },
        v1::Envelope {
            sender_device_id: vec![1; 16],
            ..envelopes[0].clone()
        },
        v1::Envelope {
            sender_device_id: vec![1; 3],
            ..envelopes[0].clone()
        },
        v1::Envelope {
            ciphertext: vec![0; 100_000],
            ..envelopes[0].clone()
        },
    ] {
        world.server.inject(bob, nonsense);
    }
    world.server.inject(bob, envelopes[0].clone());
    world.settle();
    assert_eq!(world.texts(1), ["first", "genuine"]);
    assert_eq!(unreadable(&world, 1).len(), 11);
    assert!(
        world.server.mailbox(bob).is_empty(),
        "what cannot be read does not block the mailbox"
    );
}

#[test]
fn prekeys_signed_by_another_device_are_not_used() {
    let mut world = World::new(31, &["alice", "bob", "carol"]);
    let (bob, carol) = (
        world.nodes[1].engine.device_id(),
        world.nodes[2].engine.device_id(),
    );
    let others = world.server.devices[&carol].signed_prekey.clone();
    world
        .server
        .devices
        .get_mut(&bob)
        .expect("registered")
        .signed_prekey = others;
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
fn a_message_from_oneself_is_not_believed() {
    let mut world = World::new(60, &["alice"]);
    let alice = party_of(&world, "alice");
    let mut impostor = Scripted::new(61, "alice", &[DeviceId::from_bytes([0xee; 16])]);
    let mut session = impostor.begin(&mut world, &alice, true);
    impostor.show(&mut world, &impostor.manifest(1, [0; 32], &[0]));
    let note = words(&world, &alice.address, &alice.address, 1, "note to self");
    impostor.deliver(&mut world, &alice, &mut session, &note);
    world.settle();
    assert!(world.texts(0).is_empty());
    assert_eq!(unreadable(&world, 0), [Unreadable::UnknownDevice]);
}
