//! Channels: who is in them is what is signed, and who is not in them reads nothing.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_crypto::statements::{Account, Address, ChannelId, Role, RosterChange};
use sottovoce_engine::{Body, Call, ChannelPost, EventKind, Input, InputError};
use world::{Fate, World, address};

/// Everybody of these knows everybody.
fn acquainted(seed: u64, names: &[&str]) -> World {
    let mut world = World::new(seed, names);
    for from in 0..names.len() {
        for to in (0..names.len()).filter(|to| *to != from) {
            world.send(from, to, "hello", Fate::Done);
        }
    }
    world.settle();
    world
}

fn found(world: &mut World, node: usize) -> ChannelId {
    let rng = &mut world.rng.clone();
    let (channel, outputs) = world.nodes[node]
        .engine
        .create_channel(world.now, rng)
        .expect("founded");
    world.take(node, outputs, Fate::Done);
    world.settle();
    channel
}

fn change(world: &mut World, node: usize, channel: ChannelId, change: RosterChange) {
    world.input(node, Input::ChangeRoster { channel, change });
    world.settle();
}

fn add(world: &mut World, node: usize, channel: ChannelId, name: &str) {
    let account_key = world.nodes[node].engine.trusted_account_key(&address(name));
    let account = Account {
        address: address(name),
        account_key: account_key.expect("an acquaintance"),
    };
    change(world, node, channel, RosterChange::Add(account));
}

fn post_with(world: &mut World, node: usize, channel: ChannelId, text: &str, fate: Fate) {
    let body = Body::Text(text.into());
    // A different stream of randomness each time, as from a real generator.
    let (_, outputs) = world.nodes[node]
        .engine
        .post(world.now, &mut world.rng, channel, body)
        .expect("it can be posted");
    world.take(node, outputs, fate);
}

fn post(world: &mut World, node: usize, channel: ChannelId, text: &str) {
    post_with(world, node, channel, text, Fate::Done);
    world.settle();
}

fn posts(world: &World, node: usize) -> Vec<(Address, String)> {
    let told = world.nodes[node].told.values();
    told.filter_map(|kind| match kind {
        EventKind::PostReceived(ChannelPost {
            from,
            body: Body::Text(text),
            ..
        }) => Some((from.clone(), text.clone())),
        _ => None,
    })
    .collect()
}

fn by(name: &str, text: &str) -> (Address, String) {
    (address(name), text.to_owned())
}

fn told(world: &World, node: usize, kind: &EventKind) -> bool {
    world.nodes[node].told.values().any(|told| told == kind)
}

/// Alice's channel, with bob and carol in it.
fn of_three(seed: u64) -> (World, ChannelId) {
    let mut world = acquainted(seed, &["alice", "bob", "carol"]);
    let channel = found(&mut world, 0);
    add(&mut world, 0, channel, "bob");
    add(&mut world, 0, channel, "carol");
    (world, channel)
}

#[test]
fn three_members_read_each_other() {
    let (mut world, channel) = of_three(60);
    post(&mut world, 0, channel, "welcome");
    for node in 0..3 {
        let roster = world.nodes[node].engine.roster(channel);
        assert_eq!(
            roster.map(|roster| (roster.members().len(), roster.head().height)),
            Some((3, 2))
        );
    }
    post(&mut world, 1, channel, "thanks");
    post(&mut world, 2, channel, "likewise");
    post(&mut world, 0, channel, "good");
    assert_eq!(posts(&world, 0), [by("bob", "thanks"), by("carol", "likewise")]);
    let of_bob = [
        by("alice", "welcome"),
        by("carol", "likewise"),
        by("alice", "good"),
    ];
    assert_eq!(posts(&world, 1), of_bob);
    let of_carol = [by("alice", "welcome"), by("bob", "thanks"), by("alice", "good")];
    assert_eq!(posts(&world, 2), of_carol);
}

#[test]
fn who_was_removed_reads_nothing_more() {
    let (mut world, channel) = of_three(61);
    post(&mut world, 0, channel, "with carol");
    post(&mut world, 1, channel, "with carol too");
    change(&mut world, 0, channel, RosterChange::Remove(address("carol")));
    // Even with a server that hands her everything.
    let carol = world.nodes[2].engine.device_id();
    let disk = world.disk(2).clone();
    post(&mut world, 0, channel, "without her");
    post(&mut world, 1, channel, "without her too");
    let bob = world.nodes[1].engine.device_id();
    assert!(world.server.mailbox(carol).is_empty() && world.server.mailbox(bob).is_empty());
    assert_eq!(posts(&world, 2).len(), 2);
    let last = world.server.last_post.clone().expect("there were posts");
    world.server.inject(carol, last);
    world.settle();
    assert_eq!(posts(&world, 2).len(), 2);
    assert_eq!(posts(&world, 0).len(), 2);
    assert!(disk.keys().any(|key| key.starts_with("member-key/")));
    world.disconnect(2);
    world.settle();
    assert!(told(&world, 2, &EventKind::ChannelLeft { channel }));
    let keys = world.disk(2).keys();
    assert_eq!(
        keys.filter(|key| key.contains("-key/") && key.starts_with("member"))
            .count(),
        0
    );
}

