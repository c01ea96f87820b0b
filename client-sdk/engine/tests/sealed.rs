//! Writing unseen: the server learns to whom a message goes and not from whom, and nobody is believed to
//! be who a sealed envelope says.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_crypto::{AccessKey, ENVELOPE_OVERHEAD, EnvelopeSender, seal_envelope};
use sottovoce_engine::{
    Body, Call, Delivery, EventKind, Input, InputError, Refusal, Reply, Route, Unreadable,
};
use sottovoce_proto::v1::{self, ErrorReason};
use world::scripted::{Scripted, party_of, words};
use world::{Fate, START, World, address, pair, unreadable};

fn sealed_envelope(ciphertext: Vec<u8>) -> v1::Envelope {
    v1::Envelope {
        ciphertext,
        ..Default::default()
    }
}

#[test]
fn whoever_was_told_a_key_writes_unseen() {
    let mut world = pair(30);
    assert_eq!(
        world.server.sealed, 1,
        "bob answered unseen; alice had no key to begin with"
    );
    world.disconnect(1);
    world.send(0, 1, "unseen", Fate::Done);
    while world.call_next(0, true, Fate::Done) {}
    let bob = world.nodes[1].engine.device_id();
    let envelope = world.server.mailbox(bob)[0].clone();
    assert!(envelope.sender.is_empty() && envelope.sender_device_id.is_empty());
    let name = address("alice").to_string();
    let in_clear = envelope
        .ciphertext
        .windows(name.len())
        .any(|bytes| bytes == name.as_bytes());
    assert!(!in_clear && envelope.ciphertext.len() > ENVELOPE_OVERHEAD);
    world.settle();
    assert_eq!(world.texts(1), ["first", "unseen"]);
    assert_eq!(world.received(1)[1].from, address("alice"));
    assert!(world.complaints(1).is_empty());
}

#[test]
fn nothing_that_a_sealed_message_takes_is_asked_by_name() {
    let mut world = pair(31);
    let bob = world.nodes[1].engine.address().clone();
    world.server.refuse_next = Some(ErrorReason::DevicesMismatch);
    world.send(0, 1, "unseen", Fate::Done);
    let mut routes = Vec::new();
    while world.has_call(0) {
        let (call, request) = world.take_call(0);
        let about_bob = match &request {
            Call::GetAccount(request) => request.address == bob.to_string(),
            Call::FetchPrekeyBundles(request) => request.address == bob.to_string(),
            Call::Send(_) | Call::SendSealed(_) => true,
            _ => false,
        };
        if about_bob {
            routes.push(request.route());
        }
        let alice = world.nodes[0].engine.device_id();
        let answer = world.server.call(alice, world.now, request);
        world.input(0, Input::Answered { call, answer });
    }
    assert_eq!(routes, [Route::Anonymous; 3], "sent, looked up, sent again");
}

#[test]
fn nobody_is_told_a_key_that_the_server_does_not_have() {
    let mut world = World::new(32, &["alice", "bob"]);
    world.disconnect(0);
    world.input(0, Input::RotateAccessKey);
    world.connect(0);
    // Alice's message is taken before her new key is.
    world.send(0, 1, "hello", Fate::Done);
    let mut kept = Vec::new();
    while world.has_call(0) {
        let (call, request) = world.take_call(0);
        if matches!(request, Call::SetAccessKey(_)) {
            kept.push((call, request));
            continue;
        }
        let alice = world.nodes[0].engine.device_id();
        let answer = world.server.call(alice, world.now, request);
        world.input(0, Input::Answered { call, answer });
    }
    assert_eq!(kept.len(), 1);
    world.connect(1);
    while world.deliver_next(1, Fate::Done) || world.call_next(1, true, Fate::Done) {}
    world.send(1, 0, "by name", Fate::Done);
    while world.call_next(1, true, Fate::Done) {}
    assert_eq!(world.server.sealed, 0);

    let (call, request) = kept.remove(0);
    let alice = world.nodes[0].engine.device_id();
    let answer = world.server.call(alice, world.now, request);
    world.input(0, Input::Answered { call, answer });
    world.send(0, 1, "here is the key", Fate::Done);
    world.settle();
    world.send(1, 0, "unseen", Fate::Done);
    world.settle();
    assert_eq!(world.texts(0), ["by name", "unseen"]);
    assert!(world.server.sealed >= 1);
    assert!(world.complaints(1).is_empty());
}

