//! What is done for blobs in the background. Every step may be done by several nodes at one time, cut off
//! anywhere and done again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::stream::{self, StreamExt};
use prost::bytes::Bytes;

use super::error::StorageError;
use super::name::StorageKey;
use super::storage::Storage;
use crate::store::{Batch, ExpireHolds, Forget, MarkUnheld, ReadError, Store, WriteError};

/// Holds ended, blobs looked at, keys compared in one change or query: none holds others up for long.
const BATCH: u64 = 500;

/// Blobs whose objects are removed before their rows go, in one commit; and how many at one time.
const REMOVED_TOGETHER: u64 = 64;
const AT_ONCE: usize = 8;

/// Between batches, so that the writer's other callers come first.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a job was put off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("the storage failed")]
    Storage(#[from] StorageError),
    #[error("the database failed")]
    Database,
    /// The storage holds another server's blobs: what this database does not know there is not its own.
    #[error("the storage belongs to another database")]
    NotOurs,
}

impl From<ReadError> for JobError {
    fn from(_: ReadError) -> Self {
        Self::Database
    }
}

impl From<WriteError<std::convert::Infallible>> for JobError {
    fn from(_: WriteError<std::convert::Infallible>) -> Self {
        Self::Database
    }
}

/// Ends holds and uploads whose time is over, and removes the blobs that nobody holds. Returns how many
/// were removed. One that cannot be removed holds up no other.
pub(crate) async fn remove_unheld(store: &Store, storage: &Storage, now_ms: u64) -> Result<u64, JobError> {
    let expire = || ExpireHolds {
        now_ms,
        at_most: BATCH,
    };
    while store.write(expire()).await? > 0 {
        tokio::time::sleep(PAUSE).await;
    }
    let (mut removed, mut failure, mut after) = (0, None, None);
    loop {
        let keys = store.unheld(after, REMOVED_TOGETHER).await?;
        let Some(last) = keys.last() else { break };
        after = Some(*last);
        let (count, failed) = remove(store, storage, keys).await?;
        removed += count;
        failure = failure.or(failed);
    }
    failure.map_or(Ok(removed), |error| Err(error.into()))
}

/// Objects first: a row without objects is tried again, objects without a row would be left behind. Returns
/// how many are gone, and why another is not.
async fn remove(
    store: &Store,
    storage: &Storage,
    keys: Vec<StorageKey>,
) -> Result<(u64, Option<StorageError>), JobError> {
    let outcomes: Vec<_> = stream::iter(keys)
        .map(|key| async move { (key, storage.remove(key).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut gone = Vec::new();
    let mut failure = None;
    for (key, outcome) in outcomes {
        match outcome {
            Ok(()) => gone.push(key),
            Err(error) => failure = Some(error),
        }
    }
    let count = gone.len() as u64;
    store.write(Forget { keys: gone }).await?;
    Ok((count, failure))
}

/// Marks the blobs whose holds went with their accounts, for [`remove_unheld`]. Returns how many.
pub(crate) async fn mark_unheld(store: &Store) -> Result<u64, JobError> {
    let (mut after, mut count) = (None, 0);
    loop {
        let at_most = BATCH;
        let marked = store.write(MarkUnheld { after, at_most }).await?;
        count += marked.count;
        if marked.last.is_none() {
            return Ok(count);
        }
        after = marked.last;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Where the search for orphans is. A run that was cut off, or that failed, is followed by one that goes on
/// behind it: no shelf keeps the others from being looked through.
#[derive(Debug, Default)]
pub(crate) struct Shelves(Mutex<Option<String>>);

impl Shelves {
    /// The shelf that comes next; `None`, and from the beginning again, behind the last one.
    fn next(&self, mut all: Vec<String>) -> Option<String> {
        all.sort_unstable();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = all
            .into_iter()
            .find(|shelf| last.as_ref().is_none_or(|last| shelf > last));
        last.clone()
    }
}

/// Removes, from the next shelf, objects that belong to no blob: a part that was written when its upload had
/// just been given up, or what a database restored from a backup does not know. Those younger than `grace` are
/// left for now. What is not named like ours is not touched. Counts the blobs whose objects were removed.
pub(crate) async fn remove_orphans(
    store: &Store,
    storage: &Storage,
    grace: Duration,
    shelves: &Shelves,
) -> Result<Batch, JobError> {
    check_owner(store, storage).await?;
    let Some(shelf) = shelves.next(storage.shelves().await?) else {
        return Ok(Batch {
            items: 0,
            more: false,
        });
    };
    let now = SystemTime::now();
    let mut items = 0;
    // Listed before the database is asked: a blob has its row before its first object.
    for keys in storage.keys_on(&shelf).await?.chunks(BATCH as usize) {
        for orphan in store.without_blob(keys).await? {
            let young = storage.newest(orphan).await?.is_some_and(|written| {
                // A time in the future says that a clock is wrong, not that the object is old.
                now.duration_since(written).map_or(true, |age| age < grace)
            });
            if !young {
                storage.remove(orphan).await?;
                items += 1;
            }
        }
    }
    Ok(Batch { items, more: true })
}

/// The storage says which database it belongs to; one that does not is taken for ours.
async fn check_owner(store: &Store, storage: &Storage) -> Result<(), JobError> {
    let ours = store.storage_owner().await?;
    match storage.owner().await? {
        Some(owner) if owner.as_ref() == ours => Ok(()),
        Some(_) => Err(JobError::NotOurs),
        None => Ok(storage.set_owner(&Bytes::copy_from_slice(&ours)).await?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shelves_are_looked_through_in_turn_whatever_becomes_of_each() {
        let shelves = Shelves::default();
        let all = || ["b7", "0f", "a1"].map(str::to_owned).to_vec();
        let turns: Vec<_> = (0..8).map(|_| shelves.next(all())).collect();
        let once = [Some("0f"), Some("a1"), Some("b7"), None];
        let twice: Vec<_> = once.into_iter().chain(once).collect();
        assert_eq!(turns.iter().map(Option::as_deref).collect::<Vec<_>>(), twice);
    }
}
