use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{DAY, MIB, Person, content, number, parts_in, read, until_empty};
use crate::common::{Device, Look, TestServer, execute, reason, told};

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

/// Waits until no blob is left that was given up.
async fn until_forgotten(server: &TestServer) {
    let began = Instant::now();
    let mut look = Look::into(&server.database).await;
    let given_up = "SELECT CAST(COUNT(*) AS TEXT) FROM blobs WHERE unheld = 1";
    while look.texts(given_up).await != ["0"] {
        assert!(began.elapsed() < Duration::from_secs(30), "blobs are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    look.close().await;
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
async fn a_blob_that_is_retained_while_its_holder_is_deleted_stays() {
    let server = often_swept().await;
    let clients = server.connect().await;
    let (alice, bob) = (
        Person::join(&clients, "alice").await,
        Person::join(&clients, "bob").await,
    );
    let whole = content(3_000, 2);
    let blob = alice.put(1, &whole).await.unwrap();
    // As another node retains it for bob: it has seen alice's hold, and locked the blob.
    let mut other = Look::into(&server.database).await;
    if let Look::Postgres(_) = other {
        other.execute("BEGIN").await;
        other.execute("SELECT key FROM blobs FOR UPDATE").await;
        // Alice's account goes, and its holds with it.
        execute(&server.database, "DELETE FROM blob_holds").await;
    } else {
        other.execute("BEGIN IMMEDIATE").await;
        other.execute("DELETE FROM blob_holds").await;
    }
    other
        .execute(
            "INSERT INTO blob_holds (blob, account, size, expires_at_ms) \
             SELECT blobs.key, accounts.id, 3000, 9000000000000 FROM blobs, accounts \
             WHERE address = 'bob@localhost'",
        )
        .await;
    // Long enough for sweeps to have looked, and to wait.
    tokio::time::sleep(Duration::from_secs(2)).await;
    other.execute("COMMIT").await;
    other.close().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(read(&clients, &blob, 0, 0).await.unwrap(), whole);
    bob.retain(&blob, DAY).await.unwrap();
    server.stop().await;
}

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
