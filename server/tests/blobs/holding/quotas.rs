//! How much an account may hold, and what counts.

use std::time::{Duration, Instant};

use super::{storage, until_forgotten};
use crate::blobs::{DAY, Person, content, number, parts_in, until_empty};
use crate::common::{TestServer, reason, told};

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
    until_forgotten(&server).await;

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
async fn what_was_given_up_takes_of_the_share_until_it_is_removed_which_is_soon() {
    // Swept once an hour: what is removed before is removed because it was given up.
    let server = TestServer::start_limited(|limits| limits.max_blob_bytes_per_account = 1_000).await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let blob = alice.put(1, &content(900, 1)).await.unwrap();
    let objects = parts_in(&storage(&server));
    assert_eq!(objects.len(), 1);
    // A file in the place of its folder: the storage fails to remove it.
    let folder = objects[0].parent().unwrap().to_owned();
    let aside = server.folder.path().join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    alice.release(&blob).await;
    for _ in 0..4 {
        let refused = alice.begin(2, 101).await.unwrap_err();
        assert_eq!(
            (reason(&refused), number(&refused, "limit")),
            ("QUOTA_EXCEEDED".into(), 1_000)
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    alice.begin(3, 100).await.expect("the rest of the share");
    // Somebody else's share is another's.
    let bob = Person::join(&clients, "bob").await;
    bob.put(1, &content(1_000, 2)).await.unwrap();

    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    let began = Instant::now();
    while alice.begin(2, 101).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "it still counts");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(parts_in(&storage(&server)).len(), 1, "bob's");
    server.stop().await;
}

#[tokio::test]
async fn a_hold_that_has_ended_takes_of_the_share_until_the_blob_is_removed() {
    let server = TestServer::start_limited(|limits| limits.max_blob_bytes_per_account = 1_000).await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    alice.put_for(1, &content(900, 1), 1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let refused = alice.begin(2, 900).await.unwrap_err();
    assert_eq!(reason(&refused), "QUOTA_EXCEEDED");
    // Having asked has it removed.
    until_empty(&storage(&server)).await;
    until_forgotten(&server).await;
    alice.begin(2, 900).await.unwrap();
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
