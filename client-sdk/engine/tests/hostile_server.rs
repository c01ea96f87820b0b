//! A server that lies is found out: nothing it makes up, holds back, repeats or swaps goes unnoticed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_crypto::statements::{
    Address, DeviceBinding, DeviceId, DeviceManifest, ManifestDevice, Signed,
};
use sottovoce_crypto::{AccountKeyPair, IdentityKeyPair, SignedPrekeyPair};
use sottovoce_engine::{Engine, EventKind, Input, InputError, SendFailure, Unreadable};
use sottovoce_proto::v1;
use world::{Fate, START, World, address};

fn pair(seed: u64) -> World {
    let mut world = World::new(seed, &["alice", "bob"]);
    world.send(0, 1, "first", Fate::Done);
    world.settle();
    world.send(1, 0, "back", Fate::Done);
    world.settle();
    world
}

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

fn unreadable(world: &World, node: usize) -> Vec<Unreadable> {
    let told = world.nodes[node].told.values();
    told.filter_map(|kind| {
        if let EventKind::Unreadable { reason, .. } = kind {
            Some(*reason)
        } else {
            None
        }
    })
    .collect()
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
fn a_repeated_first_message_is_refused_even_without_a_one_time_prekey() {
    let mut world = World::new(11, &["alice", "bob"]);
    let bob = world.nodes[1].engine.device_id();
    world
        .server
        .devices
        .get_mut(&bob)
        .expect("bob is registered")
        .one_time
        .clear();
    let envelopes = held_back(&mut world, &["one"]);
    world.server.inject(bob, envelopes[0].clone());
    world.settle();
    // Many sessions later the first one is forgotten, but not that it was accepted.
    world.restart(1);
    world.server.inject(bob, envelopes[0].clone());
    world.settle();
    assert_eq!(world.texts(1), ["one"]);
    assert_eq!(unreadable(&world, 1), [Unreadable::NotAuthentic]);
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
fn another_account_key_stops_everything_until_it_is_accepted() {
    let mut world = pair(15);
    let true_account = world.server.accounts[&address("bob").to_string()].clone();
    let false_registration = {
        let (engine, _) =
            Engine::create(START, &mut world.rng, address("bob")).expect("an address can be stated");
        engine.registration().expect("a new engine is unregistered")
    };
    let old_devices: Vec<_> = std::mem::take(&mut world.server.devices).into_iter().collect();
    world.server.register(&false_registration);
    let false_devices: Vec<_> = world.server.devices.keys().copied().collect();
    world.server.devices.extend(old_devices);
    // The real device is hidden from senders.
    let bob = world.nodes[1].engine.device_id();
    world
        .server
        .devices
        .get_mut(&bob)
        .expect("bob is registered")
        .address = "hidden@chat.example".into();

    world.send(0, 1, "for the real bob only", Fate::Done);
    world.settle();
    let new_key = match &world.complaints(0)[..] {
        [EventKind::AccountKeyChanged { account_key, .. }] => *account_key,
        other => panic!("expected a changed key, got {other:?}"),
    };
    assert_eq!(
        new_key.as_bytes().as_slice(),
        false_registration.account_key.as_slice()
    );
    assert!(world.server.mailbox(false_devices[0]).is_empty());

    // Another key than the one shown cannot be accepted, and a restart forgets nothing.
    world.restart(0);
    let wrong = world.nodes[0].engine.account_key();
    let refused = world.nodes[0].engine.handle(
        world.now,
        &mut world.rng,
        Input::AcceptAccountKey {
            address: address("bob"),
            account_key: wrong,
        },
    );
    assert_eq!(
        refused.expect_err("it is not the key shown"),
        InputError::NoSuchAccountKey
    );
    world.settle();
    assert!(world.server.mailbox(false_devices[0]).is_empty());

    // The server tells the truth again: the message goes where it was meant to.
    world
        .server
        .devices
        .get_mut(&bob)
        .expect("bob is registered")
        .address = address("bob").to_string();
    world.server.devices.remove(&false_devices[0]);
    world
        .server
        .accounts
        .insert(address("bob").to_string(), true_account);
    let pinned = world.nodes[0].engine.trusted_account_key(&address("bob"));
    assert_eq!(pinned, Some(world.nodes[1].engine.account_key()));
}

#[test]
fn an_accepted_key_lets_messages_flow_again() {
    let mut world = pair(17);
    // Bob really begins anew: another account under the same address.
    let mut fresh = World::new(18, &["bob"]);
    std::mem::swap(&mut world.nodes[1], &mut fresh.nodes[0]);
    for (id, device) in std::mem::take(&mut world.server.devices) {
        if device.address != address("bob").to_string() {
            world.server.devices.insert(id, device);
        }
    }
    let new_account = fresh
        .server
        .accounts
        .remove(&address("bob").to_string())
        .expect("registered");
    let new_key = world.nodes[1].engine.account_key();
    world
        .server
        .accounts
        .insert(address("bob").to_string(), new_account);
    world
        .server
        .devices
        .extend(std::mem::take(&mut fresh.server.devices));

    world.send(0, 1, "are you there?", Fate::Done);
    world.settle();
    assert!(world.texts(1).is_empty());
    world.input(
        0,
        Input::AcceptAccountKey {
            address: address("bob"),
            account_key: new_key,
        },
    );
    world.settle();
    assert_eq!(world.texts(1), ["are you there?"]);
}

#[test]
fn an_unverifiable_account_is_not_written_to() {
    type Lie = fn(&mut v1::GetAccountResponse);
    let lies: [Lie; 5] = [
        |account| account.bindings.clear(),
        |account| account.account_key = vec![7; 31],
        |account| account.manifest.as_mut().expect("it has one").signature[3] ^= 1,
        |account| account.bindings[0].signature[3] ^= 1,
        |account| account.manifest = None,
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let mut world = World::new(20 + number as u64, &["alice", "bob"]);
        lie(world
            .server
            .accounts
            .get_mut(&address("bob").to_string())
            .expect("registered"));
        world.send(0, 1, "hello", Fate::Done);
        world.settle();
        assert!(world.server.taken.is_empty(), "lie {number}");
        assert!(
            world.complaints(0).iter().any(|kind| matches!(
                kind,
                EventKind::MessageFailed {
                    reason: SendFailure::RecipientNotVerified,
                    ..
                }
            )),
            "lie {number}"
        );
    }
}

#[test]
fn an_account_shown_under_another_name_is_not_believed() {
    let mut world = World::new(30, &["alice", "bob", "carol"]);
    let carol = world.server.accounts[&address("carol").to_string()].clone();
    world.server.accounts.insert(address("bob").to_string(), carol);
    world.send(0, 1, "for bob", Fate::Done);
    world.settle();
    assert!(world.server.taken.is_empty());
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
fn a_message_to_nobody_fails_with_a_reason() {
    let mut world = World::new(32, &["alice", "bob"]);
    world.server.accounts.remove(&address("bob").to_string());
    world.send(0, 1, "hello?", Fate::Done);
    world.settle();
    assert!(matches!(
        world.complaints(0)[..],
        [EventKind::MessageFailed {
            reason: SendFailure::NoSuchAccount,
            ..
        }]
    ));
}

#[test]
fn a_new_device_is_written_to_as_well() {
    let (mut world, bob) = with_scripted_bob(40);
    world.send_to(0, &bob.address, "one");
    world.settle();
    bob.show(&mut world, 2, bob.hash(1), &[0, 1]);
    world.send_to(0, &bob.address, "two");
    world.settle();
    assert_eq!(
        world
            .server
            .taken
            .iter()
            .map(|request| request.messages.len())
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(world.complaints(0).is_empty());
}

#[test]
fn an_older_or_contradicting_manifest_is_not_believed() {
    // What the server shows after version 2, with devices 0 and 1, was seen.
    type Lie = fn(&ScriptedBob, &mut World);
    let lies: [Lie; 3] = [
        |bob, world| bob.show(world, 1, [0; 32], &[0]),
        |bob, world| bob.show(world, 2, bob.hash(1), &[0, 2]),
        |bob, world| bob.show(world, 3, [9; 32], &[0, 2]),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let (mut world, bob) = with_scripted_bob(50 + number as u64);
        bob.show(&mut world, 2, bob.hash(1), &[0, 1]);
        world.send_to(0, &bob.address, "one");
        world.settle();
        lie(&bob, &mut world);
        world.send_to(0, &bob.address, "two");
        world.settle();
        assert_eq!(world.server.taken.len(), 1, "lie {number}");
        assert!(
            world
                .complaints(0)
                .iter()
                .any(|kind| matches!(kind, EventKind::ManifestConflict { .. })),
            "lie {number}"
        );
    }
}

/// Bob as somebody who holds his keys could act: three devices, and any manifest he likes.
struct ScriptedBob {
    address: Address,
    account: AccountKeyPair,
    devices: Vec<(DeviceId, IdentityKeyPair)>,
}

fn with_scripted_bob(seed: u64) -> (World, ScriptedBob) {
    let mut world = World::new(seed, &["alice"]);
    let devices = (0..3)
        .map(|number| {
            (
                DeviceId::from_bytes([number + 1; 16]),
                IdentityKeyPair::generate(&mut world.rng),
            )
        })
        .collect();
    let account = AccountKeyPair::generate(&mut world.rng);
    let bob = ScriptedBob {
        address: address("bob"),
        account,
        devices,
    };
    bob.show(&mut world, 1, [0; 32], &[0]);
    (world, bob)
}

impl ScriptedBob {
    fn manifest(&self, version: u64, previous: [u8; 32], devices: &[usize]) -> Signed<DeviceManifest> {
        let devices = devices
            .iter()
            .map(|number| ManifestDevice {
                device_id: self.devices[*number].0,
                identity_key: self.devices[*number].1.public(),
            })
            .collect();
        self.account
            .sign_manifest(DeviceManifest {
                address: self.address.clone(),
                version,
                previous,
                devices,
            })
            .expect("a manifest can be signed")
    }

    /// The hash of version 1 with the first device only.
    fn hash(&self, version: u64) -> [u8; 32] {
        let manifest = self.manifest(version, [0; 32], &[0]);
        manifest
            .verify(&self.account.public())
            .expect("signed by this key")
            .hash()
    }

    /// Has the server show a manifest, and hold prekeys for its devices.
    fn show(&self, world: &mut World, version: u64, previous: [u8; 32], devices: &[usize]) {
        let wire = |statement: &[u8], signature: &[u8; 64]| v1::SignedStatement {
            statement: statement.to_vec(),
            signature: signature.to_vec(),
        };
        let manifest = self.manifest(version, previous, devices);
        world
            .server
            .devices
            .retain(|_, device| device.address != self.address.to_string());
        let mut bindings = Vec::new();
        for number in devices {
            let (device_id, identity) = &self.devices[*number];
            let binding = identity
                .sign_binding(DeviceBinding {
                    account_key: self.account.public(),
                    address: self.address.clone(),
                    device_id: *device_id,
                })
                .expect("a binding can be signed");
            bindings.push(wire(binding.statement_bytes(), binding.signature_bytes()));
            let prekey = SignedPrekeyPair::generate(&mut world.rng, identity, *device_id, 1, START)
                .expect("a prekey can be signed");
            let device = world.server.devices.entry(*device_id).or_default();
            device.address = self.address.to_string();
            let statement = prekey.statement();
            device.signed_prekey = Some(wire(statement.statement_bytes(), statement.signature_bytes()));
        }
        let account = v1::GetAccountResponse {
            account_key: self.account.public().as_bytes().to_vec(),
            manifest: Some(wire(manifest.statement_bytes(), manifest.signature_bytes())),
            bindings,
        };
        world.server.accounts.insert(self.address.to_string(), account);
    }
}
