//! Signing in: what lets a device in, how often, and for how long.

use std::time::{Duration, Instant};

use sottovoce_proto::v1::{
    BeginAuthenticationRequest, CompleteAuthenticationRequest, CountPrekeysRequest, SubscribeRequest,
};

use sottovoce_server::Config;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::common::{Clients, Device, TestServer, dump, execute, reason, statement, told, with_token};

async fn try_sign_in(clients: &Clients, device: &Device) -> Result<(), Status> {
    let begun = device.begin(clients).await;
    let request = CompleteAuthenticationRequest {
        challenge: Some(statement(device.challenge(&begun), &device.identity)),
    };
    let answer = clients.auth.clone().complete_authentication(request).await;
    answer.map(|_| ())
}

/// Refused for a while, which is up to `most` seconds and not much less.
fn assert_throttled(status: &Status, most: u64) {
    assert_eq!(
        told(status),
        (
            Code::ResourceExhausted,
            "SIGN_IN_THROTTLED".to_owned(),
            String::new()
        )
    );
    let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!((most - 60..=most).contains(&wait.as_secs()), "{wait:?}");
}

async fn token_works(clients: &Clients, token: &str) -> Result<(), String> {
    let request = with_token(token, CountPrekeysRequest {});
    let answer = clients.prekeys.clone().count_prekeys(request).await;
    answer.map(|_| ()).map_err(|status| reason(&status))
}

#[tokio::test]
async fn asking_for_challenges_makes_the_server_store_nothing() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let before = dump(&server.database).await;
    for n in 0..100_u8 {
        let request = BeginAuthenticationRequest {
            device_id: vec![n; 16],
        };
        let begun = clients.auth.clone().begin_authentication(request).await.unwrap();
        let nonce = begun.into_inner().nonce;
        assert!((1..=64).contains(&nonce.len()));
    }
    assert_eq!(dump(&server.database).await, before);
    server.stop().await;
}

#[tokio::test]
async fn of_many_answers_to_one_challenge_exactly_one_lets_in() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let begun = alice.begin(&clients).await;
    let request = CompleteAuthenticationRequest {
        challenge: Some(statement(alice.challenge(&begun), &alice.identity)),
    };
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (mut auth, request) = (clients.auth.clone(), request.clone());
        attempts.spawn(async move { auth.complete_authentication(request).await });
    }
    let (mut let_in, mut used) = (0, 0);
    while let Some(answer) = attempts.join_next().await {
        match answer.unwrap() {
            Ok(_) => let_in += 1,
            Err(status) => {
                assert_eq!(reason(&status), "CHALLENGE_USED");
                used += 1;
            }
        }
    }
    assert_eq!((let_in, used), (1, 15));
    server.stop().await;
}

#[tokio::test]
async fn a_token_and_its_stream_end_when_its_time_has_passed() {
    let server =
        TestServer::start_limited(|limits| limits.access_token_lifetime = Duration::from_millis(600)).await;
    let clients = server.connect().await;
    let token = Device::named("alice").join(&clients).await;
    assert_eq!(token_works(&clients, &token).await, Ok(()));
    let mut stream = clients
        .mailbox
        .clone()
        .subscribe(with_token(&token, SubscribeRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert!(
        stream.message().await.unwrap().is_some(),
        "queue_empty comes first"
    );
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.message()).await;
    let ended = ended.expect("the stream goes on").unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated);
    assert_eq!(reason(&ended), "TOKEN_INVALID");
    assert_eq!(token_works(&clients, &token).await, Err("TOKEN_INVALID".into()));
    server.stop().await;
}

