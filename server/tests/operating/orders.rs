//! What operators may tell a running server, and what of it outlives it.

use std::time::Duration;

use sottovoce_proto::v1::SubscribeRequest;
use sottovoce_proto::v1::server_service_client::ServerServiceClient;
use tokio::time::timeout;

use super::{done, refused, start};
use crate::accounts::{following, register, second, update};
use crate::common::{Clients, Device, reason, statement, subscribe, with_token};

#[tokio::test]
async fn a_running_server_takes_orders() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (program, _) = start(data, |_| {}).await;
    let made = done(
        data,
        &["invite", "create", "--uses", "3", "--note", "for the team"],
    )
    .await;
    let code = made.lines().next().unwrap();
    assert_eq!(code.len(), 23, "{made}");
    let list = done(data, &["invite", "list"]).await;
    assert!(list.contains("for the team") && !list.contains(code), "{list}");
    done(data, &["invite", "revoke", "1"]).await;
    assert!(
        refused(data, &["invite", "revoke", "1"])
            .await
            .contains("there is no invite 1")
    );
    assert!(!done(data, &["invite", "list"]).await.contains("for the team"));

    let clients = Clients::connect(program.address).await;
    let alice = Device::named("alice");
    alice.join(&clients).await;
    let devices = done(data, &["device", "list", "alice@localhost"]).await;
    assert!(devices.contains(&alice.id.to_string()), "{devices}");
    assert!(
        refused(data, &["device", "list", "nobody@localhost"])
            .await
            .contains("there is no account nobody@localhost")
    );
    assert!(
        refused(data, &["device", "revoke", "a5"])
            .await
            .contains("32 hexadecimal digits")
    );

    // Blocks take effect at once, on connections that are open too.
    done(
        data,
        &["block", "add", "127.0.0.0/8", "--for", "1h", "--note", "a test"],
    )
    .await;
    assert!(done(data, &["block", "list"]).await.contains("127.0.0.0/8"));
    assert!(
        Clients::try_connect(program.address).await.is_err() || {
            let clients = Clients::connect(program.address).await;
            clients
                .auth
                .clone()
                .list_sessions(sottovoce_proto::v1::ListSessionsRequest {})
                .await
                .is_err()
        }
    );
    done(data, &["block", "remove", "127.0.0.0/8"]).await;
    Device::named("bob")
        .join(&Clients::connect(program.address).await)
        .await;
    assert!(
        refused(data, &["block", "add", "nowhere"])
            .await
            .contains("192.0.2.0/24")
    );
    program.kill().await;
    // What a killed server leaves behind is no server: the command does it itself.
    done(data, &["invite", "create"]).await;
    let (program, _) = start(data, |_| {}).await;
    assert!(done(data, &["invite", "list"]).await.lines().count() == 2);
    program.kill().await;
}

#[tokio::test]
async fn a_device_that_is_signed_out_is_out() {
    let folder = tempfile::tempdir().unwrap();
    let (program, _) = start(folder.path(), |_| {}).await;
    let clients = Clients::connect(program.address).await;
    let alice = Device::named("alice");
    let token = alice.join(&clients).await;
    let mut stream = subscribe(&clients, &token).await;
    assert!(stream.message().await.unwrap().is_some());
    done(folder.path(), &["device", "revoke", &alice.id.to_string()]).await;
    let ended = timeout(Duration::from_secs(5), stream.message()).await.unwrap();
    assert_eq!(reason(&ended.unwrap_err()), "TOKEN_INVALID");
    let request = with_token(&token, SubscribeRequest {});
    let again = clients.mailbox.clone().subscribe(request).await.unwrap_err();
    assert_eq!(reason(&again), "TOKEN_INVALID");
    program.kill().await;
}

#[tokio::test]
async fn a_block_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (program, _) = start(data, |_| {}).await;
    let alice = Device::named("alice");
    alice.join(&Clients::connect(program.address).await).await;
    done(data, &["block", "add", "127.0.0.0/8"]).await;
    program.kill().await;
    let (program, _) = start(data, |_| {}).await;
    // The connection is closed as soon as it is accepted: it is made, and of no use.
    let call = async {
        let clients = Clients::try_connect(program.address).await.ok()?;
        let request = sottovoce_proto::v1::GetServerInfoRequest {};
        ServerServiceClient::new(clients.channel)
            .get_server_info(request)
            .await
            .ok()
    };
    let answered = timeout(Duration::from_secs(10), call).await.unwrap();
    assert!(answered.is_none());
    done(data, &["block", "remove", "127.0.0.0/8"]).await;
    alice.sign_in(&Clients::connect(program.address).await).await;
    program.kill().await;
}

