//! Two clients who write to each other unseen: what the real server knows of it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::time::Duration;

use common::{PATIENCE, RunningServer, address, next, read, sent, until};
use sottovoce::{ClientError, EventKind, InputError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Decode, Row, Sqlite, Type};

/// One column of the server's database.
async fn column<T>(server: &RunningServer, query: &'static str) -> Vec<Option<T>>
where
    Option<T>: for<'row> Decode<'row, Sqlite> + Type<Sqlite>,
{
    let options = SqliteConnectOptions::new().filename(&server.database);
    let mut database = options.connect().await.expect("the server's database");
    let rows = sqlx::query(query).fetch_all(&mut database).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Whom the server's database names as the senders of what waits.
async fn senders(server: &RunningServer) -> Vec<Option<String>> {
    column(server, "SELECT sender FROM envelopes").await
}

/// What the server keeps of the accounts' access keys.
async fn access_key_hashes(server: &RunningServer) -> Vec<Option<Vec<u8>>> {
    column(server, "SELECT access_key_hash FROM accounts ORDER BY id").await
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
async fn a_rotated_key_is_told_anew_and_the_old_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    bob.send_text(alice.address(), "hello").await.expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, "hello");
    sent(&bob, &mut to_bob).await;
    let before = access_key_hashes(&server).await;
    bob.rotate_access_key().await.expect("the client runs");
    let rotated = async {
        while access_key_hashes(&server).await == before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, rotated)
        .await
        .expect("in good time");

    // With the key of before alice is told that it was refused, and writes by name.
    alice.send_text(bob.address(), "by name").await.expect("queued");
    let refused = until(&alice, &mut to_alice, |_| true).await;
    let expected = EventKind::SealedRefused {
        address: bob.address().clone(),
    };
    assert_eq!(refused, expected);
    sent(&alice, &mut to_alice).await;
    assert_eq!(read(&bob, &mut to_bob).await, "by name");
    bob.send_text(alice.address(), "here is the other")
        .await
        .expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, "here is the other");
    sent(&bob, &mut to_bob).await;
    bob.close().await;
    alice
        .send_text(&address("bob"), "unseen again")
        .await
        .expect("queued");
    sent(&alice, &mut to_alice).await;
    assert_eq!(senders(&server).await, [None]);
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
