//! Keys of messages that have not come are kept one record each, and go with their session.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_crypto::statements::DeviceId;
use sottovoce_engine::{Engine, Input};
use sottovoce_proto::v1;
use world::scripted::{Scripted, party_of, words};
use world::{Fate, World, pair};

/// The names of the records of skipped keys.
fn skipped(world: &World, node: usize) -> Vec<String> {
    let keys = world.disk(node).keys();
    keys.filter(|key| key.starts_with("skipped-key/"))
        .cloned()
        .collect()
}

/// What Alice sends while Bob is away, taken out of his mailbox.
fn held_back(world: &mut World, count: usize) -> Vec<v1::Envelope> {
    world.disconnect(1);
    for number in 0..count {
        world.send(0, 1, &number.to_string(), Fate::Done);
        while world.call_next(0, true, Fate::Done) {}
    }
    let bob = world.nodes[1].engine.device_id();
    std::mem::take(world.server.mailbox(bob))
}

fn deliver(world: &mut World, envelope: &v1::Envelope) {
    let bob = world.nodes[1].engine.device_id();
    world.server.inject(bob, envelope.clone());
    world.settle();
}

#[test]
fn skipped_keys_survive_restarts_record_by_record() {
    let mut world = pair(1);
    let envelopes = held_back(&mut world, 6);
    deliver(&mut world, &envelopes[5]);
    let mut before = skipped(&world, 1);
    assert_eq!(before.len(), 5);
    for number in [3, 0, 4, 1, 2] {
        world.restart(1);
        deliver(&mut world, &envelopes[number]);
        let after = skipped(&world, 1);
        assert_eq!(after.len(), before.len() - 1, "its record is erased");
        assert!(
            after.iter().all(|key| before.contains(key)),
            "and no other is new"
        );
        before = after;
    }
    assert_eq!(world.texts(1)[1..], ["5", "3", "0", "4", "1", "2"]);
}

#[test]
fn saving_a_session_costs_the_same_however_many_messages_are_missing() {
    let mut world = pair(2);
    // So many that as many message ids are remembered as ever are.
    for _ in 0..8 {
        world.send(0, 1, "before", Fate::Done);
    }
    world.settle();
    let mut written = Vec::new();
    for missing in [0, 500] {
        let envelopes = held_back(&mut world, missing + 2);
        deliver(&mut world, &envelopes[missing]);
        assert_eq!(skipped(&world, 1).len(), missing);
        let input = Input::Delivered(envelopes[missing + 1].clone());
        let engine = &mut world.nodes[1].engine;
        let outputs = engine.handle(world.now, &mut world.rng, input).expect("taken");
        let sizes = outputs.records.values().flatten().map(|record| record.len());
        written.push((outputs.records.len(), sizes.sum::<usize>()));
        // Not persisted: this one never happened.
        world.restart(1);
        deliver(&mut world, &envelopes[missing + 1]);
    }
    let (none_missing, many_missing) = (written[0], written[1]);
    assert_eq!(none_missing.0, many_missing.0);
    // The text has two more digits.
    assert!(many_missing.1.abs_diff(none_missing.1) < 10, "{written:?}");
}

#[test]
fn skipped_keys_go_when_their_session_goes() {
    let mut world = World::new(3, &["bob"]);
    let bob = party_of(&world, "bob");
    let mut mallory = Scripted::new(31, "mallory", &[DeviceId::from_bytes([0xee; 16])]);
    mallory.show(&mut world, &mallory.manifest(1, [0; 32], &[0]));
    // Of the first session only the third message comes; then come more sessions than are kept.
    for number in 1..=6_u64 {
        let mut session = mallory.begin(&mut world, &bob, true);
        let plaintext = words(&world, &mallory.address, &bob.address, number, "hello");
        if number == 1 {
            for _ in 0..2 {
                session
                    .encrypt(&mut mallory.rng, world.now, b"lost")
                    .expect("it can be encrypted");
            }
        }
        mallory.deliver(&mut world, &bob, &mut session, &plaintext);
        world.settle();
        let kept = if number < 6 { 2 } else { 0 };
        assert_eq!(skipped(&world, 0).len(), kept, "after {number} sessions");
    }
    world.restart(0);
}

#[test]
fn skipped_keys_of_no_session_and_damaged_ones_are_not_loaded() {
    let mut world = pair(4);
    let envelopes = held_back(&mut world, 2);
    deliver(&mut world, &envelopes[1]);
    let names = skipped(&world, 1);
    let [name] = names.as_slice() else {
        panic!("one is missing: {names:?}");
    };
    let disk = world.disk(1);
    let (rest, id) = name.rsplit_once('/').expect("it ends in the key's id");
    let (of_device, _) = rest.rsplit_once('/').expect("before it the session's digest");
    let mut strayed = disk.clone();
    let record = strayed.remove(name).expect("it is there");
    strayed.insert(format!("{of_device}/{}/{id}", "0".repeat(64)), record.clone());
    let mut twice = disk.clone();
    twice.insert(format!("{rest}/{}", "0".repeat(id.len())), record.clone());
    let mut damaged = disk.clone();
    damaged.insert(name.clone(), record[..record.len() - 1].to_vec().into());
    assert!(Engine::load(disk.clone()).is_ok());
    for bad in [strayed, twice, damaged] {
        assert!(Engine::load(bad).is_err());
    }
}
