use std::path::PathBuf;
use std::time::Duration;

use super::{DAY, MIB, Person, content, number, parts_in, read, until_empty};
use crate::common::{TestServer, reason, told};

fn storage(server: &TestServer) -> PathBuf {
    server.folder.path().join("data/blobs")
}

async fn often_swept() -> TestServer {
    TestServer::start_limited(|limits| {
        limits.sweep_interval = Duration::from_millis(200);
        limits.orphan_grace = Duration::ZERO;
    })
    .await
}

#[tokio::test]
async fn an_account_holds_so_many_bytes_blobs_and_uploads_and_no_more() {
    let server = TestServer::start_limited(|limits| {
        limits.max_blob_bytes_per_account = 1_000;
        limits.max_blobs_per_account = 4;
        limits.max_uploads_per_account = 2;
    })
    .await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let over = async |upload, size| {
        let refused = alice.begin(upload, size).await.unwrap_err();
        assert_eq!(reason(&refused), "QUOTA_EXCEEDED");
        number(&refused, "limit")
    };
    alice.begin(1, 600).await.unwrap();
    assert_eq!(
        over(2, 401).await,
        1_000,
        "an upload counts whole from its beginning"
    );
    alice.begin(2, 100).await.unwrap();
    assert_eq!(over(3, 1).await, 2, "uploads");
    alice.begin(1, 600).await.expect("a repeat takes no more room");
    alice.abandon(1).await;
    assert_eq!(reason(&alice.finish(1).await.unwrap_err()), "BLOB_UNKNOWN");

    let mut blobs = vec![alice.put(2, &content(100, 2)).await.unwrap()];
    for upload in 3..=5 {
        blobs.push(alice.put(upload, &content(100, upload as u8)).await.unwrap());
    }
    assert_eq!(over(6, 1).await, 4, "blobs");
    alice.release(&blobs[0]).await;
    alice.put(6, &content(100, 6)).await.unwrap();

    // Somebody else's room is another's, and what is retained takes of one's own.
    let bob = Person::join(&clients, "bob").await;
    bob.put(1, &content(950, 7)).await.unwrap();
    let refused = bob.retain(&blobs[1], DAY).await.unwrap_err();
    assert_eq!(
        (reason(&refused), number(&refused, "limit")),
        ("QUOTA_EXCEEDED".into(), 1_000)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_blob_stays_as_long_as_anybody_holds_it() {
    let server = often_swept().await;
    let clients = server.connect().await;
    let (alice, bob) = (
        Person::join(&clients, "alice").await,
        Person::join(&clients, "bob").await,
    );
    let whole = content(MIB + 5, 1);
    let blob = alice.put(1, &whole).await.unwrap();
    bob.retain(&blob, DAY).await.unwrap();
    alice.release(&blob).await;
    alice.release(&blob).await;
    // Long enough for sweeps to have done harm.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(read(&clients, &blob, 0, 0).await.unwrap(), whole);
    assert_eq!(
        reason(&alice.finish(1).await.unwrap_err()),
        "BLOB_UNKNOWN",
        "alice has nothing left"
    );

    bob.release(&blob).await;
    assert_eq!(
        reason(&read(&clients, &blob, 0, 0).await.unwrap_err()),
        "BLOB_UNKNOWN"
    );
    assert_eq!(reason(&bob.retain(&blob, DAY).await.unwrap_err()), "BLOB_UNKNOWN");
    until_empty(&storage(&server)).await;
    bob.release(&blob).await;
    server.stop().await;
}

#[tokio::test]
async fn a_hold_ends_by_itself_and_the_blob_with_the_last() {
    let server = often_swept().await;
    let clients = server.connect().await;
    let (alice, bob) = (
        Person::join(&clients, "alice").await,
        Person::join(&clients, "bob").await,
    );
    let whole = content(3_000, 2);
    let short = alice.put_for(1, &whole, 2).await.unwrap();
    let shared = alice.put_for(2, &whole, 2).await.unwrap();
    let until = bob.retain(&shared, DAY).await.unwrap();
    assert_eq!(
        bob.retain(&shared, 1).await.unwrap(),
        until,
        "a hold is never made shorter"
    );
    assert_eq!(read(&clients, &short, 0, 0).await.unwrap(), whole);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        reason(&read(&clients, &short, 0, 0).await.unwrap_err()),
        "BLOB_UNKNOWN"
    );
    assert_eq!(
        reason(&alice.retain(&short, DAY).await.unwrap_err()),
        "BLOB_UNKNOWN"
    );
    assert_eq!(read(&clients, &shared, 0, 0).await.unwrap(), whole);
    assert_eq!(parts_in(&storage(&server)).len(), 1);
    alice
        .retain(&shared, DAY)
        .await
        .expect("who held it once may hold it again");
    server.stop().await;
}

#[tokio::test]
async fn an_account_holds_no_longer_than_the_server_lets_it() {
    let server =
        TestServer::start_limited(|limits| limits.max_blob_lifetime = Duration::from_secs(100)).await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let blob = alice.put_for(1, &content(10, 1), 100).await.unwrap();
    for refused in [
        alice.begin_for(2, 10, 101).await.unwrap_err(),
        alice.retain(&blob, 101).await.unwrap_err(),
    ] {
        assert_eq!(
            (told(&refused).1, told(&refused).2),
            ("TOO_LARGE".into(), "keep_for_s".into())
        );
        assert_eq!(number(&refused, "limit"), 100);
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
    let began = std::time::Instant::now();
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
