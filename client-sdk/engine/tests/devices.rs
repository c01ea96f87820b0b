//! Several devices of one account: linked, written to, kept in step, revoked and recovered.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod world;

use sottovoce_crypto::statements::DeviceId;
use sottovoce_crypto::{IdentityKeyPair, LinkingOffer, PendingLink};
use sottovoce_engine::{Body, Engine, EventKind, Input, InputError};
use sottovoce_proto::v1;
use world::{Fate, World, address};

const ID: DeviceId = DeviceId::from_bytes([0xd2; 16]);

const OTHER: DeviceId = DeviceId::from_bytes([0xd3; 16]);

fn offered(world: &mut World) -> (IdentityKeyPair, PendingLink) {
    offered_as(world, ID)
}

fn offered_as(world: &mut World, id: DeviceId) -> (IdentityKeyPair, PendingLink) {
    let identity = IdentityKeyPair::generate(&mut world.rng);
    let pending = PendingLink::new(&mut world.rng, world.now, id, identity.public());
    (identity, pending)
}

fn link_device(world: &mut World, primary: usize, pending: &PendingLink) {
    let offer = LinkingOffer::from_bytes(&pending.offer().to_bytes()).expect("an offer");
    world.input(primary, Input::LinkDevice(Box::new(offer)));
    world.settle();
}

/// Links a second device to a node's account; the primary restarts on the way.
fn linked(world: &mut World, primary: usize) -> usize {
    linked_as(world, primary, ID)
}

fn linked_as(world: &mut World, primary: usize, id: DeviceId) -> usize {
    let (identity, pending) = offered_as(world, id);
    link_device(world, primary, &pending);
    world.restart(primary);
    let grant = world.server.grants[id.as_bytes().as_slice()].clone();
    let granted = pending.open(world.now, &grant).expect("it is for this device");
    assert_eq!(granted.address(), world.nodes[primary].engine.address());
    let (account, data) = (
        granted.join(&identity).expect("its key"),
        granted.app_data().to_vec(),
    );
    let (engine, outputs) =
        Engine::join(world.now, &mut world.rng, id, identity, account, &data).expect("it is named");
    let joining = engine.joining().expect("it has not joined yet");
    world.server.update_manifest(&joining).expect("it follows");
    let node = world.add(engine, outputs);
    world.settle();
    world.input(primary, Input::Tick);
    world.settle();
    node
}

fn synced(world: &World, node: usize) -> Vec<String> {
    let told = world.nodes[node].told.values();
    told.filter_map(|kind| match kind {
        EventKind::MessageSynced {
            to,
            body: Body::Text(text),
            ..
        } => Some(format!("{to}: {text}")),
        _ => None,
    })
    .collect()
}

#[test]
fn a_linked_device_reads_and_writes_as_the_account() {
    let mut world = World::new(50, &["alice", "bob"]);
    world.send(0, 1, "first", Fate::Done);
    world.settle();
    let tablet = linked(&mut world, 0);
    assert_eq!(world.nodes[0].engine.devices().len(), 2);
    let changed = EventKind::DevicesChanged {
        added: vec![ID],
        removed: Vec::new(),
    };
    assert_eq!(world.complaints(0), [&changed]);

    world.send(1, 0, "to both", Fate::Done);
    world.settle();
    assert_eq!(
        (world.texts(0), world.texts(tablet)),
        (vec!["to both"], vec!["to both"])
    );
    world.send(0, 1, "from the phone", Fate::Done);
    world.settle();
    world.send(tablet, 1, "from the tablet", Fate::Done);
    world.settle();
    assert_eq!(world.texts(1), ["first", "from the phone", "from the tablet"]);
    assert!(
        world
            .received(1)
            .iter()
            .all(|message| message.from == address("alice"))
    );
    assert_eq!(synced(&world, tablet), ["bob@chat.example: from the phone"]);
    assert_eq!(synced(&world, 0), ["bob@chat.example: from the tablet"]);
    assert!(world.complaints(1).is_empty(), "{:?}", world.complaints(1));

    // An access key drawn on one device is that of the other.
    world.input(tablet, Input::RotateAccessKey);
    world.settle();
    world.send(tablet, 1, "another key", Fate::Done);
    world.settle();
    world.send(0, 1, "the same key", Fate::Done);
    world.settle();
    let sealed = world.server.sealed;
    world.send(1, 0, "unseen", Fate::Done);
    world.settle();
    assert_eq!(world.server.sealed, sealed + 1);
    assert!(world.complaints(1).is_empty(), "{:?}", world.complaints(1));
}

