//! Manifests: replaced one by one, devices that come and go with them.

use sottovoce_proto::v1::{
    DeviceMessage, GetAccountRequest, GetAccountResponse, GetManifestHistoryRequest, ListDevicesRequest,
    RefreshTokensRequest, SendRequest, SignedStatement,
};

use super::{binding, following, register, second, update, update_after, works};
use crate::common::{
    Clients, Device, Look, TestServer, dump, end_of, id, mismatch, reason, subscribe, told, with_token,
};

async fn account(clients: &Clients, token: &str, device: &Device) -> GetAccountResponse {
    let request = GetAccountRequest {
        address: device.address.to_string(),
        ..Default::default()
    };
    let answer = clients
        .accounts
        .clone()
        .get_account(with_token(token, request))
        .await;
    answer.unwrap().into_inner()
}

async fn history(
    clients: &Clients,
    token: &str,
    device: &Device,
    after_version: u64,
) -> Vec<SignedStatement> {
    let request = GetManifestHistoryRequest {
        address: device.address.to_string(),
        after_version,
    };
    let request = with_token(token, request);
    let answer = clients.accounts.clone().get_manifest_history(request).await;
    answer.unwrap().into_inner().manifests
}

#[tokio::test]
async fn a_manifest_that_follows_adds_a_device_which_signs_in() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let phone = Device::named("alice");
    let first = register(&clients, &phone).await;
    let laptop = second(&phone, "laptop");
    let two = following(&first, 2, &[&phone, &laptop]);
    update(&clients, &two, &[&laptop]).await.unwrap();
    let token = laptop.sign_in(&clients).await;
    let shown = account(&clients, &token, &phone).await;
    assert_eq!(shown.manifest, Some(two));
    let mut both = [&phone, &laptop];
    both.sort_by_key(|device| device.id);
    assert_eq!(shown.bindings, both.map(binding));
    assert_eq!(history(&clients, &token, &phone, 0).await, [first]);
    server.stop().await;
}

#[tokio::test]
async fn the_same_update_again_changes_nothing_and_another_is_a_conflict() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let phone = Device::named("alice");
    let first = register(&clients, &phone).await;
    let (laptop, tablet) = (second(&phone, "laptop"), second(&phone, "tablet"));
    let two = following(&first, 2, &[&phone, &laptop]);
    update(&clients, &two, &[&laptop]).await.unwrap();
    let before = dump(&server.database).await;
    update(&clients, &two, &[&laptop]).await.unwrap();
    let with_tablet = [&phone, &tablet];
    for conflicting in [
        following(&first, 2, &with_tablet),
        following(&first, 3, &with_tablet),
        following(&two, 2, &with_tablet),
        following(&two, 4, &with_tablet),
        first,
    ] {
        let status = update(&clients, &conflicting, &[&tablet]).await.unwrap_err();
        assert_eq!(reason(&status), "MANIFEST_CONFLICT");
    }
    assert_eq!(dump(&server.database).await, before);
    server.stop().await;
}

#[tokio::test]
async fn a_device_that_never_joined_is_passed_over() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let phone = Device::named("alice");
    let one = register(&clients, &phone).await;
    let (lost, laptop) = (second(&phone, "lost"), second(&phone, "laptop"));
    let two = following(&one, 2, &[&phone, &lost]);
    let three = following(&two, 3, &[&phone, &laptop]);
    let other_two = following(&one, 2, &[&phone]);
    let before = dump(&server.database).await;
    for not_the_chain in [vec![], vec![&other_two], vec![&two, &two], vec![&two, &other_two]] {
        let refused = update_after(&clients, &not_the_chain, &three, &[&laptop]).await;
        assert_eq!(reason(&refused.unwrap_err()), "MANIFEST_CONFLICT");
    }
    assert_eq!(dump(&server.database).await, before);
    update_after(&clients, &[&two], &three, &[&laptop]).await.unwrap();
    let token = laptop.sign_in(&clients).await;
    assert_eq!(
        account(&clients, &token, &phone).await.manifest,
        Some(three.clone())
    );
    assert_eq!(
        history(&clients, &token, &phone, 0).await,
        [one.clone(), two.clone()]
    );
    // It is too late for the one that was passed over.
    let late = update(&clients, &two, &[&lost]).await;
    assert_eq!(reason(&late.unwrap_err()), "MANIFEST_CONFLICT");

    // What the server has had is passed over as well.
    let four = following(&three, 4, &[&phone]);
    update_after(&clients, &[&two, &three], &four, &[]).await.unwrap();
    update_after(&clients, &[&two, &three], &four, &[]).await.unwrap();
    let token = phone.sign_in(&clients).await;
    assert_eq!(history(&clients, &token, &phone, 0).await, [one, two, three]);
    server.stop().await;
}

