use std::time::Duration;

use futures_util::future::join_all;

use super::{MIB, Person, content, number, parts_in, read, until_empty};
use crate::common::{TestServer, id, reason, told};

#[tokio::test]
async fn a_blob_is_uploaded_in_parts_and_read_by_whoever_knows_its_id() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(2 * MIB + MIB / 2, 1);
    let begun = alice.begin(1, whole.len()).await.unwrap();
    assert_eq!((begun.offset, begun.part_len as usize), (0, MIB));
    let blob = alice.put(1, &whole).await.unwrap();
    assert_eq!(blob.len(), 16);
    assert_ne!(blob, id(1));
    assert_eq!(read(&clients, &blob, 0, 0).await.unwrap(), whole);
    for (offset, length) in [
        (0, 1),
        (MIB - 1, 2),
        (100_000, 2 * MIB),
        (2 * MIB, MIB / 2),
        (whole.len() - 1, 1),
        (MIB, 0),
        (2 * MIB, 10 * MIB),
        (whole.len(), 0),
    ] {
        let end = if length == 0 {
            whole.len()
        } else {
            whole.len().min(offset + length)
        };
        let range = read(&clients, &blob, offset as u64, length as u64).await.unwrap();
        assert!(range == whole[offset..end], "{length} bytes from {offset}");
    }
    for unknown in [id(1), vec![0; 16]] {
        let refused = read(&clients, &unknown, 0, 0).await.unwrap_err();
        assert_eq!(reason(&refused), "BLOB_UNKNOWN");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_upload_goes_on_where_it_stopped_after_a_restart() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(2 * MIB + 10, 2);
    alice.begin(1, whole.len()).await.unwrap();
    assert_eq!(alice.part(1, 0, &whole[..MIB]).await.unwrap(), MIB as u64);
    let folder = server.stop().await;

    let server = TestServer::start_in(folder, |_| {}).await;
    let clients = server.connect().await;
    let alice = Person::known(&clients, &alice.token);
    assert_eq!(alice.begin(1, whole.len()).await.unwrap().offset, MIB as u64);
    let again = alice.part(1, 0, &whole[..MIB]).await.unwrap();
    assert_eq!(again, MIB as u64, "a part that is there is skipped");
    for offset in [2 * MIB, MIB + 1, MIB - 1] {
        let refused = alice.part(1, offset, &whole[offset..offset + 10]).await;
        if offset == MIB - 1 {
            assert_eq!(reason(&refused.unwrap_err()), "UPLOAD_OFFSET", "across the end");
        } else {
            let refused = refused.unwrap_err();
            assert_eq!(
                (reason(&refused), number(&refused, "offset")),
                ("UPLOAD_OFFSET".into(), MIB as u64)
            );
        }
    }
    let early = alice.finish(1).await.unwrap_err();
    assert_eq!(
        (reason(&early), number(&early, "offset")),
        ("UPLOAD_OFFSET".into(), MIB as u64)
    );
    let blob = alice.put(1, &whole).await.unwrap();

    let again = alice.finish(1).await.unwrap();
    assert_eq!(again.blob_id, blob, "finishing again says the same");
    assert_eq!(
        alice.begin(1, whole.len()).await.unwrap().offset,
        whole.len() as u64
    );
    assert_eq!(
        alice.part(1, MIB, &whole[MIB..2 * MIB]).await.unwrap(),
        whole.len() as u64
    );
    let other_size = alice.begin(1, whole.len() + 1).await.unwrap_err();
    assert_eq!(
        (told(&other_size).1, told(&other_size).2),
        ("FIELD_INVALID".into(), "size".into())
    );
    assert_eq!(read(&clients, &blob, 0, 0).await.unwrap(), whole);
    server.stop().await;
}

#[tokio::test]
async fn uploads_with_the_same_id_of_two_accounts_are_two() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (alice, bob) = (
        Person::join(&clients, "alice").await,
        Person::join(&clients, "bob").await,
    );
    alice.begin(1, 10).await.unwrap();
    let unknown = bob.part(1, 0, &content(10, 9)).await.unwrap_err();
    assert_eq!(reason(&unknown), "BLOB_UNKNOWN");
    assert_eq!(reason(&bob.finish(1).await.unwrap_err()), "BLOB_UNKNOWN");
    let bobs = bob.put(1, &content(20, 3)).await.unwrap();
    let alices = alice.put(1, &content(10, 4)).await.unwrap();
    assert_ne!(alices, bobs);
    assert_eq!(read(&clients, &alices, 0, 0).await.unwrap(), content(10, 4));
    assert_eq!(read(&clients, &bobs, 0, 0).await.unwrap(), content(20, 3));
    server.stop().await;
}

#[tokio::test]
async fn the_same_part_many_times_at_one_time_is_stored_once() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(2 * MIB, 5);
    let begun = join_all((0..8).map(|_| alice.begin(1, whole.len()))).await;
    assert!(begun.iter().all(|begun| begun.as_ref().unwrap().offset == 0));
    for offset in [0, MIB] {
        let part = &whole[offset..offset + MIB];
        for outcome in join_all((0..8).map(|_| alice.part(1, offset, part))).await {
            assert_eq!(outcome.unwrap(), (offset + MIB) as u64);
        }
    }
    let finished = join_all((0..8).map(|_| alice.finish(1))).await;
    let ids: Vec<_> = finished
        .into_iter()
        .map(|finished| finished.unwrap().blob_id)
        .collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(read(&clients, &ids[0], 0, 0).await.unwrap(), whole);
    assert_eq!(parts_in(&server.folder.path().join("data/blobs")).len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn an_upload_that_takes_too_long_is_given_up() {
    let server = TestServer::start_limited(|limits| {
        limits.upload_lifetime = Duration::from_secs(2);
        limits.sweep_interval = Duration::from_millis(300);
        limits.max_blob_bytes_per_account = 2 * MIB as u64;
    })
    .await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(2 * MIB, 6);
    alice.begin(1, whole.len()).await.unwrap();
    alice.part(1, 0, &whole[..MIB]).await.unwrap();
    assert_eq!(reason(&alice.begin(2, 1).await.unwrap_err()), "QUOTA_EXCEEDED");
    until_empty(&server.folder.path().join("data/blobs")).await;
    let late = alice.part(1, MIB, &whole[MIB..]).await.unwrap_err();
    assert_eq!(reason(&late), "BLOB_UNKNOWN");
    assert_eq!(
        alice.begin(1, 2 * MIB).await.unwrap().offset,
        0,
        "its id and its room are free"
    );
    server.stop().await;
}