#[test]
fn a_revoked_device_says_so_and_is_sent_nothing_more() {
    let mut world = World::new(51, &["alice", "bob"]);
    world.send(1, 0, "first", Fate::Done);
    world.settle();
    let tablet = linked(&mut world, 0);
    world.input(0, Input::RevokeDevice(ID));
    // Power fails before the server has the manifest: it is published all the same.
    world.restart(0);
    world.disconnect(tablet);
    world.connect(0);
    world.send(1, 0, "to the phone", Fate::Done);
    while world.call_next(0, true, Fate::Done) {}
    assert_eq!(world.nodes[0].engine.devices().len(), 1);
    assert!(!world.server.devices.contains_key(&ID));
    for node in (0..2).cycle().take(10) {
        while world.call_next(node, true, Fate::Done) || world.deliver_next(node, Fate::Done) {}
    }
    assert_eq!(world.texts(0), ["first", "to the phone"]);
    assert_eq!(world.texts(tablet), Vec::<&str>::new());

    // Should its server let it ask still, it says what it sees.
    let alice = world.server.accounts[&address("alice").to_string()].clone();
    world.input(tablet, Input::Connected);
    let rng = &mut world.rng.clone();
    let look = world.nodes[tablet]
        .engine
        .handle(world.now, rng, Input::Connected);
    let outputs = look.expect("nothing refused");
    let asks = |call: &sottovoce_engine::Call| matches!(call, sottovoce_engine::Call::GetAccount(_));
    let (call, _) = outputs
        .calls
        .into_iter()
        .find(|(_, call)| asks(call))
        .expect("it asks");
    let answer = Ok(sottovoce_engine::Reply::Account(alice));
    world.input(tablet, Input::Answered { call, answer });
    assert!(
        world.nodes[tablet]
            .told
            .values()
            .any(|kind| *kind == EventKind::Revoked)
    );
}

#[test]
fn only_the_primary_device_changes_the_devices() {
    let mut world = World::new(52, &["alice"]);
    let tablet = linked(&mut world, 0);
    let (_, pending) = offered(&mut world);
    let offer = LinkingOffer::from_bytes(&pending.offer().to_bytes()).expect("an offer");
    let primary = world.nodes[0].engine.device_id();
    let rng = &mut world.rng.clone();
    for input in [Input::LinkDevice(Box::new(offer)), Input::RevokeDevice(primary)] {
        let answer = world.nodes[tablet]
            .engine
            .handle(world.now, rng, input)
            .map(|_| ());
        assert_eq!(answer, Err(InputError::NotPrimary));
    }
    for device in [primary, DeviceId::from_bytes([0xee; 16])] {
        let input = Input::RevokeDevice(device);
        let answer = world.nodes[0].engine.handle(world.now, rng, input).map(|_| ());
        assert_eq!(answer, Err(InputError::NoSuchDevice));
    }
}

#[test]
fn a_device_that_never_joins_is_revoked_by_the_next_manifest() {
    let mut world = World::new(53, &["alice", "bob"]);
    let (_, pending) = offered(&mut world);
    link_device(&mut world, 0, &pending);
    world.input(0, Input::RevokeDevice(ID));
    world.restart(0);
    world.settle();
    assert_eq!(world.nodes[0].engine.devices().len(), 1);
    // Whoever saw none of it takes the third manifest up.
    world.send(0, 1, "still me", Fate::Done);
    world.settle();
    world.send(1, 0, "good", Fate::Done);
    world.settle();
    assert_eq!((world.texts(0), world.texts(1)), (vec!["good"], vec!["still me"]));
}

