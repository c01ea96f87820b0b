//! Another account key under a known address: the app decides.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{RunningServer, address, next, read, sent};
use sottovoce::{AccountKey, Client, ClientError, EventKind, Events, InputError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// Gives an account of the server another address, as a server that lies can.
async fn rename(server: &RunningServer, from: &str, to: &str) {
    let options = SqliteConnectOptions::new().filename(&server.database);
    let mut database = options.connect().await.expect("the server's database");
    let sql = format!("UPDATE accounts SET address = '{to}@localhost' WHERE address = '{from}@localhost'");
    let done = sqlx::query(AssertSqlSafe(sql))
        .execute(&mut database)
        .await
        .expect("renamed");
    assert_eq!(done.rows_affected(), 1);
    database.close().await.expect("closed");
}

/// The next event tells of a changed key of Bob's account.
async fn changed_key(client: &Client, events: &mut Events) -> AccountKey {
    let event = next(events).await;
    client.acknowledge(event.id).await.expect("the client runs");
    match event.kind {
        EventKind::AccountKeyChanged {
            address: of,
            account_key,
        } => {
            assert_eq!(of, address("bob"));
            account_key
        }
        other => panic!("unexpected: {other:?}"),
    }
}

#[tokio::test]
async fn a_changed_account_key_waits_to_be_accepted_or_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    alice.send_text(&address("bob"), "hello").await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "hello");
    sent(&alice, &mut to_alice).await;

    rename(&server, "bob", "hidden").await;
    let (other, mut to_other) = Client::register(server.config(folder.path(), "other"), &address("bob"))
        .await
        .expect("the address is free");
    alice
        .send_text(&address("bob"), "who is there?")
        .await
        .expect("queued");
    let shown = changed_key(&alice, &mut to_alice).await;
    assert_eq!(shown, other.account_key());
    let wrong = alice.accept_account_key(&address("bob"), bob.account_key()).await;
    assert_eq!(wrong, Err(ClientError::Input(InputError::NoSuchAccountKey)));

    // Rejected, and shown again.
    alice
        .reject_account_key(&address("bob"), shown)
        .await
        .expect("it waits for that");
    assert_eq!(changed_key(&alice, &mut to_alice).await, shown);
    assert_eq!(
        alice.trusted_account_key(&address("bob")).await,
        Ok(Some(bob.account_key()))
    );

    // Accepted: what waited goes to the other account, and nothing else did before.
    alice
        .accept_account_key(&address("bob"), shown)
        .await
        .expect("it waits for that");
    assert_eq!(read(&other, &mut to_other).await, "who is there?");
    assert_eq!(alice.trusted_account_key(&address("bob")).await, Ok(Some(shown)));
}
