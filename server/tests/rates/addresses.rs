//! Rates by the address that calls come from, and who says which that is.

use sottovoce_proto::v1::GetServerInfoRequest;
use sottovoce_proto::v1::server_service_client::ServerServiceClient;
use sottovoce_server::Rate;
use tonic::{Request, Status};

use super::{ONE, assert_limited, count};
use crate::common::{Clients, Device, TestServer, reason};

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
