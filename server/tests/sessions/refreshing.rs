//! Tokens that are exchanged for new ones: by their owner, by a thief, and when the answer is lost.

use super::{end_of, listen, refresh, sessions, works};
use crate::common::{Device, TestServer, dump};

#[tokio::test]
async fn refreshing_gives_new_tokens_and_leaves_the_last_access_token_its_time() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let first = alice.sign_in_from(&clients, None).await;
    let second = refresh(&clients, &first.refresh_token).await.unwrap();
    assert_ne!(second.access_token, first.access_token);
    assert_ne!(second.refresh_token, first.refresh_token);
    for token in [&first.access_token, &second.access_token] {
        assert_eq!(works(&clients, token).await, Ok(()));
    }
    let third = refresh(&clients, &second.refresh_token).await.unwrap();
    assert_eq!(
        works(&clients, &first.access_token).await,
        Err("TOKEN_INVALID".into())
    );
    for token in [&second.access_token, &third.access_token] {
        assert_eq!(works(&clients, token).await, Ok(()));
    }
    assert_eq!(sessions(&clients, &third.access_token).await.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_refresh_token_outlives_a_restart() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let begun = alice.sign_in_from(&clients, None).await;
    let server = TestServer::start_in(server.stop().await, |_| {}).await;
    let clients = server.connect().await;
    let refreshed = refresh(&clients, &begun.refresh_token).await.unwrap();
    assert_eq!(works(&clients, &refreshed.access_token).await, Ok(()));
    server.stop().await;
}

#[tokio::test]
async fn a_refresh_token_used_again_ends_its_session_and_no_other() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let other = alice.join(&clients).await;
    let first = alice.sign_in_from(&clients, None).await;
    let second = refresh(&clients, &first.refresh_token).await.unwrap();
    let third = refresh(&clients, &second.refresh_token).await.unwrap();
    let stream = listen(&clients, &third.access_token).await;
    assert_eq!(
        refresh(&clients, &first.refresh_token).await.unwrap_err(),
        "REFRESH_REUSED"
    );
    assert_eq!(end_of(stream).await, "TOKEN_INVALID");
    for token in [&second.access_token, &third.access_token] {
        assert_eq!(works(&clients, token).await, Err("TOKEN_INVALID".into()));
    }
    for token in [&first.refresh_token, &third.refresh_token] {
        assert_eq!(refresh(&clients, token).await.unwrap_err(), "REFRESH_INVALID");
    }
    assert_eq!(works(&clients, &other).await, Ok(()));
    server.stop().await;
}

#[tokio::test]
async fn an_answer_lost_on_the_way_locks_nobody_out() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let begun = alice.sign_in_from(&clients, None).await;
    // However often it is lost.
    let mut lost = Vec::new();
    for _ in 0..4 {
        lost.push(refresh(&clients, &begun.refresh_token).await.unwrap());
    }
    let arrived = lost.pop().unwrap();
    for lost in &lost {
        assert_eq!(
            works(&clients, &lost.access_token).await,
            Err("TOKEN_INVALID".into())
        );
    }
    assert_eq!(works(&clients, &arrived.access_token).await, Ok(()));
    let next = refresh(&clients, &arrived.refresh_token).await.unwrap();
    assert_eq!(works(&clients, &next.access_token).await, Ok(()));
    server.stop().await;
}

#[tokio::test]
async fn a_thief_and_the_owner_of_a_token_cannot_both_go_on() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let stolen = alice.sign_in_from(&clients, None).await.refresh_token;
    let owners = refresh(&clients, &stolen).await.unwrap();
    // As if the owner's answer had been lost.
    let thiefs = refresh(&clients, &stolen).await.unwrap();
    assert_eq!(
        works(&clients, &owners.access_token).await,
        Err("TOKEN_INVALID".into())
    );
    assert_eq!(
        refresh(&clients, &owners.refresh_token).await.unwrap_err(),
        "REFRESH_REUSED"
    );
    assert_eq!(
        works(&clients, &thiefs.access_token).await,
        Err("TOKEN_INVALID".into())
    );
    assert_eq!(
        refresh(&clients, &thiefs.refresh_token).await.unwrap_err(),
        "REFRESH_INVALID"
    );
    server.stop().await;
}

#[tokio::test]
async fn who_knows_a_sessions_id_and_no_token_of_it_changes_nothing() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let begun = alice.sign_in_from(&clients, None).await;
    let before = dump(&server.database).await;
    let forged = format!("{}{}", &begun.refresh_token[..32], "0".repeat(128));
    assert_eq!(refresh(&clients, &forged).await.unwrap_err(), "REFRESH_INVALID");
    assert_eq!(dump(&server.database).await, before);
    assert_eq!(works(&clients, &begun.access_token).await, Ok(()));
    server.stop().await;
}

#[tokio::test]
async fn of_many_who_refresh_at_once_the_session_keeps_one_pair_of_tokens() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let begun = alice.sign_in_from(&clients, None).await;
    let answers = (0..8).map(|_| refresh(&clients, &begun.refresh_token));
    let answers = futures_util::future::join_all(answers).await;
    let mut good = 0;
    for answer in &answers {
        good += usize::from(
            works(&clients, &answer.as_ref().unwrap().access_token)
                .await
                .is_ok(),
        );
    }
    assert_eq!(good, 1);
    server.stop().await;
}
