//! How messages are delivered: several in one call, later, and not any more.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_engine::{Body, Call, CallId, Delivery, EventKind, Input, InputError, MessageId, Refusal};
use sottovoce_proto::v1::ErrorReason;
use world::{Fate, START, World, address, pair};

const DAY: u64 = 86_400_000;

/// Three who have heard of nobody's access key, and of whom the first has sessions with the others.
fn acquainted(seed: u64) -> World {
    let mut world = World::new(seed, &["alice", "bob", "carol"]);
    for to in 1..3 {
        world.send(0, to, "hello", Fate::Done);
    }
    world.settle();
    world
}

fn send_as(world: &mut World, from: usize, to: &str, text: &str, delivery: Delivery) -> MessageId {
    let rng = &mut world.rng.clone();
    let sent =
        world.nodes[from]
            .engine
            .send_as(world.now, rng, &address(to), Body::Text(text.into()), delivery);
    let (id, outputs) = sent.expect("it can be sent");
    world.take(from, outputs, Fate::Done);
    // The draws above were made on a copy.
    world.rng = rng.clone();
    id
}

fn cancelled(world: &World, node: usize) -> Vec<(MessageId, bool)> {
    let told = world.nodes[node].told.values();
    told.filter_map(|kind| match kind {
        EventKind::ScheduledCancelled {
            message_id, in_time, ..
        } => Some((*message_id, *in_time)),
        _ => None,
    })
    .collect()
}

#[test]
fn what_waits_for_several_goes_in_one_call() {
    let mut world = acquainted(60);
    world.disconnect(0);
    for number in 0..3 {
        for to in 1..3 {
            world.send(0, to, &format!("number {number}"), Fate::Done);
        }
    }
    world.settle();
    for node in 1..3 {
        assert_eq!(world.texts(node), ["hello", "number 0", "number 1", "number 2"]);
        assert!(world.complaints(node).is_empty());
    }
    assert!(world.server.batches > 0);
    assert!(world.complaints(0).is_empty());
}

#[test]
fn each_in_a_batch_is_answered_by_itself() {
    let mut world = acquainted(61);
    world.disconnect(0);
    for to in 1..3 {
        world.send(0, to, "to who is there", Fate::Done);
    }
    // Carol's account is gone, which her device does not know of.
    let carol = world.nodes[2].engine.device_id();
    world.server.devices.get_mut(&carol).expect("known").address = address("nobody").to_string();
    world.connect(0);
    while world.call_next(0, true, Fate::Done) {}
    while world.deliver_next(1, Fate::Done) {}
    assert_eq!(world.server.batches, 1);
    assert_eq!(world.texts(1), ["hello", "to who is there"]);
    let failed =
        |kind: &&EventKind| matches!(kind, EventKind::MessageFailed { to, .. } if *to == address("carol"));
    assert_eq!(world.complaints(0).into_iter().filter(failed).count(), 1);
}

#[test]
fn a_lost_answer_to_a_batch_leaves_each_message_once() {
    let mut world = acquainted(62);
    world.disconnect(0);
    for to in 1..3 {
        world.send(0, to, "once", Fate::Done);
    }
    world.connect(0);
    while world.server.batches == 0 {
        let (call, request) = world.take_call(0);
        let alice = world.nodes[0].engine.device_id();
        let answer = world.server.call(alice, world.now, request);
        if world.server.batches == 0 {
            world.input(0, Input::Answered { call, answer });
        }
    }
    world.disconnect(0);
    world.settle();
    assert_eq!(
        (world.texts(1), world.texts(2)),
        (vec!["hello", "once"], vec!["hello", "once"])
    );
}

#[test]
fn a_refused_batch_goes_one_by_one() {
    let mut world = acquainted(63);
    world.server.refuse_batches = Some(ErrorReason::Unsupported);
    world.disconnect(0);
    for to in 1..3 {
        world.send(0, to, "all the same", Fate::Done);
    }
    world.settle();
    world.input(0, Input::Tick);
    world.settle();
    assert_eq!(world.server.batches, 0);
    for node in 1..3 {
        assert_eq!(world.texts(node), ["hello", "all the same"]);
    }
}

#[test]
fn what_is_sent_later_goes_by_name_and_can_be_taken_back() {
    let mut world = pair(64);
    let later = Delivery::later(START + DAY);
    let kept = send_as(&mut world, 0, "bob", "tomorrow", later);
    let unwanted = send_as(&mut world, 0, "bob", "never", later);
    world.settle();
    let sealed = world.server.sealed;
    assert_eq!(world.server.scheduled.len(), 2);
    assert!(
        world
            .server
            .scheduled
            .iter()
            .all(|(.., envelope, _)| envelope.sender == address("alice").to_string())
    );
    world.restart(0);
    world.connect(0);
    world.input(0, Input::CancelScheduled(unwanted));
    world.settle();
    assert_eq!(cancelled(&world, 0), [(unwanted, true)]);
    assert_eq!(world.server.scheduled.len(), 1);
    assert_eq!(world.texts(1), ["first"]);

    world.now += DAY;
    world.server.release(world.now);
    world.settle();
    assert_eq!(world.texts(1), ["first", "tomorrow"]);
    assert_eq!(world.server.sealed, sealed);
    world.input(0, Input::Tick);
    let rng = &mut world.rng.clone();
    for over in [kept, unwanted, MessageId([9; 16])] {
        let input = Input::CancelScheduled(over);
        let answer = world.nodes[0].engine.handle(world.now, rng, input).map(|_| ());
        assert_eq!(answer, Err(InputError::NotScheduled));
    }
}

