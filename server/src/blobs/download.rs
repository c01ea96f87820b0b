//! One blob on its way to a client: read a window at a time, as fast as the client takes it.
//!
//! While a client does not read, nothing is open in the storage, and no more is held for it than a window
//! or two.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use prost::bytes::Bytes;
use sottovoce_proto::v1::{DownloadBlobResponse, ErrorReason};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_stream::Stream;
use tonic::Status;

use super::storage::Storage;
use crate::limits::{Limits, MAX_PIECE_LEN};
use crate::pace::{Pace, TooSlow};
use crate::peer::Peer;
use crate::prefix::AddressPrefix;
use crate::refusal::Refusal;
use crate::shares::{Share, Shares};
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
    shares: Shares,
    per_address: usize,
    proxies: Vec<AddressPrefix>,
    pace: Pace,
}

/// As many downloads run as may, of all or to that address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// What the client receives: pieces, and why there is no more of them unless it has them all.
#[derive(Debug)]
pub(crate) struct Download {
    pieces: mpsc::Receiver<DownloadBlobResponse>,
    end: Option<oneshot::Receiver<Result<(), Refusal>>>,
}

impl Downloads {
    pub(crate) fn new(limits: &Limits, proxies: &[AddressPrefix]) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limits.max_downloads)),
            shares: Shares::default(),
            per_address: limits.max_downloads_per_address,
            proxies: proxies.to_vec(),
            pace: Pace::new(limits.download_patience, limits.min_download_rate),
        }
    }

    /// Begins to read a range of a blob for a peer. The range lies within it.
    pub(crate) fn begin(
        &self,
        peer: Peer,
        storage: &Storage,
        blob: StoredBlob,
        range: Range<u64>,
    ) -> Result<Download, NoRoom> {
        let room = self.find_room(peer)?;
        let (sender, pieces) = mpsc::channel(READY);
        let (ended, end) = oneshot::channel();
        let sending = Sending {
            storage: storage.clone(),
            blob,
            pieces: sender,
            pace: self.pace,
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

    /// Whoever has the id of one blob can ask for it as often as there is room.
    fn find_room(&self, peer: Peer) -> Result<Room, NoRoom> {
        let share = if peer.stands_for_many(&self.proxies) {
            None
        } else {
            Some(self.shares.take(peer.pooled(), self.per_address).ok_or(NoRoom)?)
        };
        Ok(Room {
            _room: self.free.clone().try_acquire_owned().map_err(|_| NoRoom)?,
            _share: share,
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
    pace: Pace,
    _room: Room,
}

/// Given back when the download has ended.
struct Room {
    _room: OwnedSemaphorePermit,
    _share: Option<Share>,
}

impl Sending {
    async fn run(mut self, range: Range<u64>) -> Result<(), Refusal> {
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

    async fn say(&mut self, piece: DownloadBlobResponse) -> Result<(), Refusal> {
        let length = piece.data.len();
        match self.pace.wait(self.pieces.send(piece)).await {
            Ok(Ok(())) => {
                self.pace.moved(length);
                Ok(())
            }
            // Nobody is left to hear this.
            Ok(Err(_)) => Err(Refusal::because(ErrorReason::Unspecified)),
            Err(TooSlow) => Err(Refusal::because(ErrorReason::DeadlineExceeded)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::new(address.parse().unwrap())
    }

    #[test]
    fn nobody_has_more_downloads_than_the_share_of_an_address() {
        let limits = Limits {
            max_downloads: 5,
            max_downloads_per_address: 2,
            ..Limits::default()
        };
        let downloads = Downloads::new(&limits, &["198.51.100.0/24".parse().unwrap()]);
        let room = |address| downloads.find_room(peer(address));
        let one = room("2001:db8:1:2::1").unwrap();
        let _two = room("2001:db8:1:3::1").unwrap();
        assert!(room("2001:db8:1:4::1").is_err(), "the same customer");
        let _other = room("192.0.2.1").unwrap();
        drop(one);
        let _again = room("2001:db8:1:4::1").unwrap();
        let _proxied = ["198.51.100.7", "198.51.100.7"].map(|address| room(address).unwrap());
        assert!(room("198.51.100.7").is_err(), "five are all there are");
    }
}
