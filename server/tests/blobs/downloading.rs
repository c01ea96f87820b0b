use std::time::Duration;

use sottovoce_proto::v1::DownloadBlobRequest;
use sottovoce_proto::v1::DownloadBlobResponse;
use sottovoce_proto::v1::blob_service_client::BlobServiceClient;
use tonic::Streaming;

use super::{MIB, Person, content, parts_in, read, read_pieces};
use crate::common::{Clients, Program, TestServer, reason};

#[tokio::test]
async fn a_storage_that_lost_something_is_never_taken_for_a_shorter_blob() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(3 * MIB, 1);
    let blob = alice.put(1, &whole).await.unwrap();
    let parts = parts_in(&server.folder.path().join("data/blobs"));
    assert_eq!(parts.len(), 3);
    let second = std::fs::read(&parts[1]).unwrap();
    let mut longer = second.clone();
    longer.push(0);
    for (what, damaged) in [
        ("cut short", Some(&second[..second.len() - 1])),
        ("empty", Some(&[][..])),
        ("longer", Some(&longer[..])),
        ("gone", None),
    ] {
        match damaged {
            Some(bytes) => std::fs::write(&parts[1], bytes).unwrap(),
            None => std::fs::remove_file(&parts[1]).unwrap(),
        }
        let (read, end) = read_pieces(&clients, &blob, 0, 0).await;
        let end = end.unwrap_or_else(|| panic!("{what}: said to be complete after {} bytes", read.len()));
        assert_eq!(reason(&end), "INTERNAL", "{what}");
        assert!(read == whole[..MIB], "{what}: only what is certain is sent");
        let (third, end) = read_pieces(&clients, &blob, 2 * MIB as u64, 0).await;
        assert!(
            end.is_none() && third == whole[2 * MIB..],
            "{what}: the rest can be read"
        );
    }
    std::fs::write(&parts[1], &second).unwrap();
    assert_eq!(read(&clients, &blob, 0, 0).await.unwrap(), whole);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_not_told_that_it_has_all() {
    let server =
        TestServer::start_limited(|limits| limits.download_patience = Duration::from_millis(500)).await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(8 * MIB, 2);
    let blob = alice.put(1, &whole).await.unwrap();
    let mut pieces = open(&clients, &blob).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut read = Vec::new();
    let end = loop {
        match pieces.message().await {
            Ok(Some(piece)) => read.extend_from_slice(&piece.data),
            Ok(None) => panic!("said to be complete after {} bytes", read.len()),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&end), "DEADLINE_EXCEEDED");
    assert!(read.len() < 4 * MIB && read == whole[..read.len()]);
    server.stop().await;
}

#[tokio::test]
async fn a_slow_client_gets_everything() {
    let server = TestServer::start_limited(|limits| limits.download_patience = Duration::from_secs(5)).await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(2 * MIB, 3);
    let blob = alice.put(1, &whole).await.unwrap();
    let mut pieces = open(&clients, &blob).await;
    let (mut read, mut sizes) = (Vec::new(), Vec::new());
    while let Some(piece) = pieces.message().await.unwrap() {
        read.extend_from_slice(&piece.data);
        sizes.push(piece.blob_size);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(read == whole);
    assert_eq!(sizes[0], whole.len() as u64);
    assert!(sizes[1..].iter().all(|size| *size == 0));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_less_than_the_rate_is_cut_and_goes_on_where_it_was() {
    let server = TestServer::start_limited(|limits| {
        limits.download_patience = Duration::from_secs(1);
        limits.min_download_rate = 64 * MIB as u64;
    })
    .await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(8 * MIB, 6);
    let blob = alice.put(1, &whole).await.unwrap();
    let mut read = Vec::new();
    let mut cuts = 0;
    while read.len() < whole.len() {
        let request = DownloadBlobRequest {
            blob_id: blob.clone(),
            offset: read.len() as u64,
            length: 0,
        };
        let mut blobs = BlobServiceClient::new(clients.channel.clone());
        let mut pieces = blobs.download_blob(request).await.unwrap().into_inner();
        loop {
            match pieces.message().await {
                Ok(Some(piece)) => read.extend_from_slice(&piece.data),
                Ok(None) => break,
                Err(status) => {
                    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
                    cuts += 1;
                    break;
                }
            }
            // Never as long as the patience.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(read == whole[..read.len()]);
    }
    assert!(cuts > 0, "it was never cut");
    server.stop().await;
}

#[tokio::test]
async fn so_many_downloads_run_and_no_more() {
    let server = TestServer::start_limited(|limits| limits.max_downloads = 2).await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let blob = alice.put(1, &content(8 * MIB, 4)).await.unwrap();
    let (first, second) = (open(&clients, &blob).await, open(&clients, &blob).await);
    assert_eq!(
        reason(&read(&clients, &blob, 0, 1).await.unwrap_err()),
        "SERVER_FULL"
    );
    drop((first, second));
    let began = std::time::Instant::now();
    while read(&clients, &blob, 0, 1).await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "their places are not given back"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn clients_that_do_not_read_hold_little_of_the_server() {
    const DOWNLOADS: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path()).await;
    let clients = Clients::connect(program.address).await;
    let alice = Person::join(&clients, "alice").await;
    let blob = alice.put(1, &content(8 * MIB, 5)).await.unwrap();
    let before = program.resident_kib();
    let mut unread = Vec::new();
    for _ in 0..DOWNLOADS {
        let clients = Clients::connect(program.address).await;
        unread.push((open(&clients, &blob).await, clients));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held = program.resident_kib().saturating_sub(before);
    println!("{DOWNLOADS} unread downloads of 8 MiB hold {held} KiB");
    assert!(held < DOWNLOADS * 1024, "{held} KiB for {DOWNLOADS} downloads");
    assert_eq!(
        read(&clients, &blob, 7, 9).await.unwrap(),
        content(8 * MIB, 5)[7..16]
    );
    program.kill().await;
}

async fn open(clients: &Clients, blob_id: &[u8]) -> Streaming<DownloadBlobResponse> {
    let request = DownloadBlobRequest {
        blob_id: blob_id.to_vec(),
        offset: 0,
        length: 0,
    };
    let mut blobs = BlobServiceClient::new(clients.channel.clone());
    blobs.download_blob(request).await.unwrap().into_inner()
}