#[test]
fn a_message_taken_back_while_on_its_way_is_cancelled_when_taken() {
    let mut world = pair(65);
    // Not on its way yet: it never goes.
    world.disconnect(0);
    let never = send_as(&mut world, 0, "bob", "never", Delivery::later(START + DAY));
    world.input(0, Input::CancelScheduled(never));
    assert_eq!(cancelled(&world, 0), [(never, true)]);

    // The server has it, and the answer is on its way.
    world.connect(0);
    while world.call_next(0, true, Fate::Done) {}
    let id = send_as(&mut world, 0, "bob", "taken back", Delivery::later(START + DAY));
    let (call, request) = world.take_call(0);
    assert!(matches!(request, Call::Send(_)));
    world.input(0, Input::CancelScheduled(id));
    let alice = world.nodes[0].engine.device_id();
    let answer = world.server.call(alice, world.now, request);
    assert_eq!(world.server.scheduled.len(), 1);
    world.input(0, Input::Answered { call, answer });
    // The answer to that is lost as well.
    assert!(world.call_next(0, false, Fate::Done));
    assert!(world.server.scheduled.is_empty());
    world.settle();
    assert_eq!(cancelled(&world, 0), [(never, true), (id, true)]);
    world.now += DAY;
    world.server.release(world.now);
    world.settle();
    assert_eq!(world.texts(1), ["first"]);
}

#[test]
fn what_comes_too_late_is_told_to_be() {
    let mut world = pair(66);
    let id = send_as(&mut world, 0, "bob", "too late", Delivery::later(START + DAY));
    world.settle();
    world.disconnect(0);
    world.input(0, Input::CancelScheduled(id));
    world.now += DAY;
    world.server.release(world.now);
    world.settle();
    assert_eq!(cancelled(&world, 0), [(id, false)]);
    assert_eq!(world.texts(1), ["first", "too late"]);
}

/// Alice's message to bob for the next day, which she takes back while it is on its way.
fn taken_back_on_its_way(world: &mut World) -> (MessageId, CallId, Call) {
    let id = send_as(world, 0, "bob", "taken back", Delivery::later(START + DAY));
    let (call, request) = world.take_call(0);
    assert!(matches!(request, Call::Send(_)));
    world.input(0, Input::CancelScheduled(id));
    assert!(cancelled(world, 0).is_empty(), "perhaps the server has it");
    (id, call, request)
}

#[test]
fn what_was_taken_back_is_not_sent_once_its_time_is_past() {
    // Whether the server had it and the answer was lost, or it never came there.
    for (seed, arrived) in [(70, true), (71, false)] {
        let mut world = pair(seed);
        let (id, _, request) = taken_back_on_its_way(&mut world);
        if arrived {
            let alice = world.nodes[0].engine.device_id();
            world.server.call(alice, world.now, request).expect("taken");
        }
        world.disconnect(0);
        world.now += DAY;
        world.server.release(world.now);
        world.restart(0);
        world.settle();
        assert_eq!(cancelled(&world, 0), [(id, false)]);
        world.send(0, 1, "the next", Fate::Done);
        world.settle();
        let texts: &[&str] = if arrived {
            &["first", "taken back", "the next"]
        } else {
            &["first", "the next"]
        };
        assert_eq!(world.texts(1), texts);
        assert!(world.complaints(1).is_empty());
    }
}

#[test]
fn what_was_taken_back_is_not_encrypted_again() {
    let mut world = pair(72);
    let taken = world.server.taken.len();
    let (id, call, _) = taken_back_on_its_way(&mut world);
    let answer = Err(Refusal::Because(ErrorReason::DevicesMismatch));
    world.input(0, Input::Answered { call, answer });
    world.settle();
    assert_eq!(cancelled(&world, 0), [(id, true)]);
    assert_eq!(world.server.taken.len(), taken, "nor sent");
    world.now += DAY;
    world.settle();
    assert_eq!(world.texts(1), ["first"]);
}

#[test]
fn what_is_taken_by_the_server_after_its_time_is_told_as_not_taken_back() {
    let mut world = pair(73);
    let (id, call, request) = taken_back_on_its_way(&mut world);
    world.now += DAY;
    let alice = world.nodes[0].engine.device_id();
    let answer = world.server.call(alice, world.now, request);
    world.input(0, Input::Answered { call, answer });
    world.settle();
    assert_eq!(cancelled(&world, 0), [(id, false)]);
    assert_eq!(world.texts(1), ["first", "taken back"]);
}

#[test]
fn an_expiry_goes_with_the_message_and_is_bounded() {
    let mut world = pair(67);
    send_as(&mut world, 0, "bob", "soon gone", Delivery::expiring(60));
    let (_, request) = world.take_call(0);
    let Call::SendSealed(request) = request else {
        panic!("bob has told his key: {request:?}");
    };
    assert_eq!(request.delivery.expect("one").expires_after_s, 60);
    let rng = &mut world.rng.clone();
    for beyond in [
        Delivery::expiring(30 * 86_400 + 1),
        Delivery::later(world.now + 6 * DAY + 1),
    ] {
        let engine = &mut world.nodes[0].engine;
        let body = Body::Text("x".into());
        let refused = engine.send_as(world.now, rng, &address("bob"), body, beyond);
        assert_eq!(refused.map(|_| ()).unwrap_err(), InputError::DeliveryTime);
    }
}
