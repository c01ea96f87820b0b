//! Whatever the line and the power do, each message arrives once and in order.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use proptest::prelude::*;
use world::{Fate, World};

/// Something that happens to one of the people.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Send { fate: Fate },
    Call { answered: bool, fate: Fate },
    Deliver { fate: Fate },
    Connect,
    Disconnect,
    Restart,
    Acknowledge,
    Tick,
    DaysPass(u8),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Done),
        1 => Just(Fate::LostBeforePersisting),
        1 => Just(Fate::LostAfterPersisting),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => fate().prop_map(|fate| Happening::Send { fate }),
        12 => (prop::bool::weighted(0.85), fate()).prop_map(|(answered, fate)| Happening::Call { answered, fate }),
        10 => fate().prop_map(|fate| Happening::Deliver { fate }),
        4 => Just(Happening::Connect),
        1 => Just(Happening::Disconnect),
        1 => Just(Happening::Restart),
        2 => Just(Happening::Acknowledge),
        1 => Just(Happening::Tick),
        1 => (1..4u8).prop_map(Happening::DaysPass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_arrives_once_and_in_order(
        seed: u64,
        story in prop::collection::vec((0..3usize, 0..2usize, happening()), 1..250),
    ) {
        let mut world = World::new(seed, &["alice", "bob", "carol"]);
        let mut sent = vec![vec![Vec::new(); 3]; 3];
        for (number, (who, whom, what)) in story.into_iter().enumerate() {
            world.now += 1_000;
            let whom = (who + 1 + whom) % 3;
            match what {
                Happening::Send { fate } => {
                    let text = format!("{number} from {who}");
                    if let Some(id) = world.send(who, whom, &text, fate) {
                        sent[who][whom].push((id, text));
                    }
                }
                Happening::Call { answered, fate } => drop(world.call_next(who, answered, fate)),
                Happening::Deliver { fate } => drop(world.deliver_next(who, fate)),
                Happening::Connect => world.connect(who),
                Happening::Disconnect => world.disconnect(who),
                Happening::Restart => world.restart(who),
                Happening::Acknowledge => world.acknowledge_all(who),
                Happening::Tick => world.input(who, sottovoce_engine::Input::Tick),
                Happening::DaysPass(days) => world.now += u64::from(days) * 86_400_000,
            }
        }
        world.settle();

        for (from, conversations) in sent.iter().enumerate() {
            let sender = world.nodes[from].engine.address();
            for (to, conversation) in conversations.iter().enumerate() {
                let arrived: Vec<_> = world
                    .received(to)
                    .into_iter()
                    .filter(|message| message.from == *sender)
                    .map(|message| (message.message_id, message.text().unwrap_or_default().to_owned()))
                    .collect();
                prop_assert_eq!(&arrived, conversation, "from {} to {}", from, to);
            }
            prop_assert!(world.complaints(from).is_empty(), "{:?}", world.complaints(from));
        }
    }
}

#[test]
fn two_who_write_first_at_once_understand_each_other() {
    let mut world = World::new(1, &["alice", "bob"]);
    for round in 0..6 {
        world.send(0, 1, &format!("a{round}"), Fate::Done);
        world.send(1, 0, &format!("b{round}"), Fate::Done);
        // Both requests leave before either side hears of the other.
        for _ in 0..8 {
            world.call_next(0, true, Fate::Done);
            world.call_next(1, true, Fate::Done);
        }
    }
    world.settle();
    assert_eq!(world.texts(1), ["a0", "a1", "a2", "a3", "a4", "a5"]);
    assert_eq!(world.texts(0), ["b0", "b1", "b2", "b3", "b4", "b5"]);
    assert!(world.complaints(0).is_empty() && world.complaints(1).is_empty());
}

#[test]
fn used_up_one_time_prekeys_are_replaced() {
    let mut world = World::new(2, &["alice", "bob"]);
    let bob = world.nodes[1].engine.device_id();
    world
        .server
        .devices
        .get_mut(&bob)
        .expect("bob is registered")
        .one_time
        .truncate(3);
    world.send(0, 1, "hello", Fate::Done);
    world.settle();
    assert_eq!(world.texts(1), ["hello"]);
    assert_eq!(world.server.devices[&bob].one_time.len(), 2 + 50);
}

#[test]
fn a_device_without_one_time_prekeys_is_still_reached() {
    let mut world = World::new(3, &["alice", "bob"]);
    let bob = world.nodes[1].engine.device_id();
    world
        .server
        .devices
        .get_mut(&bob)
        .expect("bob is registered")
        .one_time
        .clear();
    world.send(0, 1, "hello", Fate::Done);
    world.settle();
    assert_eq!(world.texts(1), ["hello"]);
}

#[test]
fn what_is_acknowledged_is_forgotten() {
    let mut world = World::new(4, &["alice", "bob"]);
    world.send(0, 1, "first", Fate::Done);
    world.settle();
    let before = (world.disk_size(0), world.disk_size(1));
    for number in 0..200 {
        world.send(0, 1, &number.to_string(), Fate::Done);
        world.settle();
    }
    // The receiver remembers which envelopes it has had, in a bounded number of slots; nothing else grows.
    assert_eq!(
        (world.disk_size(0), world.disk_size(1)),
        (before.0, before.1 + 200)
    );
    world.restart(1);
    assert_eq!(world.texts(1).len(), 201);
}
