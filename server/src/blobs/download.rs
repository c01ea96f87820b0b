//! One blob on its way to a client: read a window at a time, as fast as the client takes it.
//!
//! While a client does not read, nothing is open in the storage, and no more is held for it than a window
//! or two.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use prost::bytes::Bytes;
use sottovoce_proto::v1::{DownloadBlobResponse, ErrorReason};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_stream::Stream;
use tonic::Status;

use super::storage::Storage;
use crate::limits::{Limits, MAX_PIECE_LEN};
use crate::refusal::Refusal;
use crate::store::StoredBlob;

/// Bytes read from the storage at a time. More would be fewer requests to S3, and more held for a client
/// that does not read.
const WINDOW: u64 = 256 * 1024;

/// Pieces ready for the connection.
const READY: usize = 2;

/// The downloads there may be.
#[derive(Clone, Debug)]
pub(crate) struct Downloads {
    free: Arc<Semaphore>,
    patience: Duration,
}

/// As many downloads run as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// What the client receives: pieces, and why there is no more of them unless it has them all.
#[derive(Debug)]
pub(crate) struct Download {
    pieces: mpsc::Receiver<DownloadBlobResponse>,
    end: Option<oneshot::Receiver<Result<(), Refusal>>>,
}

impl Downloads {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limits.max_downloads)),
            patience: limits.download_patience,
        }
    }

    /// Begins to read a range of a blob. The range lies within it.
    pub(crate) fn begin(
        &self,
        storage: &Storage,
        blob: StoredBlob,
        range: Range<u64>,
    ) -> Result<Download, NoRoom> {
        let room = self.free.clone().try_acquire_owned().map_err(|_| NoRoom)?;
        let (sender, pieces) = mpsc::channel(READY);
        let (ended, end) = oneshot::channel();
        let sending = Sending {
            storage: storage.clone(),
            blob,
            pieces: sender,
            patience: self.patience,
            _room: room,
        };
        tokio::spawn(async move {
            let outcome = sending.run(range).await;
            // Nobody listens when the client has gone.
            let _ = ended.send(outcome);
        });
        Ok(Download {
            pieces,
            end: Some(end),
        })
    }
}

impl Stream for Download {
    type Item = Result<DownloadBlobResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(piece) = std::task::ready!(self.pieces.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(piece)));
        }
        let Some(end) = self.end.as_mut() else {
            return Poll::Ready(None);
        };
        // Whose end nobody told is not complete.
        let outcome = std::task::ready!(Pin::new(end).poll(cx))
            .unwrap_or_else(|_| Err(Refusal::because(ErrorReason::Internal)));
        self.end = None;
        Poll::Ready(outcome.err().map(|refusal| Err(refusal.into())))
    }
}

struct Sending {
    storage: Storage,
    blob: StoredBlob,
    pieces: mpsc::Sender<DownloadBlobResponse>,
    patience: Duration,
    _room: OwnedSemaphorePermit,
}

impl Sending {
    async fn run(self, range: Range<u64>) -> Result<(), Refusal> {
        let mut at = range.start;
        // Said even when there is nothing else to say.
        let mut first = true;
        while first || at < range.end {
            let window = self.window(at, range.end).await?;
            at += window.len() as u64;
            let mut rest = window;
            while first || !rest.is_empty() {
                let data = rest.split_to(rest.len().min(MAX_PIECE_LEN)).to_vec();
                let blob_size = if first { self.blob.size } else { 0 };
                first = false;
                self.say(DownloadBlobResponse { data, blob_size }).await?;
            }
        }
        Ok(())
    }

    /// What is read next: not beyond the end, nor beyond the part it begins in.
    async fn window(&self, at: u64, end: u64) -> Result<Bytes, Refusal> {
        if at >= end {
            return Ok(Bytes::new());
        }
        let failed = || Refusal::because(ErrorReason::Internal);
        let index = at.checked_div(self.blob.part_len).ok_or_else(failed)?;
        let part_start = index * self.blob.part_len;
        let part_end = self.blob.size.min(part_start + self.blob.part_len);
        let until = end.min(part_end).min(at + WINDOW);
        let within = at - part_start..until - part_start;
        let part_len = part_end - part_start;
        self.storage
            .read(self.blob.key, index, within, part_len)
            .await
            .map_err(|error| {
                tracing::error!(kind = error.kind(), "a blob could not be read from the storage");
                failed()
            })
    }

    async fn say(&self, piece: DownloadBlobResponse) -> Result<(), Refusal> {
        match tokio::time::timeout(self.patience, self.pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            // Nobody is left to hear this.
            Ok(Err(_)) => Err(Refusal::because(ErrorReason::Unspecified)),
            Err(_) => Err(Refusal::because(ErrorReason::DeadlineExceeded)),
        }
    }
}
