use prost::Message;
use sottovoce_proto::v1::{
    BeginUploadRequest, DownloadBlobRequest, FinishUploadRequest, ReleaseBlobRequest, RetainBlobRequest,
    UploadPartRequest,
};
use tonic::Code;

use super::{
    BEGIN_UPLOAD, DOWNLOAD_BLOB, FINISH_UPLOAD, RELEASE_BLOB, RETAIN_BLOB, Row, UPLOAD_PART, World, invalid,
    too_large,
};
use crate::common::{call, dump, id, with_token};

const UNKNOWN: super::Refused<'static> = (Code::NotFound, "BLOB_UNKNOWN", "");

#[tokio::test]
async fn bad_uploads_are_refused_and_change_nothing() {
    let world = World::new().await;
    let begin = |change: fn(&mut BeginUploadRequest)| {
        let mut request = BeginUploadRequest {
            upload_id: id(1),
            size: 1_000,
            keep_for_s: 60,
        };
        change(&mut request);
        request.encode_to_vec()
    };
    let rows: Vec<Row<'_>> = vec![
        ("empty", Vec::new(), invalid("upload_id")),
        ("no id", begin(|r| r.upload_id.clear()), invalid("upload_id")),
        (
            "short id",
            begin(|r| r.upload_id.truncate(15)),
            invalid("upload_id"),
        ),
        ("long id", begin(|r| r.upload_id.push(0)), invalid("upload_id")),
        ("no size", begin(|r| r.size = 0), invalid("size")),
        (
            "too large",
            begin(|r| r.size = 100 * 1024 * 1024 + 1),
            too_large("size"),
        ),
        (
            "as large as can be",
            begin(|r| r.size = u64::MAX),
            too_large("size"),
        ),
        ("no time", begin(|r| r.keep_for_s = 0), invalid("keep_for_s")),
        (
            "too long a time",
            begin(|r| r.keep_for_s = 90 * 24 * 3_600 + 1),
            too_large("keep_for_s"),
        ),
    ];
    for (what, body, expected) in rows {
        world.refuses(what, BEGIN_UPLOAD, body, expected).await;
    }
    let finish = |upload_id: Vec<u8>| FinishUploadRequest { upload_id }.encode_to_vec();
    world
        .refuses("empty", FINISH_UPLOAD, Vec::new(), invalid("upload_id"))
        .await;
    world
        .refuses(
            "long id",
            FINISH_UPLOAD,
            finish(vec![1; 17]),
            invalid("upload_id"),
        )
        .await;
    world
        .refuses("unknown", FINISH_UPLOAD, finish(id(1)), UNKNOWN)
        .await;
    world.server.stop().await;
}

#[tokio::test]
async fn bad_parts_are_refused_and_change_nothing() {
    let mut world = World::new().await;
    let mut blobs = world.blobs();
    let size = 1024 * 1024 + 100;
    let request = BeginUploadRequest {
        upload_id: id(1),
        size,
        keep_for_s: 60,
    };
    blobs
        .begin_upload(with_token(&world.token, request))
        .await
        .unwrap();
    world.before = dump(&world.server.database).await;
    let part = |upload_id: Vec<u8>, offset: u64, length: usize| {
        let request = UploadPartRequest {
            upload_id,
            offset,
            data: vec![7; length],
        };
        request.encode_to_vec()
    };
    let mib = 1024 * 1024;
    let offset = (Code::OutOfRange, "UPLOAD_OFFSET", "");
    let rows: Vec<Row<'_>> = vec![
        ("empty", Vec::new(), invalid("upload_id")),
        ("short id", part(vec![1; 15], 0, mib), invalid("upload_id")),
        ("no data", part(id(1), 0, 0), invalid("data")),
        ("longer than a part", part(id(1), 0, mib + 1), too_large("data")),
        ("shorter than a part", part(id(1), 0, mib - 1), invalid("data")),
        ("unknown upload", part(id(2), 0, mib), UNKNOWN),
        ("not where the upload ends", part(id(1), mib as u64, 100), offset),
        ("beyond the end", part(id(1), mib as u64, 101), invalid("offset")),
        (
            "far beyond the end",
            part(id(1), u64::MAX, 100),
            invalid("offset"),
        ),
    ];
    for (what, body, expected) in rows {
        world.refuses(what, UPLOAD_PART, body, expected).await;
    }
    let blobs = world.server.folder.path().join("data/blobs");
    let left = std::fs::read_dir(blobs).unwrap().filter_map(Result::ok);
    let left: Vec<_> = left.filter(|entry| entry.path().is_dir()).collect();
    assert!(left.is_empty(), "a refused part reached the storage: {left:?}");
    world.server.stop().await;
}