#[tokio::test]
async fn tokens_are_forgotten_when_their_time_has_passed() {
    let server = TestServer::start_limited(|limits| {
        limits.access_token_lifetime = Duration::from_millis(50);
        limits.sweep_interval = Duration::from_millis(50);
    })
    .await;
    Device::named("alice").join(&server.connect().await).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        let rows = dump(&server.database).await;
        if !rows.iter().any(|row| row.starts_with("access_tokens:")) {
            assert!(rows.iter().any(|row| row.starts_with("devices:")));
            server.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("an expired token stayed");
}

#[tokio::test]
async fn a_device_that_signs_in_too_often_has_to_wait_also_after_a_restart() {
    let waiting = |config: &mut Config| {
        config.limits.free_sign_ins = 2;
        config.limits.sign_in_wait = Duration::from_secs(100);
        config.limits.max_sign_in_wait = Duration::from_secs(1_000);
    };
    let server = TestServer::start_with(waiting).await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.join(&clients).await;
    alice.sign_in(&clients).await;
    assert_throttled(&try_sign_in(&clients, &alice).await.unwrap_err(), 100);
    Device::named("bob").join(&clients).await;
    let server = TestServer::start_in(server.stop().await, waiting).await;
    let clients = server.connect().await;
    assert_throttled(&try_sign_in(&clients, &alice).await.unwrap_err(), 100);
    Device::named("bob").sign_in(&clients).await;
    server.stop().await;
}

#[tokio::test]
async fn a_device_that_has_waited_signs_in_again_and_waits_twice_as_long() {
    let server = TestServer::start_limited(|limits| {
        limits.free_sign_ins = 1;
        limits.sign_in_wait = Duration::from_millis(300);
        limits.max_sign_in_wait = Duration::from_secs(1_000);
    })
    .await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.join(&clients).await;
    try_sign_in(&clients, &alice).await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(320)).await;
    alice.sign_in(&clients).await;
    tokio::time::sleep(Duration::from_millis(320)).await;
    assert_eq!(
        reason(&try_sign_in(&clients, &alice).await.unwrap_err()),
        "SIGN_IN_THROTTLED"
    );
    server.stop().await;
}

#[tokio::test]
async fn nobody_without_its_key_keeps_a_device_from_signing_in() {
    let server = TestServer::start_limited(|limits| {
        limits.free_sign_ins = 1;
        limits.sign_in_wait = Duration::from_secs(100);
        limits.max_sign_in_wait = Duration::from_secs(100);
    })
    .await;
    let clients = server.connect().await;
    let (alice, mallory) = (Device::named("alice"), Device::named("mallory"));
    alice.register(&clients).await;
    let before = dump(&server.database).await;
    for _ in 0..20 {
        let begun = alice.begin(&clients).await;
        let request = CompleteAuthenticationRequest {
            challenge: Some(statement(alice.challenge(&begun), &mallory.identity)),
        };
        let status = clients
            .auth
            .clone()
            .complete_authentication(request)
            .await
            .unwrap_err();
        assert_eq!(reason(&status), "SIGNATURE_INVALID");
    }
    assert_eq!(dump(&server.database).await, before);
    alice.sign_in(&clients).await;
    server.stop().await;
}

#[tokio::test]
async fn a_devices_session_used_longest_ago_gives_way_to_its_newest() {
    let server = TestServer::start_limited(|limits| limits.max_sessions_per_device = 2).await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let mut tokens = vec![alice.join(&clients).await];
    for token in 0..2 {
        // Known to be good a moment ago.
        assert_eq!(token_works(&clients, &tokens[token]).await, Ok(()));
        tokens.push(alice.sign_in(&clients).await);
    }
    assert_eq!(
        token_works(&clients, &tokens[0]).await,
        Err("TOKEN_INVALID".into())
    );
    assert_eq!(token_works(&clients, &tokens[1]).await, Ok(()));
    assert_eq!(token_works(&clients, &tokens[2]).await, Ok(()));
    server.stop().await;
}

#[tokio::test]
async fn a_token_and_a_challenge_outlive_a_restart_and_so_does_that_it_was_used() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let token = alice.join(&clients).await;
    let begun = alice.begin(&clients).await;
    let request = CompleteAuthenticationRequest {
        challenge: Some(statement(alice.challenge(&begun), &alice.identity)),
    };
    let server = TestServer::start_in(server.stop().await, |_| {}).await;
    let clients = server.connect().await;
    assert_eq!(token_works(&clients, &token).await, Ok(()));
    let answer = clients
        .auth
        .clone()
        .complete_authentication(request.clone())
        .await;
    let token = answer.unwrap().into_inner().access_token;
    assert_eq!(token_works(&clients, &token).await, Ok(()));
    let server = TestServer::start_in(server.stop().await, |_| {}).await;
    let clients = server.connect().await;
    let status = clients
        .auth
        .clone()
        .complete_authentication(request)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "CHALLENGE_USED");
    server.stop().await;
}

#[tokio::test]
async fn a_device_that_was_shut_out_does_not_sign_in() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    execute(&server.database, "UPDATE devices SET blocked = 1").await;
    let before = dump(&server.database).await;
    let status = try_sign_in(&clients, &alice).await.unwrap_err();
    assert_eq!(
        told(&status),
        (Code::PermissionDenied, "DEVICE_BLOCKED".to_owned(), String::new())
    );
    assert_eq!(dump(&server.database).await, before);
    server.stop().await;
}
