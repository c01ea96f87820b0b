//! Registering: the account key is made once, and kept for as long as the server may know it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::time::Duration;

use common::{PATIENCE, RunningServer, address};
use sottovoce::{Client, ErrorReason, OpenError, RegisterError};
use sottovoce_server::Limits;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

#[tokio::test]
async fn a_taken_address_leaves_the_store_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, _) = server.register(folder.path(), "alice").await;
    let config = || server.config(folder.path(), "second");
    let taken = Client::register(config(), &address("alice")).await;
    assert!(matches!(taken, Err(RegisterError::AddressTaken)));
    assert!(matches!(Client::open(config()).await, Err(OpenError::NoAccount)));
    let (second, _) = Client::register(config(), &address("alicia"))
        .await
        .expect("a free address");
    second.close().await;
    for again in ["alicia", "somebody.else"] {
        let twice = Client::register(config(), &address(again)).await;
        assert!(matches!(twice, Err(RegisterError::AlreadyRegistered)), "{again}");
    }
    drop(alice);
}

#[tokio::test]
async fn registering_goes_on_with_the_same_keys_after_the_server_was_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (place, config) = (server.address, server.config(folder.path(), "alice"));
    server.stop().await;
    let away = Client::register(config.clone(), &address("alice")).await;
    assert!(matches!(away, Err(RegisterError::Unavailable)), "{away:?}");
    let server = RunningServer::start(folder.path(), Some(place)).await;
    let (alice, _) = server.register(folder.path(), "alice").await;
    alice.caught_up().await.expect("the server is there");
}

#[tokio::test]
async fn an_unfinished_registration_is_not_taken_for_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (place, config) = (server.address, server.config(folder.path(), "alice"));
    server.stop().await;
    let away = Client::register(config.clone(), &address("alice")).await;
    assert!(matches!(away, Err(RegisterError::Unavailable)), "{away:?}");
    let _server = RunningServer::start(folder.path(), Some(place)).await;
    let other = Client::register(config.clone(), &address("alicia")).await;
    assert!(
        matches!(&other, Err(RegisterError::Unfinished(of)) if *of == address("alice")),
        "{other:?}"
    );
    Client::register(config, &address("alice"))
        .await
        .expect("it goes on");
}

#[tokio::test]
async fn a_refusal_that_may_follow_a_commit_keeps_the_only_keys_of_the_account() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits {
        request_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let server = RunningServer::start_limited(folder.path(), None, limits).await;
    let config = || server.config(folder.path(), "alice");
    // The server's disk is so slow that it tells of a missed deadline, and makes the account after that.
    let options = SqliteConnectOptions::new().filename(&server.database);
    let mut disk = options.connect().await.expect("the server's database");
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut disk)
        .await
        .expect("nobody writes");
    let late = Client::register(config(), &address("alice")).await;
    assert!(matches!(late, Err(RegisterError::Unavailable)), "{late:?}");
    disk.close().await.expect("the disk is quick again");

    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match Client::register(config(), &address("alice")).await {
            Ok(_) => break,
            Err(RegisterError::Unavailable) if tokio::time::Instant::now() < deadline => {}
            Err(error) => panic!("the keys are lost: {error}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_is_full_keeps_nobody_from_registering_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let full = Limits {
        max_accounts: 0,
        ..Limits::default()
    };
    let server = RunningServer::start_limited(folder.path(), None, full).await;
    let (place, config) = (server.address, server.config(folder.path(), "alice"));
    let refused = Client::register(config.clone(), &address("alice")).await;
    assert!(matches!(refused, Err(RegisterError::Unavailable)), "{refused:?}");
    let other = Client::register(config.clone(), &address("other")).await;
    assert!(
        matches!(other, Err(RegisterError::Unfinished(_))),
        "the keys are kept: {other:?}"
    );
    server.stop().await;
    let server = RunningServer::start(folder.path(), Some(place)).await;
    server.register(folder.path(), "alice").await;
}

#[tokio::test]
async fn an_address_of_another_server_is_refused_for_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let config = || server.config(folder.path(), "alice");
    let elsewhere = sottovoce::Address::parse("alice@elsewhere.example").expect("a valid address");
    let refused = Client::register(config(), &elsewhere).await;
    assert!(
        matches!(refused, Err(RegisterError::Refused(ErrorReason::ServerNotLocal))),
        "{refused:?}"
    );
    assert!(matches!(Client::open(config()).await, Err(OpenError::NoAccount)));
    server.register(folder.path(), "alice").await;
}