#[test]
fn a_refused_key_is_told_and_what_waits_goes_by_name() {
    let mut world = pair(33);
    // As a server would that wants to learn names, or one that was told of a newer key.
    let other = AccessKey::from_secret_bytes(&[9; 32]).hash();
    world.server.access_keys.insert(address("bob").to_string(), other);
    let sealed = world.server.sealed;
    world.send(0, 1, "by name", Fate::Done);
    world.settle();
    assert_eq!(world.texts(1), ["first", "by name"]);
    assert_eq!(world.server.sealed, sealed);
    let told = EventKind::SealedRefused {
        address: address("bob"),
    };
    assert_eq!(world.complaints(0), [&told]);

    // The next message from bob brings his key again.
    world.input(1, Input::RotateAccessKey);
    world.settle();
    world.send(1, 0, "my key is another", Fate::Done);
    world.settle();
    world.send(0, 1, "unseen again", Fate::Done);
    world.settle();
    assert_eq!(world.texts(1), ["first", "by name", "unseen again"]);
    assert_eq!(world.server.sealed, sealed + 2);
    assert_eq!(world.complaints(0), [&told]);
}

#[test]
fn a_late_refusal_forgets_no_newer_key() {
    let mut world = pair(40);
    // Alice looks bob up with the key she has, and the answer takes its time.
    world.server.refuse_next = Some(ErrorReason::DevicesMismatch);
    world.send(0, 1, "unseen", Fate::Done);
    world.call_next(0, true, Fate::Done);
    let (call, request) = world.take_call(0);
    assert!(matches!(request, Call::GetAccount(_)) && request.route() == Route::Anonymous);
    // Meanwhile he tells her another.
    world.input(1, Input::RotateAccessKey);
    while world.call_next(1, true, Fate::Done) {}
    world.send(1, 0, "my key is another", Fate::Done);
    while world.call_next(1, true, Fate::Done) {}
    while world.deliver_next(0, Fate::Done) {}
    let alice = world.nodes[0].engine.device_id();
    let answer = world.server.call(alice, world.now, request);
    assert_eq!(answer, Err(Refusal::Because(ErrorReason::AccessDenied)));
    let sealed = world.server.sealed;
    world.input(0, Input::Answered { call, answer });
    world.settle();
    assert_eq!(world.texts(1), ["first", "unseen"]);
    assert_eq!(world.server.sealed, sealed + 1);
    assert!(world.complaints(0).is_empty(), "there was nothing to tell");
}

/// Has alice fetch a bundle of bob's with the key he has replaced meanwhile, and be refused.
fn denied_a_bundle(world: &mut World) {
    let (alice, bob) = (party_of(world, "alice"), party_of(world, "bob"));
    world.input(1, Input::RotateAccessKey);
    while world.call_next(1, true, Fate::Done) {}
    let nonsense = world.server.taken[0].messages[0].ciphertext.clone();
    let envelope = Scripted::new(1, "bob", &[bob.device_id]).envelope(nonsense);
    world.server.inject(alice.device_id, envelope);
    world.deliver_next(0, Fate::Done);
    while world.call_next(0, true, Fate::Done) {}
    let refused = |told: &&EventKind| matches!(told, EventKind::SealedRefused { .. });
    assert_eq!(world.complaints(0).into_iter().filter(refused).count(), 1);
}

