//! A blob stays as long as anybody holds it: until the last hold is given up, or has run out.

use std::time::Duration;

use super::{often_swept, storage};
use crate::blobs::{DAY, MIB, Person, content, parts_in, read, until_empty};
use crate::common::{Look, execute, reason};

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