#[test]
fn another_device_is_linked_after_one_that_never_joined() {
    let mut world = World::new(57, &["alice", "bob"]);
    let (_, never) = offered(&mut world);
    link_device(&mut world, 0, &never);
    world.restart(0);
    world.settle();
    let tablet = linked_as(&mut world, 0, OTHER);
    let phone = world.nodes[0].engine.device_id();
    assert_eq!(world.nodes[0].engine.devices().len(), 2);
    assert!(!world.nodes[0].engine.devices().contains(&ID));
    let told: Vec<_> = world.complaints(0).into_iter().cloned().collect();
    let joined = EventKind::DevicesChanged {
        added: vec![OTHER],
        removed: Vec::new(),
    };
    assert_eq!(told, [joined]);
    assert!(world.nodes[tablet].engine.devices().contains(&phone));
    world.send(1, 0, "to both", Fate::Done);
    world.settle();
    assert_eq!(
        (world.texts(0), world.texts(tablet)),
        (vec!["to both"], vec!["to both"])
    );
}

#[test]
fn two_revoked_at_once_are_both_gone() {
    let mut world = World::new(60, &["alice"]);
    linked(&mut world, 0);
    linked_as(&mut world, 0, OTHER);
    world.input(0, Input::RevokeDevice(ID));
    world.input(0, Input::RevokeDevice(OTHER));
    while world.call_next(0, true, Fate::Done) {}
    assert_eq!(world.nodes[0].engine.devices().len(), 1);
    assert_eq!(world.server.devices.len(), 1);
}

#[test]
fn a_device_that_joins_late_is_revoked_with_the_manifest_that_was_signed_since() {
    let mut world = World::new(58, &["alice", "bob"]);
    let (identity, pending) = offered(&mut world);
    link_device(&mut world, 0, &pending);
    let grant = world.server.grants[ID.as_bytes().as_slice()].clone();
    let granted = pending.open(world.now, &grant).expect("it is for this device");
    let account = granted.join(&identity).expect("its key");
    let (engine, outputs) =
        Engine::join(world.now, &mut world.rng, ID, identity, account, &[]).expect("it is named");
    // Alice gives it up, and in the same moment it joins.
    world.input(0, Input::RevokeDevice(ID));
    let (call, request) = world.take_call(0);
    let joining = engine.joining().expect("it has not joined yet");
    world.server.update_manifest(&joining).expect("it follows");
    world.add(engine, outputs);
    let alice = world.nodes[0].engine.device_id();
    let answer = world.server.call(alice, world.now, request);
    world.input(0, Input::Answered { call, answer });
    world.connect(0);
    while world.call_next(0, true, Fate::Done) {}
    assert!(!world.server.devices.contains_key(&ID));
    assert_eq!(world.nodes[0].engine.devices().len(), 1);
    assert!(
        !world
            .complaints(0)
            .iter()
            .any(|told| matches!(told, EventKind::ManifestDisputed { .. }))
    );
}

#[test]
fn an_account_is_recovered_though_a_device_was_being_linked() {
    let mut world = World::new(59, &["alice"]);
    let (_, never) = offered(&mut world);
    link_device(&mut world, 0, &never);
    let material = world.nodes[0].engine.material().expect("the secret");
    let (engine, outputs) =
        Engine::recover(world.now, &mut world.rng, material, None).expect("it can be signed");
    let joining = engine.joining().expect("it has not joined yet");
    world.server.update_manifest(&joining).expect("it follows");
    let recovered = world.add(engine, outputs);
    let only = world.nodes[recovered].engine.device_id();
    assert_eq!(world.nodes[recovered].engine.devices(), [only]);
    assert_eq!(world.server.devices.keys().collect::<Vec<_>>(), [&only]);
    // It goes on from there, also after a restart.
    world.restart(recovered);
    let tablet = {
        let (identity, pending) = offered_as(&mut world, OTHER);
        world.connect(recovered);
        let offer = LinkingOffer::from_bytes(&pending.offer().to_bytes()).expect("an offer");
        world.input(recovered, Input::LinkDevice(Box::new(offer)));
        while world.call_next(recovered, true, Fate::Done) {}
        let grant = world.server.grants[OTHER.as_bytes().as_slice()].clone();
        let granted = pending.open(world.now, &grant).expect("it is for this device");
        let account = granted.join(&identity).expect("its key");
        Engine::join(world.now, &mut world.rng, OTHER, identity, account, &[]).expect("it is named")
    };
    let joining = tablet.0.joining().expect("it has not joined yet");
    world.server.update_manifest(&joining).expect("it follows");
}