#[test]
fn a_refusal_of_another_call_leaves_alone_what_is_on_its_way() {
    for (seed, delivery) in [(41, None), (42, Some(Delivery::later(START + 86_400_000)))] {
        let mut world = pair(seed);
        let rng = &mut world.rng.clone();
        let body = Body::Text("on its way".into());
        let engine = &mut world.nodes[0].engine;
        let sent = engine.send_as(START, rng, &address("bob"), body, delivery.unwrap_or_default());
        let (id, outputs) = sent.expect("it can be sent");
        world.rng = rng.clone();
        world.take(0, outputs, Fate::Done);
        let (call, request) = world.take_call(0);
        let alice = world.nodes[0].engine.device_id();
        let answer = world.server.call(alice, world.now, request);
        assert!(matches!(answer, Ok(Reply::Sent(_))));
        denied_a_bundle(&mut world);
        world.input(0, Input::Answered { call, answer });
        if delivery.is_some() {
            world.input(0, Input::CancelScheduled(id));
            world.settle();
            assert!(world.server.scheduled.is_empty(), "it is known by its name");
            continue;
        }
        world.send(0, 1, "after it", Fate::Done);
        world.settle();
        assert_eq!(world.texts(1), ["first", "on its way", "after it"]);
        assert!(world.received(1).iter().all(|message| !message.late));
        assert!(world.complaints(1).is_empty());
    }
}

#[test]
fn what_is_sent_again_by_name_is_shown_once() {
    let mut world = pair(43);
    world.send(0, 1, "once", Fate::Done);
    let taken = world.server.taken.len();
    // The server has it, the answer is lost, and bob replaces his key.
    assert!(world.call_next(0, false, Fate::Done));
    world.input(1, Input::RotateAccessKey);
    while world.call_next(1, true, Fate::Done) || world.deliver_next(1, Fate::Done) {}
    assert_eq!(world.texts(1), ["first", "once"]);
    world.restart(1);
    world.settle();
    assert_eq!(world.server.taken.len(), taken + 2, "it came twice");
    assert_eq!(world.texts(1), ["first", "once"]);
    let bob = world.nodes[1].engine.device_id();
    assert!(world.server.mailbox(bob).is_empty(), "and was acknowledged twice");
    world.send(0, 1, "the next", Fate::Done);
    world.settle();
    assert_eq!(world.texts(1), ["first", "once", "the next"]);
    assert!(world.received(1).iter().all(|message| !message.late));
    assert!(world.complaints(1).is_empty());
}

#[test]
fn a_late_message_brings_no_key_back() {
    let mut world = pair(34);
    world.disconnect(0);
    world.send(1, 0, "with the old key", Fate::Done);
    while world.call_next(1, true, Fate::Done) {}
    world.input(1, Input::RotateAccessKey);
    while world.call_next(1, true, Fate::Done) {}
    world.send(1, 0, "with the new key", Fate::Done);
    while world.call_next(1, true, Fate::Done) {}
    let alice = world.nodes[0].engine.device_id();
    world.server.mailbox(alice).reverse();
    world.settle();
    assert_eq!(world.texts(0), ["back", "with the new key", "with the old key"]);
    let sealed = world.server.sealed;
    world.send(0, 1, "unseen", Fate::Done);
    world.settle();
    assert_eq!(world.server.sealed, sealed + 1);
    assert!(
        !world
            .complaints(0)
            .iter()
            .any(|told| matches!(told, EventKind::SealedRefused { .. }))
    );
}

#[test]
fn a_sealed_message_in_anothers_name_is_not_believed() {
    let mut world = pair(35);
    let mallory_id = sottovoce_crypto::statements::DeviceId::from_bytes([0x77; 16]);
    let mut mallory = Scripted::new(36, "mallory", &[mallory_id]);
    let manifest = mallory.manifest(1, [0; 32], &[0]);
    mallory.show(&mut world, &manifest);
    mallory.serve(&mut world, &[0]);
    let bob = party_of(&world, "bob");
    let mut session = mallory.begin(&mut world, &bob, true);
    let text = words(&world, &mallory.address, &bob.address, 1, "i am alice");
    let message = session
        .encrypt(&mut mallory.rng, world.now, &text)
        .expect("encrypted");
    let alice = party_of(&world, "alice");
    let claim = |address, device_id| EnvelopeSender {
        address,
        device_id,
        manifest_version: 1,
        manifest_hash: [0; 32],
    };
    let in_alices_name = claim(alice.address.clone(), alice.device_id);
    let sealed = seal_envelope(&mut mallory.rng, &in_alices_name, &bob, &message).expect("sealed");
    world.server.inject(bob.device_id, sealed_envelope(sealed));
    world.settle();
    assert_eq!(world.texts(1), ["first"]);
    assert_eq!(unreadable(&world, 1), [Unreadable::NotAuthentic]);

    // In his own name the same bytes are his.
    let in_his_own = claim(mallory.address.clone(), mallory_id);
    let sealed = seal_envelope(&mut mallory.rng, &in_his_own, &bob, &message).expect("sealed");
    world.server.inject(bob.device_id, sealed_envelope(sealed));
    world.settle();
    assert_eq!(world.texts(1), ["first", "i am alice"]);
    assert_eq!(world.received(1)[1].from, mallory.address);
}

