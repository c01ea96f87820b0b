//! Calls that hold on to what others need: none gets more than its share.

use std::time::{Duration, Instant};

use sottovoce_proto::v1::CountPrekeysRequest;

use crate::common::{Clients, Device, TestServer, half_open, reason, with_token};

const SEND: &str = "/sottovoce.v1.MailboxService/Send";
const REGISTER: &str = "/sottovoce.v1.AccountService/Register";

/// Long enough for half-open calls to have reached the server.
const SETTLED: Duration = Duration::from_millis(300);

/// Long before a held body is cut.
const SOON: Duration = Duration::from_secs(5);

/// Whether a small call is answered within this long.
async fn is_answered(clients: &Clients, token: &str, within: Duration) -> bool {
    let request = with_token(token, CountPrekeysRequest {});
    let mut prekeys = clients.prekeys.clone();
    match tokio::time::timeout(within, prekeys.count_prekeys(request)).await {
        Ok(answer) => answer.map(|_| true).unwrap(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn a_device_with_many_unfinished_calls_keeps_only_itself_waiting() {
    let server = TestServer::start_limited(|limits| {
        limits.max_calls = 4;
        limits.max_calls_per_device = 2;
        limits.body_timeout = Duration::from_secs(10);
    })
    .await;
    let clients = server.connect().await;
    let mallory = Device::named("mallory").join(&clients).await;
    let alice = Device::named("alice").join(&clients).await;
    let connection = server.connect().await;
    let calls: Vec<_> = (0..20)
        .map(|_| half_open(&connection.channel, SEND, Some(&mallory), None))
        .collect();
    tokio::time::sleep(SETTLED).await;
    assert!(is_answered(&clients, &alice, SOON).await);
    assert!(!is_answered(&clients, &mallory, SETTLED).await);
    drop(calls);
    assert!(is_answered(&clients, &mallory, SOON).await);
    server.stop().await;
}

#[tokio::test]
async fn calls_beyond_the_servers_number_wait_for_a_turn() {
    let server = TestServer::start_limited(|limits| {
        limits.max_calls = 1;
        limits.body_timeout = Duration::from_secs(10);
    })
    .await;
    let clients = server.connect().await;
    let alice = Device::named("alice").join(&clients).await;
    let bob = Device::named("bob").join(&clients).await;
    let held = half_open(&clients.channel, SEND, Some(&alice), None);
    tokio::time::sleep(SETTLED).await;
    assert!(!is_answered(&clients, &bob, SETTLED).await);
    drop(held);
    assert!(is_answered(&clients, &bob, SOON).await);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_ends_its_call_long_before_the_calls_time() {
    let server = TestServer::start_limited(|limits| limits.body_timeout = Duration::from_millis(200)).await;
    let clients = server.connect().await;
    let alice = Device::named("alice").join(&clients).await;
    let begun = Instant::now();
    let whole = vec![0x1a, 0x00];
    for body in [None, Some(whole)] {
        for (path, token) in [(SEND, Some(alice.as_str())), (REGISTER, None)] {
            let call = half_open(&clients.channel, path, token, body.clone());
            let status = call.await.unwrap().unwrap_err();
            assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn strangers_who_withhold_their_bodies_keep_no_device_waiting() {
    let server = TestServer::start_limited(|limits| limits.body_timeout = Duration::from_secs(10)).await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let token = alice.join(&clients).await;
    let connection = server.connect().await;
    let _calls: Vec<_> = (0..90)
        .map(|_| half_open(&connection.channel, REGISTER, None, None))
        .collect();
    tokio::time::sleep(SETTLED).await;
    assert!(is_answered(&clients, &token, SOON).await);
    // Nor, as they are no more than the bodies that may be read at one time, do they keep anybody out.
    tokio::time::timeout(SOON, alice.sign_in(&clients)).await.unwrap();
    server.stop().await;
}
