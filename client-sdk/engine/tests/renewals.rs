//! What follows when something cannot be opened: sessions are renewed, and nobody gets anything by sending
//! nonsense.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_crypto::{EnvelopeSender, seal_envelope};
use sottovoce_engine::{Call, EventKind, Input};
use sottovoce_proto::v1;
use world::scripted::{Scripted, party_of};
use world::stolen::sessions_on_disk;
use world::{Fate, World, address, converse};

const HOUR: u64 = 3_600_000;

/// A message of another session than any, as it was seen on its way.
fn nonsense(world: &World) -> Vec<u8> {
    world.server.taken[0].messages[0].ciphertext.clone()
}

/// Has the server deliver nonsense to `to`, which it says is from `from`.
fn inject_by_name(world: &mut World, from: &str, to: &str) {
    let (from, to) = (
        Scripted::new(1, from, &[party_of(world, from).device_id]),
        party_of(world, to),
    );
    let envelope = from.envelope(nonsense(world));
    world.server.inject(to.device_id, envelope);
}

/// Has somebody with the access key of `to` seal nonsense in the name of `claimed`.
fn inject_sealed(world: &mut World, claimed: &str, to: &str) {
    let (claimed, to) = (party_of(world, claimed), party_of(world, to));
    let sender = EnvelopeSender {
        address: claimed.address,
        device_id: claimed.device_id,
        manifest_version: 1,
        manifest_hash: [0; 32],
    };
    let ciphertext = seal_envelope(&mut world.rng.clone(), &sender, &to, &nonsense(world)).expect("sealed");
    let envelope = v1::Envelope {
        ciphertext,
        ..Default::default()
    };
    world.server.inject(to.device_id, envelope);
}

/// How many one-time prekeys of somebody's device the server has left, of the kind that is counted by all.
fn left(world: &World, name: &str) -> usize {
    world.server.devices[&party_of(world, name).device_id]
        .one_time
        .len()
}

#[test]
fn a_conversation_survives_more_lost_messages_than_a_session_bridges() {
    let mut world = World::new(8, &["alice", "bob"]);
    converse(&mut world, 1);
    world.disconnect(1);
    for _ in 0..sottovoce_crypto::MAX_FORWARD_JUMP + 5 {
        world.send(0, 1, "lost", Fate::Done);
        while world.call_next(0, true, Fate::Done) {}
        world.acknowledge_all(0);
    }
    let bob = party_of(&world, "bob").device_id;
    world.server.mailbox(bob).clear();
    world.settle();
    world.send(0, 1, "this one breaks on it", Fate::Done);
    world.settle();
    // Bob's next message begins another session; he is asked for nothing else.
    world.send(1, 0, "what was that?", Fate::Done);
    world.settle();
    for number in 0..3 {
        world.send(0, 1, &format!("and this arrives {number}"), Fate::Done);
        world.settle();
    }
    assert_eq!(
        world.texts(1)[1..],
        ["and this arrives 0", "and this arrives 1", "and this arrives 2"]
    );
    let complaints = world.complaints(1);
    assert!(
        complaints
            .iter()
            .any(|kind| matches!(kind, EventKind::Unreadable { .. }))
    );
    assert!(
        complaints
            .iter()
            .any(|kind| matches!(kind, EventKind::MessagesMissing { .. })),
        "the loss is told"
    );
}

#[test]
fn nonsense_renews_a_session_once_an_hour_and_never_a_strangers() {
    let mut world = World::new(9, &["alice", "bob", "carol"]);
    converse(&mut world, 1);
    let (alice, bob) = (party_of(&world, "alice"), party_of(&world, "bob"));
    let left = |world: &World| world.server.devices[&bob.device_id].one_time.len();
    let before = left(&world);
    for name in ["bob", "carol"] {
        let device_id = party_of(&world, name).device_id;
        let sender = Scripted::new(1, name, &[device_id]);
        for _ in 0..20 {
            let nonsense = sender.envelope(world.server.taken[0].messages[0].ciphertext.clone());
            world.server.inject(alice.device_id, nonsense);
            world.settle();
        }
    }
    assert_eq!(left(&world), before - 1);
    assert_eq!(world.nodes[0].engine.trusted_account_key(&address("carol")), None);
    world.now += 3_600_000;
    let nonsense = Scripted::new(1, "bob", &[bob.device_id])
        .envelope(world.server.taken[0].messages[0].ciphertext.clone());
    world.server.inject(alice.device_id, nonsense);
    world.settle();
    assert_eq!(left(&world), before - 2);
    converse(&mut world, 2);
    assert!(
        world.complaints(1).is_empty(),
        "a renewal is not shown to anybody"
    );
}

