//! The sealed store, and what stands in the way of opening it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{RunningServer, address, read};
use sottovoce::{Client, Config, OpenError, RegisterError, StoreKey};

#[tokio::test]
async fn the_store_tells_nothing_without_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    alice
        .send_text(bob.address(), "nobody but bob")
        .await
        .expect("queued");
    assert_eq!(common::next(&mut to_bob).await.id.0, 1);
    bob.send_text(alice.address(), "nobody but alice")
        .await
        .expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, "nobody but alice");
    let keys = [*alice.account_key().as_bytes(), *bob.account_key().as_bytes()];

    // While it runs, log and all; and after it was closed.
    let everything = || {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(folder.path()).expect("a folder").flatten() {
            if entry.file_name().to_string_lossy().starts_with("bob.db") {
                bytes.extend(std::fs::read(entry.path()).expect("a file"));
            }
        }
        bytes
    };
    let running = everything();
    bob.close().await;
    for bytes in [running, everything()] {
        assert!(bytes.len() > 10_000);
        for secret in [
            &b"nobody but"[..],
            b"alice",
            b"bob",
            b"localhost",
            b"prekey",
            &keys[0],
            &keys[1],
        ] {
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "found {:?}", String::from_utf8_lossy(secret));
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_store_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (_alice, _events) = server.register(folder.path(), "alice").await;
    let mut files = 0;
    for entry in std::fs::read_dir(folder.path()).expect("a folder").flatten() {
        if entry.file_name().to_string_lossy().starts_with("alice.db") {
            files += 1;
            assert_eq!(
                entry.metadata().expect("a file").permissions().mode() & 0o777,
                0o600
            );
        }
    }
    assert!(files > 0);
}

#[tokio::test]
async fn a_wrong_key_opens_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, _) = server.register(folder.path(), "alice").await;
    alice.close().await;
    for key in [StoreKey::raw([8; 32]), StoreKey::passphrase("wrong")] {
        let opened = Client::open(Config {
            key,
            ..server.config(folder.path(), "alice")
        })
        .await;
        assert!(matches!(opened, Err(OpenError::WrongKey)));
    }
    let empty = Config {
        key: StoreKey::passphrase(""),
        ..server.config(folder.path(), "alice")
    };
    assert!(matches!(Client::open(empty).await, Err(OpenError::Passphrase)));
    server.open(folder.path(), "alice").await;
}

#[tokio::test]
async fn a_store_is_open_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (_alice, _events) = server.register(folder.path(), "alice").await;
    let again = Client::open(server.config(folder.path(), "alice")).await;
    assert!(matches!(again, Err(OpenError::StoreInUse)), "{again:?}");
}

#[tokio::test]
async fn a_store_without_an_account_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let opened = Client::open(server.config(folder.path(), "new")).await;
    assert!(matches!(opened, Err(OpenError::NoAccount)));
    std::fs::write(
        folder.path().join("nonsense.db"),
        "this is no database, not at all".repeat(100),
    )
    .expect("a file");
    let opened = Client::open(server.config(folder.path(), "nonsense")).await;
    assert!(matches!(opened, Err(OpenError::Store(_))), "{opened:?}");
}

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
    let twice = Client::register(config(), &address("alicia")).await;
    assert!(matches!(twice, Err(RegisterError::AlreadyRegistered)));
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