/// Why a device is not let in; nothing if it is.
async fn turned_away(clients: &Clients, device: &Device) -> Option<String> {
    let begun = device.begin(clients).await;
    let request = sottovoce_proto::v1::CompleteAuthenticationRequest {
        challenge: Some(statement(device.challenge(&begun), &device.identity)),
    };
    let answer = clients.auth.clone().complete_authentication(request).await;
    answer.err().map(|status| reason(&status))
}

#[tokio::test]
async fn a_device_that_is_shut_out_stays_out_until_it_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (program, _) = start(data, |_| {}).await;
    let clients = Clients::connect(program.address).await;
    let phone = Device::named("alice");
    let first = register(&clients, &phone).await;
    let laptop = second(&phone, "laptop");
    let mut newest = following(&first, 2, &[&phone, &laptop]);
    update(&clients, &newest, &[&laptop]).await.unwrap();
    let token = laptop.sign_in(&clients).await;
    let mut stream = subscribe(&clients, &token).await;
    assert!(stream.message().await.unwrap().is_some());

    let laptops_id = laptop.id.to_string();
    done(data, &["device", "block", &laptops_id]).await;
    let ended = timeout(Duration::from_secs(5), stream.message()).await.unwrap();
    assert_eq!(reason(&ended.unwrap_err()), "TOKEN_INVALID");
    let shut_out = Some("DEVICE_BLOCKED".to_owned());
    assert_eq!(turned_away(&clients, &laptop).await, shut_out);
    assert_eq!(turned_away(&clients, &phone).await, None);
    let list = done(data, &["device", "list", "alice@localhost"]).await;
    let line = list.lines().find(|line| line.contains(&laptops_id)).unwrap();
    assert!(line.ends_with("yes"), "{list}");

    // Dropped and taken back: as it was, with its key under another id, with another key under its id.
    let renamed = Device {
        id: Device::named("renamed").id,
        ..laptop.clone()
    };
    let rekeyed = Device {
        identity: Device::named("rekeyed").identity,
        ..laptop.clone()
    };
    let mut version = 2;
    for back in [&laptop, &renamed, &rekeyed] {
        for devices in [&[&phone][..], &[&phone, back]] {
            version += 1;
            newest = following(&newest, version, devices);
            let new = devices.get(1..).unwrap_or_default();
            update(&clients, &newest, new).await.unwrap();
        }
        assert_eq!(turned_away(&clients, back).await, shut_out);
    }

    // Also while it is on no manifest.
    newest = following(&newest, version + 1, &[&phone]);
    update(&clients, &newest, &[]).await.unwrap();
    done(data, &["device", "unblock", &laptops_id]).await;
    assert!(
        refused(data, &["device", "unblock", &laptops_id])
            .await
            .contains("is shut out")
    );
    newest = following(&newest, version + 2, &[&phone, &laptop]);
    update(&clients, &newest, &[&laptop]).await.unwrap();
    assert_eq!(turned_away(&clients, &laptop).await, None);
    // And the ordinary way.
    for (word, outcome) in [("block", shut_out), ("unblock", None)] {
        done(data, &["device", word, &laptops_id]).await;
        assert_eq!(turned_away(&clients, &laptop).await, outcome);
    }
    program.kill().await;
}

#[tokio::test]
async fn a_device_that_is_shut_out_while_no_account_has_it_is_out_when_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (program, _) = start(data, |_| {}).await;
    let clients = Clients::connect(program.address).await;
    let phone = Device::named("alice");
    let laptop = second(&phone, "laptop");
    let first = register(&clients, &phone).await;
    let both = following(&first, 2, &[&phone, &laptop]);
    update(&clients, &both, &[&laptop]).await.unwrap();
    let mut newest = following(&both, 3, &[&phone]);
    update(&clients, &newest, &[]).await.unwrap();

    let laptops_id = laptop.id.to_string();
    let said = done(data, &["device", "block", &laptops_id]).await;
    assert!(said.contains("No account has this device now"), "{said}");
    let renamed = Device {
        id: Device::named("renamed").id,
        ..laptop.clone()
    };
    let mut version = 3;
    // Under its id and, as the server has seen its key by then, with that under another.
    for back in [&laptop, &renamed] {
        version += 1;
        newest = following(&newest, version, &[&phone, back]);
        update(&clients, &newest, &[back]).await.unwrap();
        let shut_out = Some("DEVICE_BLOCKED".to_owned());
        assert_eq!(turned_away(&clients, back).await, shut_out);
        version += 1;
        newest = following(&newest, version, &[&phone]);
        update(&clients, &newest, &[]).await.unwrap();
    }
    // A stranger's device is let in for all that, and so is this one when the operator says so.
    done(data, &["device", "unblock", &laptops_id]).await;
    newest = following(&newest, version + 1, &[&phone, &laptop]);
    update(&clients, &newest, &[&laptop]).await.unwrap();
    assert_eq!(turned_away(&clients, &laptop).await, None);
    program.kill().await;
}
