//! Two clients who write to each other unseen: what the real server knows of it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{RunningServer, address, next, read, sent};
use sottovoce::{ClientError, EventKind, InputError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};

/// Whom the server's database names as the senders of what waits.
async fn senders(server: &RunningServer) -> Vec<Option<String>> {
    let options = SqliteConnectOptions::new().filename(&server.database);
    let mut database = options.connect().await.expect("the server's database");
    let rows = sqlx::query("SELECT sender FROM envelopes")
        .fetch_all(&mut database)
        .await
        .expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn the_server_does_not_know_who_writes_once_both_have_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    alice.send_text(bob.address(), "may i?").await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "may i?");
    sent(&alice, &mut to_alice).await;
    bob.send_text(alice.address(), "you may").await.expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, "you may");
    sent(&bob, &mut to_bob).await;
    bob.close().await;
    alice.send_text(&address("bob"), "unseen").await.expect("queued");
    sent(&alice, &mut to_alice).await;
    assert_eq!(senders(&server).await, [None]);
    let (bob, mut to_bob) = server.open(folder.path(), "bob").await;
    assert_eq!(read(&bob, &mut to_bob).await, "unseen");
}

#[tokio::test]
async fn who_is_blocked_can_write_by_name_only_and_is_not_heard() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    bob.send_text(alice.address(), "hello").await.expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, "hello");
    sent(&bob, &mut to_bob).await;
    bob.block(alice.address()).await.expect("the client runs");
    let refused = ClientError::Input(InputError::Blocked);
    assert_eq!(bob.send_text(alice.address(), "no").await, Err(refused));

    // The key that bob told is good until the server has the other one.
    alice.send_text(bob.address(), "let me in").await.expect("queued");
    loop {
        let event = next(&mut to_alice).await;
        alice.acknowledge(event.id).await.expect("the client runs");
        match event.kind {
            EventKind::SealedRefused { address } => {
                assert_eq!(address, *bob.address());
                break;
            }
            EventKind::MessageSent { .. } => {
                alice.send_text(bob.address(), "let me in").await.expect("queued");
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    sent(&alice, &mut to_alice).await;
    bob.unblock(alice.address()).await.expect("the client runs");
    alice.send_text(bob.address(), "thank you").await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "thank you");
}
