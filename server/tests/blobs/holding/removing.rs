//! What nobody holds is removed, and nothing else.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{often_swept, storage, until_forgotten};
use crate::blobs::{Person, content, parts_in, read, until_empty};
use crate::common::{Device, Look, TestServer, reason};

#[tokio::test]
async fn the_blobs_of_a_deleted_account_are_removed() {
    let server = often_swept().await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let blob = alice.put(1, &content(3_000, 2)).await.unwrap();
    alice.put(2, &content(3_000, 3)).await.unwrap();
    crate::accounts::delete(&clients, &alice.token, &Device::named("alice"))
        .await
        .unwrap();
    until_empty(&storage(&server)).await;
    until_forgotten(&server).await;
    assert_eq!(
        reason(&read(&clients, &blob, 0, 0).await.unwrap_err()),
        "BLOB_UNKNOWN"
    );
    server.stop().await;
}

#[tokio::test]
async fn blobs_that_cannot_be_removed_hold_up_no_others() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    // A hundred before it, whose place in the storage is no folder: not where alice's is by chance.
    let (mut blob, mut object) = (Vec::new(), storage(&server));
    for upload in 1.. {
        let known = parts_in(&storage(&server));
        blob = alice.put(upload, &content(3_000, 2)).await.unwrap();
        let new = |path: &PathBuf| !known.contains(path);
        object = parts_in(&storage(&server)).into_iter().find(new).unwrap();
        if !object.starts_with(storage(&server).join("00")) {
            break;
        }
    }
    let shelf = storage(&server).join("00");
    let _ = std::fs::remove_dir_all(&shelf);
    std::fs::write(&shelf, "in the way").unwrap();
    let mut look = Look::into(&server.database).await;
    for n in 1..=100_u8 {
        let mut key = [0; 16];
        key[15] = n;
        let key = look.bytes(&key);
        look.execute(&format!(
            "INSERT INTO blobs (key, size, part_len, unheld) VALUES ({key}, 1, 1, 1)"
        ))
        .await;
    }
    look.close().await;
    alice.release(&blob).await;
    let began = Instant::now();
    while object.exists() {
        assert!(began.elapsed() < Duration::from_secs(30), "it is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn what_belongs_to_no_blob_is_removed_and_nothing_else() {
    let server = often_swept().await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(3_000, 2);
    let blob = alice.put(1, &whole).await.unwrap();
    let storage = storage(&server);
    let stray = |name: &str| {
        let path = storage.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "x").unwrap();
        path
    };
    let orphan = stray("ab/ab000000000000000000000000000000/00000000");
    let half_written = stray("ab/ab000000000000000000000000000001/00000003#1");
    let foreign = stray("ab/photo");
    let elsewhere = stray("photos/00000000000000000000000000000000/1");
    let began = Instant::now();
    while orphan.exists() || half_written.exists() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "orphans are still there"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(foreign.exists() && elsewhere.exists());
    assert_eq!(read(&clients, &blob, 0, 0).await.unwrap(), whole);
    server.stop().await;
}

#[tokio::test]
async fn young_orphans_and_another_databases_blobs_are_left_alone() {
    let orphan = "ab/ab000000000000000000000000000000/00000000";
    let server = TestServer::start_limited(|limits| limits.sweep_interval = Duration::from_millis(200)).await;
    let path = storage(&server).join(orphan);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "x").unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(path.exists(), "it is younger than a day");
    server.stop().await;

    // The same folder, and a database that knows nothing of it.
    let server = TestServer::start_with(|config| {
        config.limits.sweep_interval = Duration::from_millis(200);
        config.limits.orphan_grace = Duration::ZERO;
        std::fs::create_dir_all(config.data_dir.join("blobs/ab/ab000000000000000000000000000000")).unwrap();
        std::fs::write(config.data_dir.join("blobs").join(orphan), "x").unwrap();
        std::fs::write(
            config.data_dir.join("blobs/sottovoce-storage"),
            "another database",
        )
        .unwrap();
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(storage(&server).join(orphan).exists());
    server.stop().await;
}
