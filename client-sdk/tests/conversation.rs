//! Two clients and the real server.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::time::Duration;

use common::{RunningServer, address, next, read, sent};
use sottovoce::{ClientError, EventKind, SendFailure, Status};

#[tokio::test]
async fn words_go_both_ways() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    for round in 0..5 {
        alice
            .send_text(bob.address(), &format!("ping {round}"))
            .await
            .expect("queued");
        assert_eq!(read(&bob, &mut to_bob).await, format!("ping {round}"));
        bob.send_text(alice.address(), &format!("pong {round}"))
            .await
            .expect("queued");
        assert_eq!(read(&alice, &mut to_alice).await, format!("pong {round}"));
    }
    assert_eq!(
        alice.trusted_account_key(bob.address()).await,
        Ok(Some(bob.account_key()))
    );
}

#[tokio::test]
async fn a_burst_arrives_once_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, _to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    for number in 0..200 {
        alice
            .send_text(bob.address(), &number.to_string())
            .await
            .expect("queued");
    }
    for number in 0..200 {
        assert_eq!(read(&bob, &mut to_bob).await, number.to_string());
    }
}

#[tokio::test]
async fn messages_wait_for_whoever_is_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, _) = server.register(folder.path(), "bob").await;
    bob.close().await;
    for text in ["one", "two", "three"] {
        alice.send_text(&address("bob"), text).await.expect("queued");
        sent(&alice, &mut to_alice).await;
    }
    let (bob, mut to_bob) = server.open(folder.path(), "bob").await;
    for text in ["one", "two", "three"] {
        assert_eq!(read(&bob, &mut to_bob).await, text);
    }
}

#[tokio::test]
async fn what_is_written_offline_is_sent_once_the_server_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let place = server.address;
    let (alice, _to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    server.stop().await;
    alice
        .status()
        .wait_for(|status| *status == Status::Offline)
        .await
        .expect("the client runs");
    for number in 0..10 {
        alice
            .send_text(bob.address(), &number.to_string())
            .await
            .expect("queued without a server");
    }
    // Not even a restart of the client loses them.
    alice.close().await;
    let server = RunningServer::start(folder.path(), Some(place)).await;
    let (_alice, _to_alice) = server.open(folder.path(), "alice").await;
    for number in 0..10 {
        assert_eq!(read(&bob, &mut to_bob).await, number.to_string());
    }
}

#[tokio::test]
async fn an_expired_token_is_replaced_without_anybody_noticing() {
    let folder = tempfile::tempdir().expect("a folder");
    let short = sottovoce_server::Limits {
        access_token_lifetime: Duration::from_secs(1),
        ..Default::default()
    };
    let server = RunningServer::start_limited(folder.path(), None, short).await;
    let (alice, _to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    // Three lifetimes long, a message every tenth of one.
    for number in 0..30 {
        alice
            .send_text(bob.address(), &number.to_string())
            .await
            .expect("queued");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for number in 0..30 {
        assert_eq!(read(&bob, &mut to_bob).await, number.to_string());
    }
}

#[tokio::test]
async fn an_event_comes_again_until_it_is_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, _to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    alice
        .send_text(bob.address(), "remember this")
        .await
        .expect("queued");
    let first = next(&mut to_bob).await;
    bob.close().await;

    let (bob, mut to_bob) = server.open(folder.path(), "bob").await;
    assert_eq!(next(&mut to_bob).await, first);
    bob.acknowledge(first.id).await.expect("the client runs");
    bob.close().await;

    let (bob, mut to_bob) = server.open(folder.path(), "bob").await;
    bob.caught_up().await.expect("the server is there");
    alice.send_text(bob.address(), "and this").await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "and this");
}

#[tokio::test]
async fn a_message_to_nobody_fails_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    for stranger in ["nobody@localhost", "bob@elsewhere.example"] {
        let stranger = sottovoce::Address::parse(stranger).expect("a valid address");
        let message = alice.send_text(&stranger, "hello?").await.expect("queued");
        let failed = EventKind::MessageFailed {
            to: stranger,
            message_id: message,
            reason: SendFailure::NoSuchAccount,
        };
        assert_eq!(next(&mut to_alice).await.kind, failed);
    }
}

#[tokio::test]
async fn a_client_whose_events_nobody_wants_works_on_and_keeps_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    drop(to_alice);
    for text in ["one", "two"] {
        alice.send_text(bob.address(), text).await.expect("queued");
        assert_eq!(read(&bob, &mut to_bob).await, text);
    }
    bob.send_text(alice.address(), "three").await.expect("queued");
    sent(&bob, &mut to_bob).await;
    alice.close().await;
    let (alice, mut to_alice) = server.open(folder.path(), "alice").await;
    sent(&alice, &mut to_alice).await;
    sent(&alice, &mut to_alice).await;
    assert_eq!(read(&alice, &mut to_alice).await, "three");
}

#[tokio::test]
async fn a_stopped_client_says_so_to_everyone_and_its_store_is_free() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut events) = server.register(folder.path(), "alice").await;
    let (other, mut status) = (alice.clone(), alice.status());
    let waiting = tokio::spawn(async move {
        let stopped = status.wait_for(|status| *status == Status::Stopped).await;
        stopped.map(|_| ())
    });
    alice.close().await;
    waiting
        .await
        .expect("no panic")
        .expect("it says so before it goes");
    assert_eq!(
        other.send_text(&address("bob"), "x").await,
        Err(ClientError::Stopped)
    );
    assert_eq!(other.caught_up().await, Err(ClientError::Stopped));
    assert_eq!(events.next().await, None);
    other.close().await;
    server.open(folder.path(), "alice").await;
}
