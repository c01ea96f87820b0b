//! Attachments from one client to another, by way of a real server.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use common::{RunningServer, read};
use sottovoce::{Attachment, Client, DownloadError, ErrorReason, SealError, SealedAttachment, UploadError};
use sottovoce_server::Limits;
use tokio::io::AsyncWrite;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MIB: usize = 1024 * 1024;

fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| ((at * 31 + at / 1021) % 251) as u8)
        .collect()
}

async fn seal(folder: &Path, content: &[u8]) -> SealedAttachment {
    let mut rest = content;
    SealedAttachment::seal(&mut rest, content.len() as u64, &folder.join("sealed"))
        .await
        .expect("the folder can be written")
}

async fn download(client: &Client, attachment: &Attachment) -> Result<Vec<u8>, DownloadError> {
    let mut content = Vec::new();
    client.download_attachment(attachment, 0, &mut content).await?;
    Ok(content)
}

/// What lies in the server's storage.
fn stored(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.join("server").join("blobs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the storage is there") {
            let path = entry.expect("it can be listed").path();
            let is_part = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("0000"));
            match path.is_dir() {
                true => folders.push(path),
                false if is_part => files.push(path),
                false => {}
            }
        }
    }
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_sent_in_a_message_is_read_by_who_gets_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    for length in [0, 1, 65_536, 3 * MIB + 12_345] {
        let film = content(length);
        let sealed = seal(folder.path(), &film).await;
        let attachment = alice.upload_attachment(&sealed, DAY).await.expect("it is taken");
        assert_eq!(attachment.content_len(), length as u64);
        let words: String = attachment
            .to_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        alice
            .send_text(bob.address(), &words)
            .await
            .expect("it is queued");
        common::sent(&alice, &mut to_alice).await;

        let words = read(&bob, &mut to_bob).await;
        let bytes: Vec<u8> = (0..words.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&words[at..at + 2], 16).expect("two digits"))
            .collect();
        let received = Attachment::from_bytes(&bytes).expect("an attachment");
        assert!(
            download(&bob, &received).await.expect("it is there") == film,
            "{length} bytes"
        );

        // It stays for bob when alice has done with it.
        bob.retain_attachment(&received, DAY).await.expect("it is there");
        alice
            .release_attachment(&attachment)
            .await
            .expect("it is released");
        assert!(download(&bob, &received).await.expect("it is there") == film);
        bob.release_attachment(&received).await.expect("it is released");
        let gone = download(&bob, &received).await;
        assert!(
            matches!(gone, Err(DownloadError::Refused(ErrorReason::BlobUnknown))),
            "{gone:?}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_the_server_and_the_client_were_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let address = server.address;
    let (alice, _events) = server.register(folder.path(), "alice").await;
    let film = content(40 * MIB);
    let sealed = seal(folder.path(), &film).await;
    let remembered = sealed.to_bytes();
    let uploading = {
        let (alice, sealed) = (alice.clone(), sealed.clone());
        tokio::spawn(async move { alice.upload_attachment(&sealed, DAY).await })
    };
    while stored(folder.path()).len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.stop().await;
    assert!(
        !uploading.is_finished(),
        "the upload was over before it could be cut off"
    );
    let there = stored(folder.path()).len();
    // The client too: what it knows of the upload is what the app has kept.
    uploading.abort();
    alice.close().await;

    let server = RunningServer::start(folder.path(), Some(address)).await;
    let first_part = stored(folder.path()).remove(0);
    let written = std::fs::metadata(&first_part)
        .expect("it is there")
        .modified()
        .expect("a time");
    let (alice, _events) = server.open(folder.path(), "alice").await;
    let sealed = SealedAttachment::from_bytes(&remembered, &folder.path().join("sealed")).expect("as it was");
    let attachment = alice.upload_attachment(&sealed, DAY).await.expect("it goes on");
    assert!(stored(folder.path()).len() > there);
    let now = std::fs::metadata(&first_part)
        .expect("it is there")
        .modified()
        .expect("a time");
    assert_eq!(now, written, "what was there was not sent again");
    assert!(download(&alice, &attachment).await.expect("it is there") == film);
    // Uploading again what is there says where it is.
    let again = alice.upload_attachment(&sealed, DAY).await.expect("it is there");
    assert_eq!(again, attachment);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_and_a_download_outlast_a_restart_of_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits {
        // The download that waits is cut.
        shutdown_grace: Duration::from_millis(500),
        ..Limits::default()
    };
    let server = RunningServer::start_limited(folder.path(), None, limits.clone()).await;
    let address = server.address;
    let (alice, _events) = server.register(folder.path(), "alice").await;
    let film = content(30 * MIB);
    let sealed = seal(folder.path(), &film).await;
    let uploading = {
        let alice = alice.clone();
        tokio::spawn(async move { alice.upload_attachment(&sealed, DAY).await })
    };
    while stored(folder.path()).len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.stop().await;
    assert!(
        !uploading.is_finished(),
        "the upload was over before it could be cut off"
    );
    let server = RunningServer::start_limited(folder.path(), Some(address), limits).await;
    let attachment = uploading.await.expect("it runs").expect("it is uploaded");

    let (paused, mut reached, go_on) = Paused::after(5 * MIB);
    let downloading = {
        let alice = alice.clone();
        tokio::spawn(async move {
            let mut paused = paused;
            alice
                .download_attachment(&attachment, 0, &mut paused)
                .await
                .map(|()| paused.content)
        })
    };
    reached.recv().await.expect("it comes so far");
    server.stop().await;
    let server = RunningServer::start(folder.path(), Some(address)).await;
    go_on.send(()).expect("it waits");
    let downloaded = downloading.await.expect("it runs").expect("it is downloaded");
    assert!(downloaded == film);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_from_what_the_app_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, _events) = server.register(folder.path(), "alice").await;
    let film = content(MIB + 77);
    let sealed = seal(folder.path(), &film).await;
    let attachment = alice.upload_attachment(&sealed, DAY).await.expect("it is taken");
    for have in [1, 65_535, 65_536, 700_000, film.len()] {
        let mut rest = Vec::new();
        alice
            .download_attachment(&attachment, have as u64, &mut rest)
            .await
            .expect("it is there");
        assert!(rest == film[have..], "from {have}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_attachment_is_told_and_nothing_false_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, _events) = server.register(folder.path(), "alice").await;
    let film = content(3 * MIB);
    let sealed = seal(folder.path(), &film).await;
    let attachment = alice.upload_attachment(&sealed, DAY).await.expect("it is taken");
    let second = stored(folder.path()).remove(1);
    let mut bytes = std::fs::read(&second).expect("it is there");
    bytes[500_000] ^= 1;
    std::fs::write(&second, bytes).expect("it can be written");
    let mut written = Vec::new();
    let outcome = alice.download_attachment(&attachment, 0, &mut written).await;
    assert!(matches!(outcome, Err(DownloadError::Damaged)), "{outcome:?}");
    assert!(written.len() > MIB && written == film[..written.len()]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sealed_or_uploaded_is_told_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits {
        max_blob_size: 100_000,
        max_blob_bytes_per_account: 150_000,
        ..Limits::default()
    };
    let server = RunningServer::start_limited(folder.path(), None, limits).await;
    let (alice, _events) = server.register(folder.path(), "alice").await;
    let file = folder.path().join("sealed");
    let short = SealedAttachment::seal(&mut &[0; 9][..], 10, &file).await;
    assert!(matches!(short, Err(SealError::Content(_))), "{short:?}");
    let nowhere = SealedAttachment::seal(&mut &[0; 9][..], 9, &folder.path().join("no/folder")).await;
    assert!(matches!(nowhere, Err(SealError::File(_))), "{nowhere:?}");

    let long = seal(folder.path(), &content(100_000)).await;
    let refused = alice.upload_attachment(&long, DAY).await;
    assert!(
        matches!(refused, Err(UploadError::Refused(ErrorReason::TooLarge))),
        "{refused:?}"
    );
    let one = seal(folder.path(), &content(80_000)).await;
    alice.upload_attachment(&one, DAY).await.expect("there is room");
    let two = seal(folder.path(), &content(80_000)).await;
    let refused = alice.upload_attachment(&two, DAY).await;
    assert!(
        matches!(refused, Err(UploadError::Refused(ErrorReason::QuotaExceeded))),
        "{refused:?}"
    );
    alice.abandon_upload(&one).await.expect("it is given up");
    // There is room again once its bytes are gone from the server, which is soon.
    let there_is_room = async {
        loop {
            match alice.upload_attachment(&two, DAY).await {
                Ok(_) => break,
                Err(UploadError::Refused(ErrorReason::QuotaExceeded)) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), there_is_room)
        .await
        .expect("there is room again");

    let cut = std::fs::OpenOptions::new()
        .write(true)
        .open(&file)
        .expect("it is there");
    cut.set_len(1_000).expect("it can be cut");
    let damaged = alice.upload_attachment(&two, DAY).await;
    assert!(matches!(damaged, Err(UploadError::File(_))), "{damaged:?}");
    server.stop().await;
}

/// Takes so many bytes, tells, and takes no more until it is told to.
struct Paused {
    content: Vec<u8>,
    after: usize,
    reached: Option<tokio::sync::mpsc::Sender<()>>,
    go_on: Pin<Box<tokio::sync::oneshot::Receiver<()>>>,
}

impl Paused {
    fn after(
        after: usize,
    ) -> (
        Self,
        tokio::sync::mpsc::Receiver<()>,
        tokio::sync::oneshot::Sender<()>,
    ) {
        let (reached, receiver) = tokio::sync::mpsc::channel(1);
        let (sender, go_on) = tokio::sync::oneshot::channel();
        let paused = Self {
            content: Vec::new(),
            after,
            reached: Some(reached),
            go_on: Box::pin(go_on),
        };
        (paused, receiver, sender)
    }
}

impl AsyncWrite for Paused {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.content.len() >= self.after {
            if let Some(reached) = self.reached.take() {
                reached.try_send(()).expect("somebody waits");
            }
            use std::future::Future;
            std::task::ready!(self.go_on.as_mut().poll(cx)).expect("told to go on");
            self.after = usize::MAX;
        }
        self.content.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
