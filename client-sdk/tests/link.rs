//! The link to the server: how it is mended, and how often.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::time::Duration;

use common::{RunningServer, read};
use sottovoce::{Client, Status};
use sottovoce_server::Limits;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long the servers and twins below get to make a client come back, again and again.
const WATCHED: Duration = Duration::from_secs(4);

/// Counts how often a client comes online while it is watched.
fn count_connections(client: &Client) -> JoinHandle<u32> {
    let mut status = client.status();
    let until = Instant::now() + WATCHED;
    tokio::spawn(async move {
        let mut count = u32::from(status.borrow_and_update().is_connected());
        let mut online = count > 0;
        while let Ok(Ok(())) = tokio::time::timeout_at(until, status.changed()).await {
            let now = status.borrow_and_update().is_connected();
            count += u32::from(now && !online);
            online = now;
        }
        count
    })
}

#[tokio::test]
async fn two_clients_with_copies_of_one_store_do_not_fight() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, _) = server.register(folder.path(), "alice").await;
    alice.close().await;
    std::fs::copy(folder.path().join("alice.db"), folder.path().join("twin.db")).expect("copied");
    let (alice, _to_alice) = server.open(folder.path(), "alice").await;
    alice.caught_up().await.expect("the server is there");
    let (twin, _to_twin) = server.open(folder.path(), "twin").await;
    let (alices, twins) = (count_connections(&alice), count_connections(&twin));
    let (alices, twins) = (alices.await.expect("counted"), twins.await.expect("counted"));
    assert_eq!(
        (alices, twins),
        (1, 1),
        "each once: the displaced one waits to be asked"
    );

    assert_eq!(*alice.status().borrow(), Status::Displaced);
    alice.reconnect().await.expect("the client runs");
    alice.caught_up().await.expect("the server is there");
    let mut twins = twin.status();
    let displaced = twins.wait_for(|status| *status == Status::Displaced);
    displaced.await.expect("the client runs");
}

#[tokio::test]
async fn a_server_that_ends_every_stream_is_come_back_to_less_and_less() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let place = server.address;
    let (alice, _) = server.register(folder.path(), "alice").await;
    alice.close().await;
    server.stop().await;
    let rude = Limits {
        access_token_lifetime: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = RunningServer::start_limited(folder.path(), Some(place), rude).await;
    let (alice, _to_alice) = server.open(folder.path(), "alice").await;
    let times = count_connections(&alice).await.expect("counted");
    assert!((2..=7).contains(&times), "{times} connections in {WATCHED:?}");
}

#[tokio::test]
async fn a_restarted_server_is_reached_again_soon() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = RunningServer::start(folder.path(), None).await;
    let place = server.address;
    let (alice, _to_alice) = server.register(folder.path(), "alice").await;
    for _ in 0..2 {
        server.stop().await;
        alice
            .status()
            .wait_for(|status| *status == Status::Offline)
            .await
            .expect("the client runs");
        server = RunningServer::start(folder.path(), Some(place)).await;
        let back = Instant::now();
        alice.caught_up().await.expect("the client runs");
        // The longest wait is half a minute, and at least half of that.
        assert!(back.elapsed() < Duration::from_secs(10), "{:?}", back.elapsed());
    }
}

#[tokio::test]
async fn a_token_that_is_no_longer_good_is_replaced_when_a_call_finds_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    alice.send_text(bob.address(), "one").await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "one");
    common::sent(&alice, &mut to_alice).await;

    // As when others of this device displace it; the open stream has its 15 minutes to go.
    let options = SqliteConnectOptions::new().filename(&server.database);
    let mut database = options.connect().await.expect("the server's database");
    sqlx::query("DELETE FROM access_tokens")
        .execute(&mut database)
        .await
        .expect("deleted");
    alice.send_text(bob.address(), "two").await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "two");
    common::sent(&alice, &mut to_alice).await;
}
