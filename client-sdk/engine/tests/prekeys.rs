//! Prekeys are there when needed, gone when used, and good for one session each.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_crypto::statements::DeviceId;
use sottovoce_engine::{EventKind, Input, Unreadable};
use world::scripted::{Scripted, party_of, words};
use world::{Fate, World, address};

const DAY: u64 = 86_400_000;

#[test]
fn first_messages_wait_for_somebody_away_for_long() {
    for days_away in [20, 24, 31, 60] {
        let mut world = World::new(days_away, &["alice", "bob"]);
        // About to be replaced, but not yet: this is the prekey handed out all the time Bob is away.
        world.now += 6 * DAY + DAY / 2;
        world.input(1, Input::Tick);
        world.settle();
        world.disconnect(1);
        world.now += (days_away - 1) * DAY;
        world.send(0, 1, "welcome back", Fate::Done);
        while world.call_next(0, true, Fate::Done) {}
        world.now += DAY;
        world.settle();
        assert_eq!(world.texts(1), ["welcome back"], "{days_away} days away");
    }
}

#[test]
fn a_replaced_signed_prekey_is_kept_for_thirty_days_and_erased() {
    let mut world = World::new(1, &["alice"]);
    let held = |world: &World| {
        let count = |kind: &str| world.disk(0).keys().filter(|key| key.starts_with(kind)).count();
        let signed = count("signed-prekey/");
        assert_eq!(signed, count("last-resort-kem-prekey/"), "one of each");
        signed
    };
    assert_eq!(held(&world), 1);
    world.now += 8 * DAY;
    world.input(0, Input::Tick);
    world.settle();
    assert_eq!(held(&world), 2);
    for _ in 0..20 {
        world.now += 7 * DAY;
        world.input(0, Input::Tick);
        world.settle();
    }
    assert!(
        (5..=6).contains(&held(&world)),
        "one a week, each kept for thirty days: {}",
        held(&world)
    );
    world.restart(0);
    world.settle();
}

#[test]
fn prekeys_drained_by_fetching_are_replaced_at_the_next_connection() {
    let mut world = World::new(2, &["alice", "bob"]);
    let bob = party_of(&world, "bob").device_id;
    let device = world.server.devices.get_mut(&bob).expect("registered");
    device.one_time.clear();
    device.one_time_kem.clear();
    world.disconnect(1);
    world.settle();
    let device = &world.server.devices[&bob];
    assert_eq!((device.one_time.len(), device.one_time_kem.len()), (50, 50));
}

#[test]
fn a_clock_that_was_wrong_does_not_stop_the_replacing() {
    let mut world = World::new(3, &["alice", "bob"]);
    let bob = party_of(&world, "bob").device_id;
    let right = world.now;
    world.now += 3_650 * DAY;
    world.input(1, Input::Tick);
    world.settle();
    world.now = right;
    let long_lived = |world: &World| {
        let device = &world.server.devices[&bob];
        (device.signed_prekey.clone(), device.last_resort_kem.clone())
    };
    let wrong = long_lived(&world);
    world.input(1, Input::Tick);
    world.settle();
    let made_anew = long_lived(&world);
    assert!(made_anew.0 != wrong.0 && made_anew.1 != wrong.1);
}

/// Mallory, who begins sessions with Bob as often as he likes.
fn mallory(world: &mut World) -> Scripted {
    let mallory = Scripted::new(31, "mallory", &[DeviceId::from_bytes([0xee; 16])]);
    mallory.show(world, &mallory.manifest(1, [0; 32], &[0]));
    mallory
}

#[test]
fn a_repeated_first_message_is_refused_after_its_session_is_forgotten() {
    let mut world = World::new(4, &["bob"]);
    let bob = party_of(&world, "bob");
    let mut mallory = mallory(&mut world);
    let mut first = None;
    // More sessions than are kept: the first one is forgotten, but not that it was accepted.
    for number in 0..7_u64 {
        let mut session = mallory.begin(&mut world, &bob, false);
        let plaintext = words(
            &world,
            &mallory.address,
            &bob.address,
            number + 1,
            &number.to_string(),
        );
        mallory.deliver(&mut world, &bob, &mut session, &plaintext);
        first.get_or_insert(world.server.mailbox(bob.device_id)[0].clone());
        world.settle();
    }
    world.restart(0);
    world
        .server
        .inject(bob.device_id, first.expect("seven were sent"));
    world.settle();
    assert_eq!(world.texts(0), ["0", "1", "2", "3", "4", "5", "6"]);
    assert!(matches!(
        world.complaints(0)[..],
        [EventKind::Unreadable {
            reason: Unreadable::NotAuthentic,
            ..
        }]
    ));
}

#[test]
fn a_one_time_prekey_is_good_for_one_session() {
    let mut world = World::new(5, &["bob"]);
    let bob = party_of(&world, "bob");
    let mut mallory = mallory(&mut world);
    let again = world.server.devices[&bob.device_id].one_time[0].clone();
    for number in 0..2_u64 {
        let device = world.server.devices.get_mut(&bob.device_id).expect("registered");
        device.one_time.insert(0, again.clone());
        let mut session = mallory.begin(&mut world, &bob, true);
        let plaintext = words(
            &world,
            &mallory.address,
            &bob.address,
            number + 1,
            &number.to_string(),
        );
        mallory.deliver(&mut world, &bob, &mut session, &plaintext);
        world.settle();
    }
    assert_eq!(world.texts(0), ["0"]);
    let key = format!("one-time-prekey/{}", again.id);
    assert!(!world.disk(0).contains_key(&key), "its secret is erased");
}

#[test]
fn the_memory_for_first_messages_is_bounded_and_strangers_still_get_through() {
    let mut world = World::new(6, &["bob", "alice"]);
    let bob = party_of(&world, "bob");
    let mut mallory = mallory(&mut world);
    for number in 0..5_000_u64 {
        let mut session = mallory.begin(&mut world, &bob, false);
        mallory.deliver(&mut world, &bob, &mut session, b"\xff");
        if number % 100 == 0 {
            world.settle();
            world.input(0, Input::Tick);
            world.settle();
        }
    }
    world.settle();
    let kept = |what: &str| world.disk(0).keys().filter(|key| key.starts_with(what)).count();
    assert_eq!((kept("initial/"), kept("signed-prekey/")), (4_000, 8));
    assert_eq!(kept("session/"), 0, "nothing is kept of somebody never heard");
    world.send(1, 0, "with a one-time prekey", Fate::Done);
    world.settle();
    assert_eq!(world.texts(0), ["with a one-time prekey"]);
    assert_eq!(
        world.nodes[0].engine.trusted_account_key(&address("mallory")),
        None
    );
}