#[tokio::test]
async fn bad_requests_for_blobs_are_refused_and_change_nothing() {
    let mut world = World::new().await;
    let blob = world.upload(b"ten bytes.").await;
    world.before = dump(&world.server.database).await;
    let download = |blob_id: &[u8], offset| {
        let request = DownloadBlobRequest {
            blob_id: blob_id.to_vec(),
            offset,
            length: 1,
        };
        request.encode_to_vec()
    };
    let retain = |blob_id: &[u8], keep_for_s| {
        let request = RetainBlobRequest {
            blob_id: blob_id.to_vec(),
            keep_for_s,
        };
        request.encode_to_vec()
    };
    let release = |blob_id: &[u8], upload_id: &[u8]| {
        let request = ReleaseBlobRequest {
            blob_id: blob_id.to_vec(),
            upload_id: upload_id.to_vec(),
        };
        request.encode_to_vec()
    };
    let rows: Vec<(&'static str, Row<'_>)> = vec![
        (DOWNLOAD_BLOB, ("empty", Vec::new(), invalid("blob_id"))),
        (
            DOWNLOAD_BLOB,
            ("short id", download(&blob[..15], 0), invalid("blob_id")),
        ),
        (DOWNLOAD_BLOB, ("unknown", download(&id(9), 0), UNKNOWN)),
        (DOWNLOAD_BLOB, ("the upload's id", download(&id(1), 0), UNKNOWN)),
        (
            DOWNLOAD_BLOB,
            ("behind the end", download(&blob, 11), invalid("offset")),
        ),
        (
            DOWNLOAD_BLOB,
            ("far behind the end", download(&blob, u64::MAX), invalid("offset")),
        ),
        (RETAIN_BLOB, ("empty", Vec::new(), invalid("blob_id"))),
        (RETAIN_BLOB, ("no time", retain(&blob, 0), invalid("keep_for_s"))),
        (
            RETAIN_BLOB,
            (
                "too long a time",
                retain(&blob, u32::MAX),
                too_large("keep_for_s"),
            ),
        ),
        (RETAIN_BLOB, ("unknown", retain(&id(9), 60), UNKNOWN)),
        (RELEASE_BLOB, ("empty", Vec::new(), invalid("blob_id"))),
        (
            RELEASE_BLOB,
            ("short id", release(&blob[..15], &[]), invalid("blob_id")),
        ),
        (
            RELEASE_BLOB,
            ("short upload id", release(&[], &[1; 15]), invalid("upload_id")),
        ),
        (
            RELEASE_BLOB,
            ("both", release(&blob, &id(1)), invalid("upload_id")),
        ),
    ];
    for (path, (what, body, expected)) in rows {
        world.refuses(what, path, body, expected).await;
    }
    // There is nothing to give up, and that is no secret.
    let authorization = format!("Bearer {}", world.token);
    let metadata = [("authorization", authorization.as_str())];
    for body in [release(&id(9), &[]), release(&[], &id(9))] {
        call(&world.clients.channel, RELEASE_BLOB, &metadata, body)
            .await
            .unwrap();
    }
    assert_eq!(dump(&world.server.database).await, world.before);
    world.server.stop().await;
}