#[test]
fn a_renewal_cut_off_is_begun_again() {
    let mut world = World::new(11, &["alice", "bob"]);
    converse(&mut world, 1);
    let (alice, bob) = (party_of(&world, "alice"), party_of(&world, "bob"));
    let nonsense = Scripted::new(1, "bob", &[bob.device_id])
        .envelope(world.server.taken[0].messages[0].ciphertext.clone());
    for _ in 0..3 {
        world.server.inject(alice.device_id, nonsense.clone());
        world.deliver_next(0, Fate::Done);
        // The line breaks before the bundle comes.
        world.disconnect(0);
        world.connect(0);
    }
    assert_eq!(sessions_on_disk(&world, 0).len(), 1);
    world.server.inject(alice.device_id, nonsense);
    world.settle();
    assert_eq!(sessions_on_disk(&world, 0).len(), 2);
    converse(&mut world, 1);
    assert!(world.complaints(1).is_empty());
}

#[test]
fn nonsense_in_anothers_name_is_answered_with_nothing() {
    let mut world = World::new(50, &["alice", "bob"]);
    converse(&mut world, 2);
    let (prekeys, taken) = (left(&world, "alice"), world.server.taken.len());
    let mut asked = 0;
    for _ in 0..20 {
        inject_sealed(&mut world, "alice", "bob");
        world.deliver_next(1, Fate::Done);
        while world.has_call(1) {
            let (call, request) = world.take_call(1);
            asked += usize::from(!matches!(request, Call::Acknowledge(_)));
            let bob = party_of(&world, "bob").device_id;
            let answer = world.server.call(bob, world.now, request);
            world.input(1, Input::Answered { call, answer });
        }
        world.acknowledge_all(1);
        world.now += HOUR;
        world.input(1, Input::Tick);
    }
    world.settle();
    assert_eq!(asked, 0, "nothing but that they are dealt with");
    assert_eq!(
        (left(&world, "alice"), world.server.taken.len()),
        (prekeys, taken)
    );

    // Bob's own next message begins another session, his further ones go on in that.
    for number in 0..4 {
        world.send(1, 0, &format!("number {number}"), Fate::Done);
        world.settle();
        inject_sealed(&mut world, "alice", "bob");
        world.settle();
    }
    assert_eq!(left(&world, "alice"), prekeys - 1);
    world.now += HOUR;
    world.send(1, 0, "number 4", Fate::Done);
    world.settle();
    assert_eq!(left(&world, "alice"), prekeys - 2);
    assert_eq!(world.texts(0)[2..].len(), 5);
    assert!(world.complaints(0).is_empty());
}

#[test]
fn a_doubt_ends_when_a_message_opens() {
    let mut world = World::new(51, &["alice", "bob"]);
    converse(&mut world, 2);
    let prekeys = left(&world, "alice");
    inject_sealed(&mut world, "alice", "bob");
    world.settle();
    world.restart(1);
    world.send(0, 1, "all is well", Fate::Done);
    world.settle();
    world.send(1, 0, "so it is", Fate::Done);
    world.settle();
    assert_eq!(left(&world, "alice"), prekeys);

    // It outlives a restart until then.
    inject_sealed(&mut world, "alice", "bob");
    world.settle();
    world.restart(1);
    world.settle();
    world.send(1, 0, "are you there?", Fate::Done);
    world.settle();
    assert_eq!(left(&world, "alice"), prekeys - 1);
    assert_eq!(world.texts(0).last(), Some(&"are you there?"));
}

#[test]
fn who_is_blocked_is_not_answered_with_a_renewal() {
    let mut world = World::new(52, &["alice", "bob"]);
    converse(&mut world, 1);
    let block = |blocked| Input::Block {
        address: address("alice"),
        blocked,
    };
    // A bundle that was asked for before comes too late.
    inject_by_name(&mut world, "alice", "bob");
    world.deliver_next(1, Fate::Done);
    world.input(1, block(true));
    world.settle();
    let (prekeys, taken) = (left(&world, "alice"), world.server.taken.len());
    for _ in 0..3 {
        world.now += HOUR;
        inject_by_name(&mut world, "alice", "bob");
        inject_sealed(&mut world, "alice", "bob");
        world.settle();
    }
    assert_eq!(
        (left(&world, "alice"), world.server.taken.len()),
        (prekeys, taken)
    );
    world.input(1, block(false));
    inject_by_name(&mut world, "alice", "bob");
    world.settle();
    assert_eq!(
        (left(&world, "alice"), world.server.taken.len()),
        (prekeys - 1, taken + 1)
    );
}