#[tokio::test]
async fn of_two_manifests_of_one_version_one_wins() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let phone = Device::named("alice");
    let first = register(&clients, &phone).await;
    let others = ["a", "b", "c", "d"].map(|name| second(&phone, name));
    let manifests = others
        .each_ref()
        .map(|other| following(&first, 2, &[&phone, other]));
    let updates = manifests
        .iter()
        .zip(&others)
        .map(|(manifest, other)| async { update(&clients, manifest, &[other]).await });
    let answers = futures_util::future::join_all(updates).await;
    let refused: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|status| reason(status) == "MANIFEST_CONFLICT"));
    server.stop().await;
}

#[tokio::test]
async fn a_device_that_leaves_the_manifest_loses_everything() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (phone, bob) = (Device::named("alice"), Device::named("bob"));
    let first = register(&clients, &phone).await;
    let laptop = second(&phone, "laptop");
    let two = following(&first, 2, &[&phone, &laptop]);
    update(&clients, &two, &[&laptop]).await.unwrap();
    let (alices, bobs) = (phone.sign_in(&clients).await, bob.join(&clients).await);
    let session = laptop.sign_in_from(&clients, None).await;
    let mut prekeys = clients.prekeys.clone();
    for published in [laptop.prekeys(1..=3), laptop.kem_prekeys(1..=3)] {
        let request = with_token(&session.access_token, published);
        prekeys.publish_prekeys(request).await.unwrap();
    }
    let letters = [&phone, &laptop].map(|device| DeviceMessage {
        device_id: device.id.as_bytes().to_vec(),
        ciphertext: b"to both".to_vec(),
    });
    let letter = SendRequest {
        recipient: phone.address.to_string(),
        client_message_id: id(1),
        messages: letters.to_vec(),
        ..Default::default()
    };
    let mut mailbox = clients.mailbox.clone();
    mailbox.send(with_token(&bobs, letter)).await.unwrap();
    Device::send_numbers(&clients, &session.access_token, &bob, 7..=7).await;
    let mut later = Device::letter(&bob, 8, b"later");
    later.delivery = Some(sottovoce_proto::v1::Delivery {
        deliver_after_ms: 1_000 * 60 * 60 + now_ms(),
        ..Default::default()
    });
    mailbox
        .send(with_token(&session.access_token, later))
        .await
        .unwrap();
    let mut stream = subscribe(&clients, &session.access_token).await;
    stream.message().await.unwrap();

    let three = following(&two, 3, &[&phone]);
    update(&clients, &three, &[]).await.unwrap();

    assert_eq!(reason(&end_of(stream).await), "TOKEN_INVALID");
    assert_eq!(
        works(&clients, &session.access_token).await,
        Err("TOKEN_INVALID".into())
    );
    let refresh = RefreshTokensRequest {
        refresh_token: session.refresh_token,
    };
    let status = clients.auth.clone().refresh_tokens(refresh).await.unwrap_err();
    assert_eq!(reason(&status), "REFRESH_INVALID");
    // Of the device there is nothing left but what it sent and bob has not fetched, and the old manifest.
    let hex_id = hex::encode(laptop.id.as_bytes());
    let left: Vec<_> = dump(&server.database)
        .await
        .into_iter()
        .filter(|row| row.to_lowercase().contains(&hex_id))
        .map(|row| row.split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(left, ["envelopes", "manifests"]);
    assert_eq!(works(&clients, &alices).await, Ok(()));
    assert_eq!(history(&clients, &alices, &phone, 0).await, [first, two.clone()]);
    assert_eq!(history(&clients, &alices, &phone, 1).await, [two]);
    // What was scheduled is not counted in bob's mailbox any more.
    let mut look = Look::into(&server.database).await;
    let counts = "SELECT CAST(mailbox_messages AS TEXT) || ' of ' || CAST(mailbox_bytes AS TEXT) \
                  FROM devices JOIN accounts ON accounts.id = devices.account \
                  WHERE address = 'bob@localhost'";
    assert_eq!(look.texts(counts).await, ["1 of 1"]);
    look.close().await;
    server.stop().await;
}

