//! Uploading a sealed file, from wherever the server says it has come to.

use std::io;
use std::time::Duration;

use sottovoce_engine::Refusal;
use sottovoce_proto::v1::{
    BeginUploadRequest, FinishUploadRequest, ReleaseBlobRequest, RetainBlobRequest, UploadPartRequest,
};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};

use super::access::Attempts;
use super::attachment::Attachment;
use super::error::UploadError;
use super::seal::SealedAttachment;
use crate::client::Client;

/// The longest part this client reads into memory, whatever a server says it takes.
const MAX_PART_LEN: u32 = 4 * 1024 * 1024;

impl Client {
    /// Uploads a sealed attachment, and has the server keep it for `keep_for`. Goes on where an earlier
    /// attempt stopped, and through lost connections. What it returns goes into a message.
    ///
    /// # Errors
    /// [`UploadError`]. What the server has of it stays there for a day.
    pub async fn upload_attachment(
        &self,
        sealed: &SealedAttachment,
        keep_for: Duration,
    ) -> Result<Attachment, UploadError> {
        let mut file = File::open(&sealed.file).await.map_err(UploadError::File)?;
        let length = file.metadata().await.map_err(UploadError::File)?.len();
        if length != sealed.pointer.sealed_len() {
            return Err(UploadError::File(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut attempts = Attempts::default();
        loop {
            match self.upload(sealed, &mut file, keep_for, &mut attempts).await? {
                Ok(attachment) => return Ok(attachment),
                Err(refusal) => attempts.after(refusal).await?,
            }
        }
    }

    /// Has the server keep an attachment for this account too, for so long from now.
    ///
    /// # Errors
    /// [`UploadError::Refused`] when the server does not have it any more, or the account's share is used
    /// up; others as for uploading.
    pub async fn retain_attachment(
        &self,
        attachment: &Attachment,
        keep_for: Duration,
    ) -> Result<(), UploadError> {
        let request = RetainBlobRequest {
            blob_id: attachment.blob_id.to_vec(),
            keep_for_s: seconds(keep_for),
        };
        let mut attempts = Attempts::default();
        loop {
            let (transport, token) = self.signed_in().await?;
            match transport.retain_blob(request.clone(), &token).await {
                Ok(_) => return Ok(()),
                Err(refusal) => attempts.after(refusal).await?,
            }
        }
    }

    /// Tells the server that this account does not need an attachment any more. Without anybody who does,
    /// the server deletes it.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn release_attachment(&self, attachment: &Attachment) -> Result<(), UploadError> {
        let request = ReleaseBlobRequest {
            blob_id: attachment.blob_id.to_vec(),
            upload_id: Vec::new(),
        };
        self.release(request).await
    }

    /// Gives an upload up, so that it does not count for the account any longer.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn abandon_upload(&self, sealed: &SealedAttachment) -> Result<(), UploadError> {
        let request = ReleaseBlobRequest {
            blob_id: Vec::new(),
            upload_id: sealed.upload_id.to_vec(),
        };
        self.release(request).await
    }

    async fn release(&self, request: ReleaseBlobRequest) -> Result<(), UploadError> {
        let mut attempts = Attempts::default();
        loop {
            let (transport, token) = self.signed_in().await?;
            match transport.release_blob(request.clone(), &token).await {
                Ok(()) => return Ok(()),
                Err(refusal) => attempts.after(refusal).await?,
            }
        }
    }

    /// One attempt, as far as it comes.
    async fn upload(
        &self,
        sealed: &SealedAttachment,
        file: &mut File,
        keep_for: Duration,
        attempts: &mut Attempts,
    ) -> Result<Result<Attachment, Refusal>, UploadError> {
        let (transport, token) = self.signed_in().await?;
        let upload_id = sealed.upload_id.to_vec();
        let size = sealed.pointer.sealed_len();
        let begin = BeginUploadRequest {
            upload_id: upload_id.clone(),
            size,
            keep_for_s: seconds(keep_for),
        };
        let begun = match transport.begin_upload(begin, &token).await {
            Ok(begun) => begun,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut offset = begun.offset;
        while offset < size {
            let data = read_part(file, offset, size, begun.part_len)
                .await
                .map_err(UploadError::File)?;
            let part = UploadPartRequest {
                upload_id: upload_id.clone(),
                offset,
                data,
            };
            match transport.upload_part(part, &token).await {
                // A server that goes back or nowhere is not followed for ever.
                Ok(answer) if answer.offset > offset => offset = answer.offset,
                Ok(_) => return Ok(Err(Refusal::Unavailable)),
                Err(refusal) => return Ok(Err(refusal)),
            }
            attempts.progress();
        }
        let finished = transport
            .finish_upload(FinishUploadRequest { upload_id }, &token)
            .await;
        Ok(finished.and_then(|finished| {
            let blob_id = finished.blob_id.try_into().map_err(|_| Refusal::Unavailable)?;
            Ok(sealed.at(blob_id))
        }))
    }
}

async fn read_part(file: &mut File, offset: u64, size: u64, part_len: u32) -> io::Result<Vec<u8>> {
    let length = size
        .saturating_sub(offset)
        .min(part_len.clamp(1, MAX_PART_LEN).into());
    let mut data = vec![0; usize::try_from(length).unwrap_or_default()];
    file.seek(SeekFrom::Start(offset)).await?;
    file.read_exact(&mut data).await?;
    Ok(data)
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