#[test]
fn what_does_not_unseal_is_unreadable() {
    let mut world = pair(37);
    let (alice, bob) = (party_of(&world, "alice"), party_of(&world, "bob"));
    let own = EnvelopeSender {
        address: bob.address.clone(),
        device_id: bob.device_id,
        manifest_version: 1,
        manifest_hash: [0; 32],
    };
    let rng = &mut world.rng.clone();
    let for_alice = seal_envelope(rng, &own, &alice, b"x").expect("sealed");
    let from_oneself = seal_envelope(rng, &own, &bob, b"x").expect("sealed");
    for bytes in [Vec::new(), vec![1; 300], for_alice, from_oneself] {
        world.server.inject(bob.device_id, sealed_envelope(bytes));
    }
    world.settle();
    assert_eq!(unreadable(&world, 1), [Unreadable::Malformed; 4]);
    assert!(
        world.server.mailbox(bob.device_id).is_empty(),
        "all of it acknowledged"
    );
}

#[test]
fn who_is_blocked_is_not_heard_and_loses_the_key() {
    let mut world = World::new(38, &["alice", "bob", "carol"]);
    for (from, to) in [(0, 1), (1, 0), (2, 1), (1, 2)] {
        world.send(from, to, "hello", Fate::Done);
        world.settle();
    }
    let alice = address("alice");
    let block = |blocked| Input::Block {
        address: address("alice"),
        blocked,
    };
    world.input(1, block(true));
    world.settle();
    world.send(0, 1, "let me in", Fate::Done);
    world.settle();
    assert_eq!(world.texts(1), ["hello", "hello"]);
    let refused = EventKind::SealedRefused {
        address: address("bob"),
    };
    assert_eq!(world.complaints(0), [&refused]);
    let body = Body::Text("no".into());
    let rng = &mut world.rng.clone();
    let answer = world.nodes[1]
        .engine
        .send(world.now, rng, &alice, body)
        .map(|_| ());
    assert_eq!(answer, Err(InputError::Blocked));

    // Carol is told the new key with the next message, and writes unseen; it outlives a restart.
    world.restart(1);
    world.send(1, 2, "still here", Fate::Done);
    world.settle();
    let sealed = world.server.sealed;
    world.send(2, 1, "good", Fate::Done);
    world.settle();
    assert_eq!(world.server.sealed, sealed + 1);
    assert!(world.complaints(2).is_empty());
    world.send(0, 1, "still out", Fate::Done);
    world.settle();
    assert_eq!(world.texts(1), ["hello", "hello", "good"]);
    world.input(1, block(false));
    world.send(0, 1, "and in", Fate::Done);
    world.settle();
    assert_eq!(world.texts(1), ["hello", "hello", "good", "and in"]);
}

#[test]
fn a_key_the_server_will_not_keep_is_offered_again_with_the_next_connection() {
    let mut world = World::new(39, &["alice"]);
    world.input(0, Input::RotateAccessKey);
    let (call, request) = world.take_call(0);
    assert!(matches!(request, Call::SetAccessKey(_)));
    let answer = Err(Refusal::Because(ErrorReason::Internal));
    world.input(0, Input::Answered { call, answer });
    world.input(0, Input::Tick);
    assert!(!world.has_call(0), "not in a loop");
    world.disconnect(0);
    world.connect(0);
    let mut offered = 0;
    while world.has_call(0) {
        offered += usize::from(matches!(world.take_call(0).1, Call::SetAccessKey(_)));
    }
    assert_eq!(offered, 1);
}
