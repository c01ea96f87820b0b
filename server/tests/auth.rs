//! Signing in: what lets a device in, how often, and for how long.

use std::time::{Duration, Instant};

use sottovoce_proto::v1::{
    BeginAuthenticationRequest, CompleteAuthenticationRequest, CountPrekeysRequest, SubscribeRequest,
};

use crate::common::{Clients, Device, TestServer, dump, reason, statement, told, with_token};

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
    assert_eq!(ended.code(), tonic::Code::Unauthenticated);
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
async fn a_device_that_signs_in_too_often_keeps_out_only_itself() {
    let server = TestServer::start_limited(|limits| limits.max_used_challenges_per_device = 2).await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.join(&clients).await;
    alice.sign_in(&clients).await;
    let begun = alice.begin(&clients).await;
    let request = CompleteAuthenticationRequest {
        challenge: Some(statement(alice.challenge(&begun), &alice.identity)),
    };
    let mut auth = clients.auth.clone();
    let status = auth.complete_authentication(request).await.unwrap_err();
    let (_, reason, field) = told(&status);
    assert_eq!((reason.as_str(), field.as_str()), ("SERVER_FULL", "challenge"));
    Device::named("bob").join(&clients).await;
    server.stop().await;
}

#[tokio::test]
async fn a_devices_oldest_token_gives_way_to_its_newest() {
    let server = TestServer::start_limited(|limits| limits.max_tokens_per_device = 2).await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let mut tokens = vec![alice.join(&clients).await];
    for _ in 0..2 {
        // Tokens are told apart by their expiry, in milliseconds.
        tokio::time::sleep(Duration::from_millis(5)).await;
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
async fn a_token_outlives_a_restart_and_a_challenge_does_not() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let token = alice.join(&clients).await;
    let begun = alice.begin(&clients).await;
    let folder = server.stop().await;
    let server = TestServer::start_in(folder, |_| {}).await;
    let clients = server.connect().await;
    assert_eq!(token_works(&clients, &token).await, Ok(()));
    let request = CompleteAuthenticationRequest {
        challenge: Some(statement(alice.challenge(&begun), &alice.identity)),
    };
    let status = clients
        .auth
        .clone()
        .complete_authentication(request)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "CHALLENGE_INVALID");
    server.stop().await;
}
