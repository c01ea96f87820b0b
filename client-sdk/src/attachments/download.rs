//! Downloading, chunk by chunk: what is written is authentic as soon as it is written.

use sottovoce_crypto::{
    ATTACHMENT_CHUNK_LEN, ATTACHMENT_HEADER_LEN, AttachmentOpener, SEALED_ATTACHMENT_CHUNK_LEN,
};
use sottovoce_engine::Refusal;
use sottovoce_proto::v1::{DownloadBlobRequest, ErrorReason};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::access::Attempts;
use super::attachment::Attachment;
use super::error::{DownloadError, Failed};
use crate::client::Client;
use crate::transport::{Pieces, Transport};

impl Client {
    /// Downloads an attachment's content from the byte `have` on, and writes it to `into`; through lost
    /// connections too. All of it came from whoever sealed it, and nothing is missing, once this returns;
    /// what is written until then is the true beginning, so that a download that was cut off goes on with
    /// `have` as the number of bytes written. Needs no signing in, and the server is not told who reads.
    ///
    /// # Errors
    /// [`DownloadError`].
    pub async fn download_attachment<W>(
        &self,
        attachment: &Attachment,
        have: u64,
        into: &mut W,
    ) -> Result<(), DownloadError>
    where
        W: AsyncWrite + Unpin,
    {
        let (transport, _) = self.access().await.map_err(|_| Failed::Stopped)?;
        let mut attempts = Attempts::default();
        let opener = loop {
            match header(&transport, attachment).await {
                Ok((blob_size, header)) => {
                    break AttachmentOpener::new(&attachment.pointer, blob_size, &header)
                        .map_err(|_| DownloadError::Damaged)?;
                }
                Err(refusal) => attempts.after(refusal).await?,
            }
        };
        let mut download = Download {
            attachment,
            opener,
            next: have / ATTACHMENT_CHUNK_LEN as u64,
            skip: usize::try_from(have % ATTACHMENT_CHUNK_LEN as u64).unwrap_or_default(),
        };
        while let Some(refusal) = download.run(&transport, into, &mut attempts).await? {
            attempts.after(refusal).await?;
        }
        into.flush().await.map_err(DownloadError::Write)
    }
}

/// How long the blob is, and its first bytes.
async fn header(transport: &Transport, attachment: &Attachment) -> Result<(u64, Vec<u8>), Refusal> {
    let mut pieces = transport
        .download_blob(DownloadBlobRequest {
            blob_id: attachment.blob_id.to_vec(),
            offset: 0,
            length: ATTACHMENT_HEADER_LEN as u64,
        })
        .await?;
    let first = pieces.next().await?.ok_or(Refusal::Unavailable)?;
    Ok((first.blob_size, first.data))
}

struct Download<'a> {
    attachment: &'a Attachment,
    opener: AttachmentOpener,
    /// The chunk that comes next, and how much of it the app has already.
    next: u64,
    skip: usize,
}

impl Download<'_> {
    /// Downloads until the end, or until something comes between.
    async fn run<W: AsyncWrite + Unpin>(
        &mut self,
        transport: &Transport,
        into: &mut W,
        attempts: &mut Attempts,
    ) -> Result<Option<Refusal>, DownloadError> {
        let Some(first) = self.attachment.pointer.sealed_chunk(self.next) else {
            return Ok(None);
        };
        let request = DownloadBlobRequest {
            blob_id: self.attachment.blob_id.to_vec(),
            offset: first.start,
            length: 0,
        };
        let mut sealed = match transport.download_blob(request).await {
            Ok(pieces) => Sealed::new(pieces),
            Err(refusal) => return Ok(Some(refusal)),
        };
        while let Some(range) = self.attachment.pointer.sealed_chunk(self.next) {
            let length = usize::try_from(range.end - range.start).map_err(|_| DownloadError::Damaged)?;
            let mut chunk = match sealed.take(length).await {
                Ok(chunk) => chunk,
                Err(refusal) => return Ok(Some(refusal)),
            };
            let content = self
                .opener
                .open_chunk(self.next, &mut chunk)
                .map_err(|_| DownloadError::Damaged)?;
            let new = content.get(self.skip..).unwrap_or_default();
            into.write_all(new).await.map_err(DownloadError::Write)?;
            self.next += 1;
            self.skip = 0;
            attempts.progress();
        }
        Ok(None)
    }
}

/// Pieces as they come, cut anew.
struct Sealed {
    pieces: Pieces,
    /// Less than a chunk, and then a piece.
    ready: Vec<u8>,
}

impl Sealed {
    fn new(pieces: Pieces) -> Self {
        Self {
            pieces,
            ready: Vec::with_capacity(2 * SEALED_ATTACHMENT_CHUNK_LEN),
        }
    }

    /// The next `length` bytes. A server that sends fewer has not sent the attachment, whatever it says.
    async fn take(&mut self, length: usize) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        while self.ready.len() < length {
            let piece = self.pieces.next().await?;
            let piece = piece.ok_or(Refusal::Because(ErrorReason::Internal))?;
            self.ready.extend_from_slice(&piece.data);
        }
        let rest = self.ready.split_off(length);
        Ok(Zeroizing::new(std::mem::replace(&mut self.ready, rest)))
    }
}
