//! Nothing that comes from the network grows without bound, and an app that does not listen is told so.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_engine::{Body, Call, Input, InputError, Unreadable};
use sottovoce_proto::v1;
use world::scripted::party_of;
use world::{Fate, World, address, pair, unreadable};

#[test]
fn acknowledgements_go_in_batches_one_call_at_a_time() {
    let mut world = World::new(1, &["alice", "bob"]);
    world.disconnect(1);
    for number in 0..120 {
        world.send(0, 1, &number.to_string(), Fate::Done);
        while world.call_next(0, true, Fate::Done) {}
    }
    world.connect(1);
    while world.call_next(1, true, Fate::Done) {}
    // Everything is delivered before a single call is answered; then everything again.
    while world.deliver_next(1, Fate::Done) {}
    while world.call_next(1, true, Fate::Done) {}
    let bob = party_of(&world, "bob").device_id;
    let delivered = world.texts(1).len();
    let again: Vec<_> = world.server.mailbox(bob).clone();
    let mut calls = Vec::new();
    for envelope in again.iter().cycle().take(2_000) {
        let input = Input::Delivered(envelope.clone());
        let outputs = world.nodes[1]
            .engine
            .handle(world.now, &mut world.rng, input)
            .expect("taken");
        calls.extend(outputs.calls);
    }
    let acknowledging = calls
        .iter()
        .filter(|(_, call)| matches!(call, Call::Acknowledge(_)))
        .count();
    assert!(acknowledging <= 1, "{acknowledging} calls at once");
    world.settle();
    assert_eq!(world.texts(1).len(), 120, "{delivered} at first");
    assert!(world.server.mailbox(bob).is_empty());
}

#[test]
fn a_refused_acknowledgement_is_made_again_later_and_not_in_a_loop() {
    let mut world = World::new(2, &["alice", "bob"]);
    world.disconnect(1);
    world.send(0, 1, "hello", Fate::Done);
    while world.call_next(0, true, Fate::Done) {}
    world.connect(1);
    while world.call_next(1, true, Fate::Done) {}
    let sender = world
        .server
        .next_envelope(party_of(&world, "bob").device_id)
        .expect("one waits");
    world.input(1, Input::Delivered(sender));
    // The account of the sender first, then the acknowledgement, which fails.
    let mut refused = 0;
    for _ in 0..10 {
        if !world.has_call(1) {
            break;
        }
        let (call, request) = world.take_call(1);
        let device_id = world.nodes[1].engine.device_id();
        let answer = if matches!(request, Call::Acknowledge(_)) {
            refused += 1;
            Err(sottovoce_engine::Refusal::Because(v1::ErrorReason::Internal))
        } else {
            world.server.call(device_id, world.now, request)
        };
        world.input(1, Input::Answered { call, answer });
    }
    assert_eq!(refused, 1, "not again at once");
    world.input(1, Input::Tick);
    world.input(1, Input::Tick);
    world.settle();
    assert!(world.server.mailbox(party_of(&world, "bob").device_id).is_empty());
}

#[test]
fn an_oversized_envelope_is_thrown_away_unread() {
    let mut world = pair(3);
    let alice = party_of(&world, "alice").device_id;
    let bob = party_of(&world, "bob");
    for length in [128 * 1024 + 1, 1_000_000] {
        let envelope = v1::Envelope {
            sender: bob.address.to_string(),
            sender_device_id: bob.device_id.as_bytes().to_vec(),
            ciphertext: vec![1; length],
            ..v1::Envelope::default()
        };
        world.server.inject(alice, envelope);
    }
    world.settle();
    assert_eq!(unreadable(&world, 0), [Unreadable::Malformed; 2]);
}

#[test]
fn an_app_that_acknowledges_nothing_is_refused_and_loses_nothing() {
    let mut world = pair(4);
    let bob = address("bob");
    // Every message sent is an event the app lets lie.
    for _ in 0..4_096 {
        world.send_to(0, &bob, "x");
        while world.call_next(0, true, Fate::Done) {}
    }
    let refused = world.nodes[0]
        .engine
        .send(world.now, &mut world.rng, &bob, Body::Text("y".into()));
    assert_eq!(
        refused.expect_err("too many events"),
        InputError::EventsUnacknowledged
    );
    // What comes in meanwhile waits at the server, and is there when the app listens again.
    world.send(1, 0, "are you there?", Fate::Done);
    while world.call_next(1, true, Fate::Done) {}
    while world.deliver_next(0, Fate::Done) || world.call_next(0, true, Fate::Done) {}
    assert_eq!(world.texts(0), ["back"]);
    world.settle();
    assert_eq!(world.texts(0), ["back", "are you there?"]);
}
