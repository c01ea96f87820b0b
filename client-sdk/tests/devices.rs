//! Several devices of one account, and the real server between them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{PATIENCE, RunningServer, address, read, sent, until};
use sottovoce::{
    Client, EventKind, Events, JoinError, Linking, OpenError, RecoveryCode, Registration, ServerInfo, Status,
};

/// Links a second device to the account of `primary`.
async fn link(
    server: &RunningServer,
    folder: &Path,
    name: &str,
    primary: &Client,
    to_primary: &mut Events,
) -> (Client, Events) {
    let linking = Linking::begin(server.config(folder, name)).expect("a URL");
    let text = linking.offer().to_text();
    let offer = sottovoce::LinkingOffer::parse(&text).expect("as it was shown");
    primary
        .link_device(offer)
        .await
        .expect("it is the primary device");
    let granted = tokio::time::timeout(PATIENCE, linking.granted()).await;
    let granted = granted.expect("in good time").expect("it is granted");
    assert_eq!(granted.address(), primary.address());
    let (device, events) = granted.join().await.expect("it joins");
    let changed = |kind: &EventKind| matches!(kind, EventKind::DevicesChanged { .. });
    let changed = until(primary, to_primary, changed).await;
    let expected = EventKind::DevicesChanged {
        added: vec![device.device_id()],
        removed: Vec::new(),
    };
    assert_eq!(changed, expected);
    (device, events)
}

#[tokio::test]
async fn a_linked_device_takes_part_until_it_is_revoked() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    let (tablet, mut to_tablet) = link(&server, folder.path(), "tablet", &alice, &mut to_alice).await;

    bob.send_text(alice.address(), "to both").await.expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, "to both");
    assert_eq!(read(&tablet, &mut to_tablet).await, "to both");
    sent(&bob, &mut to_bob).await;
    tablet
        .send_text(bob.address(), "from the tablet")
        .await
        .expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "from the tablet");
    let synced = |kind: &EventKind| matches!(kind, EventKind::MessageSynced { .. });
    until(&alice, &mut to_alice, synced).await;

    let devices = alice.devices().await.expect("the server answers");
    assert_eq!(devices.len(), 2);
    assert!(
        devices
            .iter()
            .all(|device| device.last_seen_day > 0 && !device.blocked)
    );
    alice
        .revoke_device(tablet.device_id())
        .await
        .expect("the primary device may");
    let changed = |kind: &EventKind| matches!(kind, EventKind::DevicesChanged { .. });
    let expected = EventKind::DevicesChanged {
        added: Vec::new(),
        removed: vec![tablet.device_id()],
    };
    assert_eq!(until(&alice, &mut to_alice, changed).await, expected);
    let mut status = tablet.status();
    let revoked = status.wait_for(|status| *status == Status::Revoked);
    tokio::time::timeout(PATIENCE, revoked)
        .await
        .expect("in good time")
        .expect("the client runs");
    bob.send_text(alice.address(), "to the phone")
        .await
        .expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, "to the phone");
    let history = alice
        .manifest_history(alice.address(), 0)
        .await
        .expect("the server answers");
    let versions: Vec<_> = history
        .iter()
        .map(|past| (past.version, past.devices.len()))
        .collect();
    assert_eq!(versions, [(1, 1), (2, 2)]);
}

#[tokio::test]
async fn a_linking_that_was_given_up_is_in_nobodys_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    let given_up = || Linking::begin(server.config(folder.path(), "given-up")).expect("a URL");
    let granted = async |linking: Linking| {
        let granted = tokio::time::timeout(PATIENCE, linking.granted()).await;
        granted.expect("in good time").expect("it is granted")
    };
    // The user of the new device does not confirm.
    let linking = given_up();
    let shown =
        |linking: &Linking| sottovoce::LinkingOffer::parse(&linking.offer().to_text()).expect("shown");
    alice
        .link_device(shown(&linking))
        .await
        .expect("it is the primary device");
    let late = granted(linking).await;
    let (tablet, _to_tablet) = link(&server, folder.path(), "tablet", &alice, &mut to_alice).await;
    let refused = late.join().await;
    assert!(
        matches!(
            refused,
            Err(JoinError::Refused(sottovoce::ErrorReason::ManifestConflict))
        ),
        "{refused:?}"
    );

    // Revoked, and recovered from, while another is being linked.
    let linking = given_up();
    let device = linking.offer().device().device_id;
    alice.link_device(shown(&linking)).await.expect("it may");
    granted(linking).await;
    alice.revoke_device(device).await.expect("it may");
    alice.revoke_device(tablet.device_id()).await.expect("it may");
    let gone = EventKind::DevicesChanged {
        added: Vec::new(),
        removed: vec![tablet.device_id()],
    };
    until(&alice, &mut to_alice, |kind| *kind == gone).await;
    let linking = given_up();
    alice.link_device(shown(&linking)).await.expect("it may");
    granted(linking).await;
    let code = RecoveryCode::generate(&mut rng);
    alice.put_recovery(&code).await.expect("the server takes it");
    alice.close().await;
    let recovered = Client::recover(server.config(folder.path(), "new"), &address("alice"), &code).await;
    let (alice, _to_alice) = recovered.expect("the right code");
    assert_eq!(alice.devices().await.expect("the server answers").len(), 1);
}

