//! Blobs: sealed attachments, uploaded in parts and read in ranges.

mod parts;

use std::sync::Arc;
use std::time::Duration;

use prost::bytes::Bytes;
use sottovoce_proto::v1::blob_service_server::BlobService;
use sottovoce_proto::v1::{
    BeginUploadRequest, BeginUploadResponse, DownloadBlobRequest, ErrorReason, FinishUploadRequest,
    FinishUploadResponse, ReleaseBlobRequest, ReleaseBlobResponse, RetainBlobRequest, RetainBlobResponse,
    UploadPartRequest, UploadPartResponse,
};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::blobs::{Download, NoRoom, StorageError, StorageKey};
use crate::clock::{millis, now_ms};
use crate::fields;
use crate::gate::{caller, peer};
use crate::limits::{Limits, MAX_PART_LEN};
use crate::refusal::Refusal;
use crate::store::{
    AdvanceUpload, BeginRefusal, BeginUpload, BlobId, Caller, FinishUpload, Held, OverQuota, Quota, Release,
    Retain, RetainRefusal, UploadId, UploadRefusal, WriteError,
};
use parts::{next_part, range};

/// `sottovoce.v1.BlobService`.
#[derive(Clone, Debug)]
pub(crate) struct Blobs(pub(crate) Arc<App>);

#[tonic::async_trait]
impl BlobService for Blobs {
    type DownloadBlobStream = Download;

    async fn begin_upload(
        &self,
        request: Request<BeginUploadRequest>,
    ) -> Result<Response<BeginUploadResponse>, Status> {
        let caller = caller(&request)?;
        let change = read_begin(&caller, request.get_ref(), &self.0.limits)?;
        let begun = self.0.store.write(change).await.map_err(|error| {
            if let WriteError::Refused(BeginRefusal::OverQuota(_)) = error {
                self.0.given_up.notify_one();
            }
            Refusal::from(error)
        })?;
        Ok(Response::new(BeginUploadResponse {
            offset: begun.stored,
            part_len: u32::try_from(begun.part_len).unwrap_or(u32::MAX),
        }))
    }

    async fn upload_part(
        &self,
        request: Request<UploadPartRequest>,
    ) -> Result<Response<UploadPartResponse>, Status> {
        let caller = caller(&request)?;
        let offset = self.0.upload_part(&caller, request.into_inner()).await?;
        Ok(Response::new(UploadPartResponse { offset }))
    }

    async fn finish_upload(
        &self,
        request: Request<FinishUploadRequest>,
    ) -> Result<Response<FinishUploadResponse>, Status> {
        let caller = caller(&request)?;
        let upload = upload_id(&request.get_ref().upload_id)?;
        let change = FinishUpload {
            device: caller.device,
            upload,
            now_ms: now_ms(),
        };
        let (key, expires_at_ms) = self.0.store.write(change).await.map_err(Refusal::from)?;
        let id = upload
            .blob_id(key)
            .ok_or_else(|| Refusal::because(ErrorReason::Internal))?;
        Ok(Response::new(FinishUploadResponse {
            blob_id: id.0.to_vec(),
            expires_at_ms,
        }))
    }

    async fn download_blob(
        &self,
        request: Request<DownloadBlobRequest>,
    ) -> Result<Response<Download>, Status> {
        let peer = peer(&request)?;
        let request = request.into_inner();
        let id = blob_id(&request.blob_id)?;
        let blob = self.0.store.blob(&id, now_ms()).await.map_err(Refusal::from)?;
        let blob = blob.ok_or_else(|| Refusal::because(ErrorReason::BlobUnknown))?;
        let range = range(&request, blob.size)?;
        let download = self.0.downloads.begin(peer, &self.0.storage, blob, range);
        Ok(Response::new(download.map_err(Refusal::from)?))
    }

    async fn retain_blob(
        &self,
        request: Request<RetainBlobRequest>,
    ) -> Result<Response<RetainBlobResponse>, Status> {
        let caller = caller(&request)?;
        let limits = &self.0.limits;
        let id = blob_id(&request.get_ref().blob_id)?;
        let keep_for = keep_for(request.get_ref().keep_for_s, limits)?;
        let now_ms = now_ms();
        let change = Retain {
            device: caller.device,
            id,
            now_ms,
            until_ms: now_ms.saturating_add(millis(keep_for)),
            quota: Quota::from(limits),
        };
        let expires_at_ms = self.0.store.write(change).await.map_err(|error| {
            if let WriteError::Refused(RetainRefusal::OverQuota(_)) = error {
                self.0.given_up.notify_one();
            }
            Refusal::from(error)
        })?;
        Ok(Response::new(RetainBlobResponse { expires_at_ms }))
    }

