//! Blobs: uploaded in parts, held by accounts, read by who knows their id, removed when nobody holds them.

mod crashing;
mod downloading;
mod holding;
mod in_s3;
mod uploading;

use std::path::Path;
use std::time::{Duration, Instant};

use sottovoce_proto::v1::blob_service_client::BlobServiceClient;
use sottovoce_proto::v1::{
    BeginUploadRequest, BeginUploadResponse, DownloadBlobRequest, FinishUploadRequest, FinishUploadResponse,
    ReleaseBlobRequest, RetainBlobRequest, UploadPartRequest,
};
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use crate::common::{Clients, Device, id, with_token};

const MIB: usize = 1024 * 1024;
const DAY: u32 = 24 * 60 * 60;

/// Somebody with blobs.
#[derive(Clone)]
pub(crate) struct Person {
    blobs: BlobServiceClient<Channel>,
    token: String,
}

impl Person {
    /// Registers, and signs in.
    async fn join(clients: &Clients, name: &str) -> Self {
        let token = Device::named(name).join(clients).await;
        Self::known(clients, &token)
    }

    pub(crate) fn known(clients: &Clients, token: &str) -> Self {
        Self {
            blobs: BlobServiceClient::new(clients.channel.clone()),
            token: token.to_owned(),
        }
    }

    pub(crate) async fn begin(&self, upload: u64, size: usize) -> Result<BeginUploadResponse, Status> {
        self.begin_for(upload, size, DAY).await
    }

    async fn begin_for(
        &self,
        upload: u64,
        size: usize,
        keep_for_s: u32,
    ) -> Result<BeginUploadResponse, Status> {
        let request = BeginUploadRequest {
            upload_id: id(upload),
            size: size as u64,
            keep_for_s,
        };
        let answer = self
            .blobs
            .clone()
            .begin_upload(with_token(&self.token, request))
            .await?;
        Ok(answer.into_inner())
    }

    /// Returns how much the server has then.
    async fn part(&self, upload: u64, offset: usize, data: &[u8]) -> Result<u64, Status> {
        let request = UploadPartRequest {
            upload_id: id(upload),
            offset: offset as u64,
            data: data.to_vec(),
        };
        let answer = self
            .blobs
            .clone()
            .upload_part(with_token(&self.token, request))
            .await?;
        Ok(answer.into_inner().offset)
    }

    pub(crate) async fn finish(&self, upload: u64) -> Result<FinishUploadResponse, Status> {
        let request = FinishUploadRequest {
            upload_id: id(upload),
        };
        let answer = self
            .blobs
            .clone()
            .finish_upload(with_token(&self.token, request))
            .await?;
        Ok(answer.into_inner())
    }

    /// Uploads all of it, to be kept for so many seconds. Returns the blob's id.
    async fn put_for(&self, upload: u64, content: &[u8], keep_for_s: u32) -> Result<Vec<u8>, Status> {
        let begun = self.begin_for(upload, content.len(), keep_for_s).await?;
        let mut offset = begun.offset as usize;
        for part in content[offset..].chunks(begun.part_len as usize) {
            offset = self.part(upload, offset, part).await? as usize;
        }
        Ok(self.finish(upload).await?.blob_id)
    }

    pub(crate) async fn put(&self, upload: u64, content: &[u8]) -> Result<Vec<u8>, Status> {
        self.put_for(upload, content, DAY).await
    }

    /// Returns when the hold ends, Unix time in milliseconds.
    async fn retain(&self, blob_id: &[u8], keep_for_s: u32) -> Result<u64, Status> {
        let request = RetainBlobRequest {
            blob_id: blob_id.to_vec(),
            keep_for_s,
        };
        let answer = self
            .blobs
            .clone()
            .retain_blob(with_token(&self.token, request))
            .await?;
        Ok(answer.into_inner().expires_at_ms)
    }

    async fn release(&self, blob_id: &[u8]) {
        let request = ReleaseBlobRequest {
            blob_id: blob_id.to_vec(),
            upload_id: Vec::new(),
        };
        self.blobs
            .clone()
            .release_blob(with_token(&self.token, request))
            .await
            .unwrap();
    }

    async fn abandon(&self, upload: u64) {
        let request = ReleaseBlobRequest {
            blob_id: Vec::new(),
            upload_id: id(upload),
        };
        self.blobs
            .clone()
            .release_blob(with_token(&self.token, request))
            .await
            .unwrap();
    }
}

/// All pieces of a range, by somebody without a token; and why there are no more, if not all came.
async fn read_pieces(
    clients: &Clients,
    blob_id: &[u8],
    offset: u64,
    length: u64,
) -> (Vec<u8>, Option<Status>) {
    let request = DownloadBlobRequest {
        blob_id: blob_id.to_vec(),
        offset,
        length,
    };
    let mut blobs = BlobServiceClient::new(clients.channel.clone());
    let mut pieces = match blobs.download_blob(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return (Vec::new(), Some(status)),
    };
    let mut read = Vec::new();
    loop {
        match pieces.message().await {
            Ok(Some(piece)) => {
                assert!(piece.data.len() <= 64 * 1024);
                read.extend_from_slice(&piece.data);
            }
            Ok(None) => return (read, None),
            Err(status) => return (read, Some(status)),
        }
    }
}

pub(crate) async fn read(
    clients: &Clients,
    blob_id: &[u8],
    offset: u64,
    length: u64,
) -> Result<Vec<u8>, Status> {
    match read_pieces(clients, blob_id, offset, length).await {
        (read, None) => Ok(read),
        (_, Some(status)) => Err(status),
    }
}

/// Bytes that differ from place to place and from seed to seed.
pub(crate) fn content(length: usize, seed: u8) -> Vec<u8> {
    (0..length)
        .map(|at| ((at * 31 + at / 1021) % 251) as u8 ^ seed)
        .collect()
}

/// A number that goes with a refusal.
fn number(status: &Status, name: &str) -> u64 {
    let details = status.get_error_details();
    details.error_info().unwrap().metadata[name].parse().unwrap()
}

/// The parts of blobs in a storage's folder, and what a crash has left of some.
pub(crate) fn parts_in(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut parts = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap().to_str().unwrap().starts_with("0000") {
                parts.push(path);
            }
        }
    }
    parts.sort();
    parts
}

/// Waits until no part is left in a storage's folder.
async fn until_empty(folder: &Path) {
    let began = Instant::now();
    while !parts_in(folder).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "blobs are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
