//! The sealed store, and what stands in the way of opening it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::time::Duration;

use common::{RunningServer, read};
use sottovoce::{Client, Config, OpenError, StoreKey};

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
async fn a_used_one_time_prekey_is_erased_from_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, _to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;

    let key = sottovoce_crypto::StorageKey::from_bytes([7; 32]);
    let name = key.blind(b"one-time-prekey/1");
    let holds_prekey = || {
        ["bob.db", "bob.db-wal"].iter().any(|file| {
            let bytes = std::fs::read(folder.path().join(file)).unwrap_or_default();
            let starts = bytes
                .windows(32)
                .enumerate()
                .filter(|(_, window)| *window == name);
            // What follows a record's name is its sealed value, of a length that is not known here.
            starts.into_iter().any(|(start, _)| {
                let value = &bytes[start + 32..bytes.len().min(start + 32 + 300)];
                (0..=value.len()).any(|end| key.open(&name, &value[..end]).is_ok())
            })
        })
    };
    assert!(holds_prekey(), "the search finds it while it is needed");
    alice.send_text(bob.address(), "hello").await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "hello");
    // At the client's next tick, that is.
    let erased = async {
        while holds_prekey() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(common::PATIENCE, erased)
        .await
        .expect("erased while the client runs");
    bob.close().await;
    assert!(!holds_prekey());
    assert!(!folder.path().join("bob.db-wal").exists());
}
