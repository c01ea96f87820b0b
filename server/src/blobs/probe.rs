//! Trying the storage out, before people's attachments depend on it.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use prost::bytes::Bytes;

use super::config::StorageConfig;
use super::error::StorageError;
use super::name::StorageKey;
use super::storage::Storage;
use crate::limits::MAX_PART_LEN;

/// What [`test_storage`] does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeStep {
    /// Opens the storage.
    Open,
    /// Writes an object as long as the longest part of a blob.
    Write,
    /// Writes another in its place.
    Overwrite,
    /// Reads it back whole, and compares.
    Read,
    /// Reads a range out of its middle, and compares.
    ReadRange,
    /// Finds it in a listing.
    List,
    /// Removes it, and sees that it is gone.
    Remove,
}

/// Why the storage cannot be used, and what was being done.
#[derive(Debug, thiserror::Error)]
#[error("the storage cannot be used: {step}")]
pub struct StorageTestError {
    /// What failed.
    pub step: ProbeStep,
    /// How.
    pub source: StorageError,
}

/// Writes, reads, lists and removes an object of its own in the storage. Nothing else in it is touched.
/// `data_dir` is the server's data folder. Returns how long each step took.
///
/// # Errors
/// [`StorageTestError`] for the first step that does not work. The object may then be left behind; a server
/// that uses the storage removes it in time.
pub async fn test_storage(
    config: &StorageConfig,
    data_dir: &Path,
) -> Result<Vec<(ProbeStep, Duration)>, StorageTestError> {
    let mut done = Vec::new();
    let mut began = Instant::now();
    let mut note = |step| {
        done.push((step, began.elapsed()));
        began = Instant::now();
    };
    let at = |step| move |source| StorageTestError { step, source };
    let storage = Storage::open(config, data_dir)
        .await
        .map_err(at(ProbeStep::Open))?;
    note(ProbeStep::Open);
    // A system without randomness has told everybody long before it comes to this.
    let key = StorageKey::random().unwrap_or(StorageKey([0; 16]));
    let probe = Probe { storage, key };
    probe.write(0x5a).await.map_err(at(ProbeStep::Write))?;
    note(ProbeStep::Write);
    probe.write(0xa5).await.map_err(at(ProbeStep::Overwrite))?;
    note(ProbeStep::Overwrite);
    probe.read(0..PROBE_LEN).await.map_err(at(ProbeStep::Read))?;
    note(ProbeStep::Read);
    probe
        .read(PROBE_LEN / 3..PROBE_LEN / 2)
        .await
        .map_err(at(ProbeStep::ReadRange))?;
    note(ProbeStep::ReadRange);
    probe.list().await.map_err(at(ProbeStep::List))?;
    note(ProbeStep::List);
    probe.remove().await.map_err(at(ProbeStep::Remove))?;
    note(ProbeStep::Remove);
    Ok(done)
}

struct Probe {
    storage: Storage,
    key: StorageKey,
}

impl Probe {
    async fn write(&self, seed: u8) -> Result<(), StorageError> {
        self.storage.put(self.key, 0, content(seed)).await
    }

    async fn read(&self, range: std::ops::Range<u64>) -> Result<(), StorageError> {
        let (start, end) = (range.start, range.end);
        let bytes = self.storage.read(self.key, 0, range, PROBE_LEN).await?;
        let bounds = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        if content(0xa5).get(bounds(start)..bounds(end)) == Some(&bytes[..]) {
            Ok(())
        } else {
            Err(StorageError::Differs)
        }
    }

    async fn list(&self) -> Result<(), StorageError> {
        for shelf in self.storage.shelves().await? {
            if self.storage.keys_on(&shelf).await?.contains(&self.key) {
                return Ok(());
            }
        }
        Err(StorageError::Missing)
    }

    async fn remove(&self) -> Result<(), StorageError> {
        self.storage.remove(self.key).await?;
        self.storage.remove_empty_shelf(self.key).await;
        match self.storage.read(self.key, 0, 0..1, PROBE_LEN).await {
            Err(StorageError::Missing) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(StorageError::NotRemoved),
        }
    }
}

/// Bytes that differ from place to place, so that a range from the wrong place is noticed.
fn content(seed: u8) -> Bytes {
    (0..MAX_PART_LEN)
        .map(|at| (at % 251) as u8 ^ seed)
        .collect::<Vec<u8>>()
        .into()
}

const PROBE_LEN: u64 = MAX_PART_LEN as u64;

impl fmt::Display for ProbeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "opening it",
            Self::Write => "writing",
            Self::Overwrite => "writing over what is there",
            Self::Read => "reading",
            Self::ReadRange => "reading a range",
            Self::List => "listing",
            Self::Remove => "removing",
        })
    }
}