#[tokio::test]
async fn another_key_comes_under_an_id_when_the_device_that_had_it_is_gone() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let phone = Device::named("alice");
    let first = register(&clients, &phone).await;
    let laptop = second(&phone, "laptop");
    let two = following(&first, 2, &[&phone, &laptop]);
    update(&clients, &two, &[&laptop]).await.unwrap();
    let token = laptop.sign_in(&clients).await;
    let mut replaced = second(&phone, "other");
    replaced.id = laptop.id;
    let at_once = following(&two, 3, &[&phone, &replaced]);
    let status = update(&clients, &at_once, &[]).await.unwrap_err();
    assert_eq!(told(&status).2, "bindings");
    let before = dump(&server.database).await;
    let status = update(&clients, &at_once, &[&replaced]).await.unwrap_err();
    assert_eq!(reason(&status), "IDENTITY_TAKEN");
    assert_eq!(told(&status).2, "manifest.devices");
    assert_eq!(dump(&server.database).await, before);
    assert_eq!(works(&clients, &token).await, Ok(()));

    let three = following(&two, 3, &[&phone]);
    update(&clients, &three, &[]).await.unwrap();
    let four = following(&three, 4, &[&phone, &replaced]);
    update(&clients, &four, &[&replaced]).await.unwrap();
    assert_eq!(works(&clients, &token).await, Err("TOKEN_INVALID".into()));
    replaced.sign_in(&clients).await;
    server.stop().await;
}

#[tokio::test]
async fn who_sends_for_an_older_manifest_is_told_which_devices_are_newer() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (phone, bob) = (Device::named("alice"), Device::named("bob"));
    let first = register(&clients, &phone).await;
    let bobs = bob.join(&clients).await;
    let laptop = second(&phone, "laptop");
    let two = following(&first, 2, &[&phone, &laptop]);
    update(&clients, &two, &[&laptop]).await.unwrap();
    let letter = |version| SendRequest {
        manifest_version: version,
        messages: [&phone, &laptop]
            .map(|device| Device::letter(device, 1, b"x").messages.remove(0))
            .to_vec(),
        ..Device::letter(&phone, 1, b"x")
    };
    let mut mailbox = clients.mailbox.clone();
    let status = mailbox.send(with_token(&bobs, letter(1))).await.unwrap_err();
    assert_eq!(reason(&status), "DEVICES_MISMATCH");
    let mismatch = mismatch(&status);
    assert_eq!(mismatch.stale, [laptop.id.as_bytes().to_vec()]);
    assert!(
        mismatch.missing.is_empty() && mismatch.extra.is_empty(),
        "{mismatch:?}"
    );
    mailbox.send(with_token(&bobs, letter(2))).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn devices_are_listed_with_the_day_they_were_last_seen() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let phone = Device::named("alice");
    let first = register(&clients, &phone).await;
    let laptop = second(&phone, "laptop");
    let two = following(&first, 2, &[&phone, &laptop]);
    update(&clients, &two, &[&laptop]).await.unwrap();
    let token = phone.sign_in(&clients).await;
    let request = with_token(&token, ListDevicesRequest {});
    let listed = clients.accounts.clone().list_devices(request).await;
    let mut listed = listed.unwrap().into_inner().devices;
    listed.sort_by_key(|device| device.last_seen_day);
    assert_eq!(
        (&listed[0].device_id[..], listed[0].last_seen_day),
        (&laptop.id.as_bytes()[..], 0)
    );
    let today = u32::try_from(now_ms() / 86_400_000).unwrap();
    assert_eq!(listed[1].device_id, phone.id.as_bytes());
    assert!((today - 1..=today).contains(&listed[1].last_seen_day));
    server.stop().await;
}

#[tokio::test]
async fn of_replaced_manifests_as_many_are_kept_as_the_server_says() {
    let server = TestServer::start_limited(|limits| limits.max_manifests = 2).await;
    let clients = server.connect().await;
    let phone = Device::named("alice");
    let mut newest = register(&clients, &phone).await;
    let mut all = vec![newest.clone()];
    for version in 2..=5 {
        newest = following(&newest, version, &[&phone]);
        update(&clients, &newest, &[]).await.unwrap();
        all.push(newest.clone());
    }
    let token = phone.sign_in(&clients).await;
    assert_eq!(history(&clients, &token, &phone, 0).await, all[2..4]);
    server.stop().await;
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap().as_millis()).unwrap()
}

#[tokio::test]
async fn who_has_not_the_accounts_key_does_not_learn_whether_there_is_the_account() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (alice, nobody) = (Device::named("alice"), Device::named("nobody"));
    let mallory = Device::named("mallory");
    register(&clients, &alice).await;
    let mut answers = Vec::new();
    for victim in [&alice, &nobody] {
        let forged = Device {
            account: mallory.account.clone(),
            ..victim.clone()
        };
        let first = forged.registration().manifest.unwrap();
        let manifest = following(&first, 2, &[&forged]);
        let status = update(&clients, &manifest, &[]).await.unwrap_err();
        answers.push((
            status.code(),
            status.message().to_owned(),
            status.details().to_vec(),
        ));
    }
    assert_eq!(answers[0], answers[1]);
    server.stop().await;
}