#[test]
fn a_post_made_under_an_older_roster_is_made_anew() {
    let (mut world, channel) = of_three(62);
    post(&mut world, 1, channel, "with carol");
    // Bob does not hear of the removal before he posts.
    change(&mut world, 0, channel, RosterChange::Remove(address("carol")));
    let head = world.nodes[1]
        .engine
        .roster(channel)
        .expect("a member")
        .head()
        .height;
    assert_eq!(head, 2);
    post(&mut world, 1, channel, "without carol");
    assert_eq!(
        posts(&world, 0),
        [by("bob", "with carol"), by("bob", "without carol")]
    );
    assert_eq!(posts(&world, 2), [by("bob", "with carol")]);
    assert_eq!(
        world.nodes[1]
            .engine
            .roster(channel)
            .expect("a member")
            .head()
            .height,
        3
    );
}

#[test]
fn two_changes_at_once_both_come_about() {
    let (mut world, channel) = of_three(63);
    let admin = RosterChange::SetRole {
        address: address("bob"),
        role: Role::Admin,
    };
    change(&mut world, 0, channel, admin);
    world.disconnect(1);
    world.settle(); // bob hears of it
    let ban = |name| RosterChange::Ban(address(name));
    let both = [(0, ban("mallory")), (1, ban("trudy"))];
    for (node, change) in both {
        world.input(node, Input::ChangeRoster { channel, change });
    }
    world.settle();
    world.disconnect(0);
    world.settle();
    for node in 0..2 {
        let roster = world.nodes[node].engine.roster(channel).expect("a member");
        assert_eq!(roster.banned().count(), 2, "at height {}", roster.head().height);
    }
}

#[test]
fn members_change_only_what_their_role_allows() {
    let (mut world, channel) = of_three(64);
    let rng = &mut world.rng.clone();
    let change = RosterChange::Remove(address("carol"));
    let input = Input::ChangeRoster { channel, change };
    let answer = world.nodes[1].engine.handle(world.now, rng, input).map(|_| ());
    assert_eq!(answer, Err(InputError::NotAllowed));
    self::change(&mut world, 1, channel, RosterChange::Leave);
    assert!(told(&world, 1, &EventKind::ChannelLeft { channel }));
    let answer = world.nodes[1]
        .engine
        .post(world.now, rng, channel, Body::Text("x".into()));
    assert!(matches!(answer, Err(InputError::NoSuchChannel)));
}

#[test]
fn an_entry_that_nobody_could_have_signed_is_not_believed() {
    let (mut world, channel) = of_three(65);
    let entries = &mut world
        .server
        .channels
        .all
        .values_mut()
        .next()
        .expect("a channel")
        .entries;
    let mut forged = entries[2].clone();
    forged.signature[10] ^= 1;
    entries.push(forged);
    world.disconnect(1);
    world.settle();
    assert!(told(&world, 1, &EventKind::ChannelUnverified { channel }));
    assert_eq!(
        world.nodes[1]
            .engine
            .roster(channel)
            .expect("a member")
            .head()
            .height,
        2
    );
}

#[test]
fn nothing_is_posted_while_a_member_names_a_head_that_is_not_shown() {
    let (mut world, channel) = of_three(66);
    post(&mut world, 2, channel, "hello");
    post(&mut world, 1, channel, "hello");
    change(&mut world, 0, channel, RosterChange::Remove(address("carol")));
    // The server keeps the removal from bob, and shows him a post of alice's that names it.
    world.server.channels.withheld = 1;
    post(&mut world, 0, channel, "look");
    assert_eq!(posts(&world, 1).last(), Some(&by("alice", "look")), "it is shown");
    post_with(&mut world, 1, channel, "anybody?", Fate::Done);
    for _ in 0..5 {
        while world.has_call(1) {
            let (call, request) = world.take_call(1);
            assert!(
                !matches!(request, Call::Post(_)),
                "posted under a roster in doubt"
            );
            let bob = world.nodes[1].engine.device_id();
            let answer = world.server.call(bob, world.now, request);
            world.input(1, Input::Answered { call, answer });
        }
        world.input(1, Input::Tick);
    }
    world.server.channels.withheld = 0;
    world.disconnect(1);
    world.settle();
    assert_eq!(posts(&world, 0).last(), Some(&by("bob", "anybody?")));
    assert!(!posts(&world, 2).contains(&by("bob", "anybody?")));
}

#[test]
fn posts_survive_power_failures_and_come_once() {
    for seed in 70..76 {
        let (mut world, channel) = of_three(seed);
        for round in 0..6 {
            let fate = [Fate::Done, Fate::LostAfterPersisting][round % 2];
            post_with(&mut world, 0, channel, &format!("post {round}"), fate);
            for _ in 0..=round {
                let answered = !(seed + round as u64).is_multiple_of(3);
                world.connect(0);
                world.call_next(0, answered, fate);
            }
            world.restart(0);
            if round == 3 {
                world.restart(1);
            }
        }
        world.settle();
        let expected: Vec<_> = (0..6)
            .map(|round| by("alice", &format!("post {round}")))
            .collect();
        assert_eq!(posts(&world, 1), expected, "seed {seed}");
        assert_eq!(posts(&world, 2), expected, "seed {seed}");
    }
}
