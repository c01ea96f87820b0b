//! Blobs: sealed attachments, uploaded in parts and read in ranges.

use std::ops::Range;
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
    Retain, RetainRefusal, Upload, UploadId, UploadRefusal, WriteError,
};

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

/// The part that comes next in an upload.
#[derive(Debug, PartialEq, Eq)]
struct NextPart {
    index: u64,
    range: Range<u64>,
}

/// Checks that what came is the next part; `None` if it is stored already.
fn next_part(upload: &Upload, offset: u64, length: usize) -> Result<Option<NextPart>, Refusal> {
    let (size, part_len, stored) = (upload.blob.size, upload.blob.part_len, upload.stored);
    let length = length as u64;
    let end = offset
        .checked_add(length)
        .filter(|end| *end <= size)
        .ok_or_else(|| Refusal::field("offset"))?;
    if end <= stored {
        return Ok(None);
    }
    if offset != stored {
        return Err(Refusal::from(UploadRefusal::At(stored)));
    }
    if length != part_len.min(size - offset) {
        return Err(Refusal::field("data"));
    }
    let index = offset
        .checked_div(part_len)
        .ok_or_else(|| Refusal::because(ErrorReason::Internal))?;
    Ok(Some(NextPart {
        index,
        range: offset..end,
    }))
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

/// What is to be read of a blob: never beyond its end.
fn range(request: &DownloadBlobRequest, size: u64) -> Result<Range<u64>, Refusal> {
    if request.offset > size {
        return Err(Refusal::field("offset"));
    }
    let end = match request.length {
        0 => size,
        length => request.offset.saturating_add(length).min(size),
    };
    Ok(request.offset..end)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoredBlob;

    fn upload(size: u64, stored: u64) -> Upload {
        Upload {
            blob: StoredBlob {
                key: StorageKey([1; 16]),
                size,
                part_len: 10,
            },
            stored,
        }
    }

    #[test]
    fn a_part_goes_where_the_upload_ends_and_nowhere_else() {
        let part = |size, stored, offset, length| next_part(&upload(size, stored), offset, length);
        let expected = |index, range| Ok(Some(NextPart { index, range }));
        assert_eq!(part(25, 10, 10, 10), expected(1, 10..20));
        assert_eq!(part(25, 20, 20, 5), expected(2, 20..25));
        assert_eq!(part(25, 20, 0, 10), Ok(None), "stored already");
        assert_eq!(part(25, 25, 20, 5), Ok(None), "complete already");
        let at = |offset| Err(Refusal::from(UploadRefusal::At(offset)));
        assert_eq!(part(25, 10, 20, 5), at(10));
        assert_eq!(part(25, 10, 5, 10), at(10), "across the end");
        assert_eq!(part(25, 10, 10, 9), Err(Refusal::field("data")), "short");
        assert_eq!(part(25, 0, 0, 20), Err(Refusal::field("data")), "long");
        assert_eq!(
            part(25, 20, 20, 6),
            Err(Refusal::field("offset")),
            "beyond the end"
        );
        assert_eq!(part(25, 0, u64::MAX, 10), Err(Refusal::field("offset")));
    }

    #[test]
    fn a_range_never_leaves_the_blob() {
        let read = |offset, length| {
            let request = DownloadBlobRequest {
                blob_id: Vec::new(),
                offset,
                length,
            };
            range(&request, 100)
        };
        assert_eq!(read(0, 0), Ok(0..100));
        assert_eq!(read(10, 20), Ok(10..30));
        assert_eq!(read(90, u64::MAX), Ok(90..100));
        assert_eq!(read(100, 0), Ok(100..100));
        assert_eq!(read(101, 1), Err(Refusal::field("offset")));
    }
}