#[test]
fn unanswered_renewals_displace_no_settled_session() {
    let mut world = World::new(53, &["alice", "bob"]);
    converse(&mut world, 2);
    let bob = party_of(&world, "bob").device_id;
    world.send(0, 1, "from long before", Fate::Done);
    while world.call_next(0, true, Fate::Done) {}
    let held = world.server.mailbox(bob).pop().expect("it was taken");
    world.disconnect(0);
    for _ in 0..9 {
        world.now += 24 * HOUR;
        inject_by_name(&mut world, "alice", "bob");
        while world.call_next(1, true, Fate::Done) || world.deliver_next(1, Fate::Done) {}
        world.acknowledge_all(1);
        world.input(1, Input::Tick);
    }
    assert_eq!(sessions_on_disk(&world, 1).len(), 5, "renewals were begun");
    world.server.inject(bob, held);
    while world.call_next(1, true, Fate::Done) || world.deliver_next(1, Fate::Done) {}
    assert_eq!(world.texts(1).last(), Some(&"from long before"));

    // Alice takes up all of them, and both go on in one.
    world.settle();
    converse(&mut world, 2);
    assert!(world.complaints(0).is_empty());
    world.now += 8 * 24 * HOUR;
    world.input(1, Input::Tick);
    assert_eq!(sessions_on_disk(&world, 1).len(), 1, "the others had their time");
}

#[test]
fn renewals_are_few_for_all_devices_together_and_over_restarts() {
    let names = ["bob", "ann", "ben", "cid", "dot", "eve", "fay"];
    let mut world = World::new(54, &names);
    for node in 1..names.len() {
        world.send(node, 0, "hello", Fate::Done);
    }
    world.settle();
    let renewed = |world: &World| world.server.taken.len();
    let before = renewed(&world);
    let all = |world: &mut World| {
        for name in &names[1..] {
            inject_by_name(world, name, "bob");
        }
        world.settle();
    };
    all(&mut world);
    assert_eq!(renewed(&world), before + 4);
    world.restart(0);
    all(&mut world);
    assert_eq!(renewed(&world), before + 4);
    world.now += HOUR;
    all(&mut world);
    assert_eq!(renewed(&world), before + 8);
}

#[test]
fn a_session_that_no_renewal_was_left_for_is_doubted() {
    let names = ["bob", "ann", "ben", "cid", "dot", "eve", "fay"];
    let mut world = World::new(56, &names);
    for node in 1..names.len() {
        world.send(node, 0, "hello", Fate::Done);
    }
    world.settle();
    let prekeys = |world: &World| {
        names[1..]
            .iter()
            .map(|name| left(world, name))
            .collect::<Vec<_>>()
    };
    let before = prekeys(&world);
    for name in &names[1..] {
        inject_by_name(&mut world, name, "bob");
    }
    world.settle();
    let used = before.iter().sum::<usize>() - prekeys(&world).iter().sum::<usize>();
    assert_eq!(used, 4, "as many as may be in an hour");
    // The other two are begun anew with what the user has to say, and nobody's a second time.
    for node in 1..names.len() {
        world.send(0, node, "hello to you", Fate::Done);
    }
    world.settle();
    let expected: Vec<usize> = before.iter().map(|left| left - 1).collect();
    assert_eq!(prekeys(&world), expected);
    for node in 1..names.len() {
        assert_eq!(world.texts(node), ["hello to you"]);
        assert!(world.complaints(node).is_empty());
    }
}

#[test]
fn a_settled_session_is_not_given_up_for_used_prekeys() {
    let mut world = World::new(55, &["alice", "bob"]);
    converse(&mut world, 2);
    let alice = party_of(&world, "alice").device_id;
    let drained = |world: &mut World, of_kem: bool| {
        let device = world.server.devices.get_mut(&alice).expect("registered");
        if of_kem {
            std::mem::take(&mut device.one_time_kem);
        } else {
            std::mem::take(&mut device.one_time);
        }
    };
    // Somebody has used up the one kind, and then the other.
    for of_kem in [true, false] {
        let kept = {
            let device = &world.server.devices[&alice];
            (device.one_time.clone(), device.one_time_kem.clone())
        };
        drained(&mut world, of_kem);
        inject_by_name(&mut world, "alice", "bob");
        world.settle();
        inject_sealed(&mut world, "alice", "bob");
        world.settle();
        world.now += HOUR;
        world.send(1, 0, "in the session there is", Fate::Done);
        world.settle();
        assert_eq!(sessions_on_disk(&world, 1).len(), 1);
        assert_eq!(world.texts(0).last(), Some(&"in the session there is"));
        let device = world.server.devices.get_mut(&alice).expect("registered");
        (device.one_time, device.one_time_kem) = kept;
        world.now += HOUR;
    }
    // With both kinds the doubt leads to another one.
    world.send(1, 0, "in another", Fate::Done);
    world.settle();
    assert_eq!(sessions_on_disk(&world, 1).len(), 2);
    assert_eq!(world.texts(0).last(), Some(&"in another"));
    assert!(world.complaints(0).is_empty());
}