#[test]
fn an_account_is_recovered_whatever_the_server_has_had_of_its_manifests() {
    for published in [false, true] {
        let mut world = World::new(61, &["alice"]);
        let (_, never) = offered(&mut world);
        link_device(&mut world, 0, &never);
        // Two wait now: one that nobody joined by, and one without it, which is on its way.
        world.input(0, Input::RevokeDevice(ID));
        let material = world.nodes[0].engine.material().expect("the secret");
        if published {
            while world.call_next(0, true, Fate::Done) {}
        }
        let shown = world.server.accounts["alice@chat.example"].manifest.clone();
        let (engine, _) =
            Engine::recover(world.now, &mut world.rng, material, shown.as_ref()).expect("it can be signed");
        let joining = engine.joining().expect("it has not joined yet");
        world.server.update_manifest(&joining).expect("it follows");
        let devices: Vec<_> = world.server.devices.keys().copied().collect();
        assert_eq!(devices, [engine.device_id()]);
    }
}

#[test]
fn a_recovered_account_takes_up_only_what_its_key_has_signed_since() {
    let mut world = World::new(62, &["alice", "bob"]);
    let older = world.server.accounts["alice@chat.example"].manifest.clone();
    let anothers = world.server.accounts["bob@chat.example"].manifest.clone();
    let (_, never) = offered(&mut world);
    link_device(&mut world, 0, &never);
    let cut_short = older.clone().map(|mut signed| {
        signed.statement.pop();
        signed
    });
    for shown in [None, older, anothers, cut_short] {
        let material = world.nodes[0].engine.material().expect("the secret");
        let sealed = material.manifest().version;
        let (engine, _) =
            Engine::recover(world.now, &mut world.rng, material, shown.as_ref()).expect("it can be signed");
        let joining = engine.joining().expect("it has not joined yet");
        let manifest = joining.manifest.as_ref().expect("one");
        let version = world::model_server::manifest_in(manifest).version;
        assert_eq!(version, sealed + 1, "the one that was sealed is followed");
    }
}

#[test]
fn a_manifest_of_ours_that_we_did_not_sign_is_told() {
    let mut world = World::new(54, &["alice", "bob"]);
    linked(&mut world, 0);
    let (keys, current) = world.nodes[0].engine.material().expect("the secret").into_parts();
    let forged = keys
        .next_manifest(&current, &[], &[ID])
        .expect("it can be signed");
    let forged = v1::UpdateManifestRequest {
        manifest: Some(world::scripted::wire(forged.signed())),
        ..Default::default()
    };
    world
        .server
        .update_manifest(&forged)
        .expect("the server cannot know");
    world.disconnect(0);
    world.settle();
    let (of, by) = (address("alice"), address("alice"));
    let told = EventKind::ManifestDisputed { address: of, by };
    assert!(world.complaints(0).contains(&&told), "{:?}", world.complaints(0));
    assert_eq!(world.nodes[0].engine.devices().len(), 2, "not believed");
}

#[test]
fn a_recovered_account_goes_on_under_its_key() {
    let mut world = World::new(55, &["alice", "bob"]);
    world.send(1, 0, "first", Fate::Done);
    world.settle();
    let material = world.nodes[0].engine.material().expect("the secret");
    world.disconnect(0);
    let (engine, outputs) = Engine::recover(world.now, &mut world.rng, material, None).expect("it follows");
    let joining = engine.joining().expect("it has not joined yet");
    world.server.update_manifest(&joining).expect("it follows");
    world.nodes.swap_remove(0);
    let new = world.add(engine, outputs);
    world.settle();
    let bob = 0;
    world.send(new, bob, "i am back", Fate::Done);
    world.settle();
    world.send(bob, new, "welcome", Fate::Done);
    world.settle();
    assert_eq!(
        (world.texts(bob), world.texts(new)),
        (vec!["i am back"], vec!["welcome"])
    );
    let changed = |kind: &&EventKind| matches!(kind, EventKind::AccountKeyChanged { .. });
    assert!(
        !world.complaints(bob).iter().any(changed),
        "the account key is the same"
    );
}