#[tokio::test]
async fn an_account_is_recovered_from_what_was_left_before_its_newest_manifest() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    bob.send_text(alice.address(), "first").await.expect("queued");
    sent(&bob, &mut to_bob).await;
    assert_eq!(read(&alice, &mut to_alice).await, "first");
    // Two that are granted a place, one after the other, and never take it. For the second the first is
    // passed over, which no event tells, and in between the account is left to be recovered.
    let code = RecoveryCode::generate(&mut rand_core::UnwrapErr(getrandom::SysRng));
    for name in ["one", "two"] {
        let linking = Linking::begin(server.config(folder.path(), name)).expect("a URL");
        let offer = sottovoce::LinkingOffer::parse(&linking.offer().to_text()).expect("shown");
        alice.link_device(offer).await.expect("it may");
        let granted = tokio::time::timeout(PATIENCE, linking.granted()).await;
        granted.expect("in good time").expect("it is granted");
        if name == "one" {
            alice.put_recovery(&code).await.expect("the server takes it");
        }
    }
    alice.close().await;
    let recovered = Client::recover(server.config(folder.path(), "new"), &address("alice"), &code).await;
    let (alice, _to_alice) = recovered.expect("it is the account's still");
    assert_eq!(alice.devices().await.expect("the server answers").len(), 1);
    alice.send_text(bob.address(), "i am back").await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "i am back");
}

#[tokio::test]
async fn a_lost_account_is_recovered_with_its_code_and_with_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, _to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    bob.send_text(alice.address(), "first").await.expect("queued");
    sent(&bob, &mut to_bob).await;
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    let (code, other) = (RecoveryCode::generate(&mut rng), RecoveryCode::generate(&mut rng));
    alice.put_recovery(&code).await.expect("the server takes it");
    let key = alice.account_key();
    alice.close().await;

    let config = || server.config(folder.path(), "new");
    let wrong = Client::recover(config(), &address("alice"), &other).await;
    assert!(matches!(wrong, Err(JoinError::WrongCode)), "{wrong:?}");
    let recovered = Client::recover(config(), &address("alice"), &code).await;
    let (alice, _to_alice) = recovered.expect("the right code");
    assert_eq!(alice.account_key(), key);
    alice.send_text(bob.address(), "i am back").await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "i am back");

    alice.remove_recovery().await.expect("the server answers");
    let gone = Client::recover(server.config(folder.path(), "third"), &address("alice"), &code).await;
    assert!(matches!(gone, Err(JoinError::WrongCode)), "{gone:?}");
}

#[tokio::test]
async fn a_deleted_account_is_gone_and_so_is_its_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, _to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    alice.delete_account().await.expect("the server deletes it");
    bob.send_text(&address("alice"), "anybody?")
        .await
        .expect("queued");
    let failed = |kind: &EventKind| matches!(kind, EventKind::MessageFailed { .. });
    until(&bob, &mut to_bob, failed).await;
    let open = Client::open(server.config(folder.path(), "alice")).await;
    assert!(matches!(open, Err(OpenError::NoAccount)), "{open:?}");
}

#[tokio::test]
async fn a_sign_in_is_refreshed_and_not_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let short = sottovoce_server::Limits {
        access_token_lifetime: Duration::from_secs(2),
        ..Default::default()
    };
    let server = RunningServer::start_limited(folder.path(), None, short).await;
    let (alice, _to_alice) = server.register(folder.path(), "alice").await;
    let first = alice.sessions().await.expect("the server answers");
    let mut status = alice.status();
    for _ in 0..2 {
        // The stream ends with its token, and comes back with another one.
        let down = status.wait_for(|status| !status.is_connected());
        tokio::time::timeout(PATIENCE, down)
            .await
            .expect("in good time")
            .expect("the client runs");
        alice.caught_up().await.expect("the client runs");
    }
    let after = alice.sessions().await.expect("the server answers");
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].id, first[0].id);
}

#[tokio::test]
async fn a_server_says_what_it_is_to_who_has_no_account() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = sottovoce_server::Limits {
        max_blob_size: 12_345_678,
        ..Default::default()
    };
    let server = RunningServer::start_limited(folder.path(), None, limits).await;
    let config = server.config(folder.path(), "nobody");
    let info = ServerInfo::of(&config).await.expect("it answers");
    let expected = ("localhost", Registration::Open);
    assert_eq!((info.server_name.as_str(), info.registration), expected);
    assert!(info.version.contains("sottovoce"), "{}", info.version);
    assert_eq!(info.max_blob_size, 12_345_678);
    assert!(!config.store.exists());
}

#[tokio::test]
async fn sessions_are_seen_and_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (tablet, _to_tablet) = link(&server, folder.path(), "tablet", &alice, &mut to_alice).await;
    let sessions = alice.sessions().await.expect("the server answers");
    let of = |device| sessions.iter().filter(move |session| session.device_id == device);
    assert_eq!(of(alice.device_id()).filter(|session| session.current).count(), 1);
    assert!(
        sessions
            .iter()
            .all(|session| !session.web && session.created_day > 0)
    );
    let theirs = *of(tablet.device_id()).next().expect("it has signed in");
    let mut status = tablet.status();
    status.borrow_and_update();
    alice.revoke_session(theirs.id).await.expect("the server ends it");
    // It signs in anew, by a challenge: it is on the manifest still.
    tokio::time::timeout(PATIENCE, status.wait_for(|status| !status.is_connected()))
        .await
        .expect("in good time")
        .expect("the client runs");
    tablet.caught_up().await.expect("the client runs");
    let after = alice.sessions().await.expect("the server answers");
    assert!(!after.iter().any(|session| session.id == theirs.id));
}