    async fn release_blob(
        &self,
        request: Request<ReleaseBlobRequest>,
    ) -> Result<Response<ReleaseBlobResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.get_ref();
        let held = if request.upload_id.is_empty() {
            Held::Blob(blob_id(&request.blob_id)?)
        } else if request.blob_id.is_empty() {
            Held::Upload(upload_id(&request.upload_id)?)
        } else {
            return Err(Refusal::field("upload_id").into());
        };
        let change = Release {
            device: caller.device,
            held,
        };
        self.0.store.write(change).await.map_err(Refusal::from)?;
        self.0.given_up.notify_one();
        Ok(Response::new(ReleaseBlobResponse {}))
    }
}

impl App {
    /// Stores a part, unless it is stored already. Returns how much is.
    async fn upload_part(&self, caller: &Caller, request: UploadPartRequest) -> Result<u64, Refusal> {
        let id = upload_id(&request.upload_id)?;
        fields::count(request.data.len(), MAX_PART_LEN, "data")?;
        let upload = self.store.upload(&caller.device, &id, now_ms()).await?;
        let upload = upload.ok_or_else(|| Refusal::because(ErrorReason::BlobUnknown))?;
        let Some(part) = next_part(&upload, request.offset, request.data.len())? else {
            return Ok(upload.stored);
        };
        let key = upload.blob.key;
        self.storage
            .put(key, part.index, Bytes::from(request.data))
            .await?;
        // Only now: what is counted as stored is stored.
        let change = AdvanceUpload {
            key,
            from: part.range.start,
            to: part.range.end,
        };
        Ok(self.store.write(change).await?)
    }
}

fn read_begin(
    caller: &Caller,
    request: &BeginUploadRequest,
    limits: &Limits,
) -> Result<BeginUpload, Refusal> {
    let upload = upload_id(&request.upload_id)?;
    match request.size {
        0 => return Err(Refusal::field("size")),
        size if size > limits.max_blob_size => {
            return Err(Refusal::because(ErrorReason::TooLarge)
                .at("size")
                .limit(limits.max_blob_size));
        }
        _ => {}
    }
    let keep_for = keep_for(request.keep_for_s, limits)?;
    let now_ms = now_ms();
    Ok(BeginUpload {
        device: caller.device,
        upload,
        key: StorageKey::random().map_err(|_| Refusal::because(ErrorReason::Internal))?,
        size: request.size,
        part_len: MAX_PART_LEN as u64,
        keep_for_ms: millis(keep_for),
        now_ms,
        expires_at_ms: now_ms.saturating_add(millis(limits.upload_lifetime)),
        quota: Quota::from(limits),
    })
}

fn upload_id(bytes: &[u8]) -> Result<UploadId, Refusal> {
    fields::id(bytes, "upload_id").map(UploadId)
}

fn blob_id(bytes: &[u8]) -> Result<BlobId, Refusal> {
    fields::id(bytes, "blob_id").map(BlobId)
}

fn keep_for(seconds: u32, limits: &Limits) -> Result<Duration, Refusal> {
    let keep_for = Duration::from_secs(seconds.into());
    if keep_for.is_zero() {
        Err(Refusal::field("keep_for_s"))
    } else if keep_for > limits.max_blob_lifetime {
        Err(Refusal::because(ErrorReason::TooLarge)
            .at("keep_for_s")
            .limit(limits.max_blob_lifetime.as_secs()))
    } else {
        Ok(keep_for)
    }
}

impl From<&Limits> for Quota {
    fn from(limits: &Limits) -> Self {
        Self {
            bytes: limits.max_blob_bytes_per_account,
            blobs: limits.max_blobs_per_account,
            uploads: limits.max_uploads_per_account,
        }
    }
}

impl From<BeginRefusal> for Refusal {
    fn from(refusal: BeginRefusal) -> Self {
        match refusal {
            BeginRefusal::AccountGone => Self::because(ErrorReason::TokenInvalid),
            BeginRefusal::OtherSize => Self::field("size"),
            BeginRefusal::OverQuota(over) => over.into(),
        }
    }
}

impl From<UploadRefusal> for Refusal {
    fn from(refusal: UploadRefusal) -> Self {
        match refusal {
            UploadRefusal::Unknown => Self::because(ErrorReason::BlobUnknown),
            UploadRefusal::At(offset) => Self::because(ErrorReason::UploadOffset).number("offset", offset),
        }
    }
}

impl From<RetainRefusal> for Refusal {
    fn from(refusal: RetainRefusal) -> Self {
        match refusal {
            RetainRefusal::Unknown => Self::because(ErrorReason::BlobUnknown),
            RetainRefusal::OverQuota(over) => over.into(),
        }
    }
}

impl From<OverQuota> for Refusal {
    fn from(OverQuota(limit): OverQuota) -> Self {
        Self::because(ErrorReason::QuotaExceeded).limit(limit)
    }
}

impl From<NoRoom> for Refusal {
    fn from(_: NoRoom) -> Self {
        Self::because(ErrorReason::ServerFull)
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        // Neither names of objects nor what a storage says of them belong into the log.
        tracing::error!(kind = error.kind(), "the storage of blobs failed");
        Self::because(ErrorReason::Internal)
    }
}
