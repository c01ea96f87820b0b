//! Calls that come too often: refused with a time to wait, by device, by address, by recipient.

use sottovoce_proto::v1::server_service_client::ServerServiceClient;
use sottovoce_proto::v1::{CountPrekeysRequest, FetchPrekeyBundlesRequest, GetServerInfoRequest};
use sottovoce_server::Rate;
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::common::{Clients, Device, TestServer, reason, with_token};

/// One at once, and one more in a minute.
const ONE: Rate = Rate::new(1, 1);

/// A refusal that says how long to wait, which is something and not for ever.
#[track_caller]
fn assert_limited(status: &Status) {
    assert_eq!(reason(status), "RATE_LIMITED");
    let retry = status.get_details_retry_info().expect("a time to wait");
    let seconds = retry.retry_delay.unwrap().as_secs_f64();
    assert!(seconds > 0.0 && seconds <= 60.0, "{seconds}");
}

async fn count(clients: &Clients, token: &str) -> Result<(), Status> {
    let request = with_token(token, CountPrekeysRequest {});
    clients.prekeys.clone().count_prekeys(request).await.map(drop)
}

#[tokio::test]
async fn registrations_from_one_address_are_limited_and_nothing_else_is() {
    let server = TestServer::start_limited(|limits| limits.rates.registrations_per_address = ONE).await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let token = alice.join(&clients).await;
    // Another connection is the same address.
    let second = server.connect().await;
    let status = second
        .accounts
        .clone()
        .register(bob.registration())
        .await
        .unwrap_err();
    assert_limited(&status);
    count(&clients, &token).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_device_that_calls_too_often_waits_and_no_other_does() {
    let server = TestServer::start_limited(|limits| {
        limits.rates.scale = 1;
        limits.rates.calls_per_device = Rate::new(3, 1);
    })
    .await;
    let clients = server.connect().await;
    let alice = Device::named("alice").join(&clients).await;
    let bob = Device::named("bob").join(&clients).await;
    let mut answered = 0;
    let refused = loop {
        match count(&clients, &alice).await {
            Ok(()) => answered += 1,
            Err(status) => break status,
        }
    };
    assert!(answered <= 3);
    assert_limited(&refused);
    count(&clients, &bob).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn prekeys_of_one_account_are_not_drained_by_many() {
    let server = TestServer::start_limited(|limits| limits.rates.prekey_fetches_per_recipient = ONE).await;
    let clients = server.connect().await;
    let (bob, carol) = (Device::named("bob"), Device::named("carol"));
    bob.join(&clients).await;
    carol.join(&clients).await;
    let fetch = async |token: &str, of: &Device| {
        let request = FetchPrekeyBundlesRequest {
            address: of.address.to_string(),
            device_ids: vec![of.id.as_bytes().to_vec()],
            access_key: Vec::new(),
        };
        let answer = clients
            .prekeys
            .clone()
            .fetch_prekey_bundles(with_token(token, request))
            .await;
        reason(&answer.unwrap_err())
    };
    let alice = Device::named("alice").join(&clients).await;
    let dave = Device::named("dave").join(&clients).await;
    assert_eq!(fetch(&alice, &bob).await, "PREKEYS_MISSING");
    assert_eq!(fetch(&dave, &bob).await, "RATE_LIMITED", "whoever asks");
    assert_eq!(fetch(&dave, &carol).await, "PREKEYS_MISSING");
    server.stop().await;
}

#[tokio::test]
async fn tokens_cannot_be_guessed_for_long() {
    let server =
        TestServer::start_limited(|limits| limits.rates.sign_ins_per_address = Rate::new(3, 1)).await;
    let clients = server.connect().await;
    let reasons = async |count| {
        let mut reasons = Vec::new();
        for _ in 0..count {
            reasons.push(reason(&self::count(&clients, &"0".repeat(64)).await.unwrap_err()));
        }
        reasons
    };
    assert_eq!(reasons(3).await, ["TOKEN_INVALID"; 3]);
    assert_eq!(reasons(2).await, ["RATE_LIMITED"; 2]);
    server.stop().await;
}

async fn info_for(clients: &Clients, forwarded: &str) -> Result<(), Status> {
    let mut request = Request::new(GetServerInfoRequest {});
    request
        .metadata_mut()
        .insert("x-forwarded-for", forwarded.parse().unwrap());
    let mut server = ServerServiceClient::new(clients.channel.clone());
    server.get_server_info(request).await.map(drop)
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_rate() {
    let server = TestServer::start_with(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.rates.scale = 1;
        config.limits.rates.calls_per_address = ONE;
    })
    .await;
    let clients = server.connect().await;
    info_for(&clients, "192.0.2.1").await.unwrap();
    assert_limited(&info_for(&clients, "192.0.2.1").await.unwrap_err());
    info_for(&clients, "192.0.2.2").await.unwrap();
    assert_limited(&info_for(&clients, "198.51.100.9, 192.0.2.2").await.unwrap_err());
    server.stop().await;
}

#[tokio::test]
async fn nobody_else_says_where_a_call_comes_from() {
    let server = TestServer::start_limited(|limits| {
        limits.rates.scale = 1;
        limits.rates.calls_per_address = ONE;
    })
    .await;
    let clients = server.connect().await;
    info_for(&clients, "192.0.2.1").await.unwrap();
    assert_limited(&info_for(&clients, "192.0.2.2").await.unwrap_err());
    server.stop().await;
}
