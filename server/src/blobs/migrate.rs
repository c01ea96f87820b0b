//! Moving to another storage: everything is copied, and read back.

use std::path::Path;

use futures_util::stream::{StreamExt, TryStreamExt};

use super::config::StorageConfig;
use super::error::StorageError;
use super::name::StorageKey;
use super::storage::Storage;

/// Parts under way at one time: 8 MiB of them, and as much again where they are compared.
const AT_ONCE: usize = 8;

/// How far [`migrate_storage`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Parts copied, each read back and compared.
    pub copied: u64,
    /// Parts that were there already, and compared.
    pub unchanged: u64,
    /// Bytes of all of these.
    pub bytes: u64,
}

/// Why not everything was copied. What was stays; beginning again goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The storage to copy from.
    #[error("the storage to copy from cannot be read")]
    Source(#[source] StorageError),
    /// The storage to copy to.
    #[error("the storage to copy to cannot be used")]
    Target(#[source] StorageError),
    /// A part in the target is not what it was copied from.
    #[error("the storage to copy to gives other bytes than were written")]
    Differs,
}

/// Copies all parts of blobs from one storage to another, and compares each with what it was copied from.
/// Nothing in `from` changes. Parts that are there already are compared, and copied again where they
/// differ, so that a migration that was cut off can be begun again. `data_dir` is the server's data folder.
///
/// A running server goes on writing to `from`: run it once beside the server, and once more with the server
/// stopped, before its configuration says `to`.
///
/// # Errors
/// [`MigrateError`], which says which of the two storages does not do its part.
pub async fn migrate_storage(
    from: &StorageConfig,
    to: &StorageConfig,
    data_dir: &Path,
    mut progress: impl FnMut(Migrated),
) -> Result<Migrated, MigrateError> {
    let from = Storage::open(from, data_dir)
        .await
        .map_err(MigrateError::Source)?;
    let to = Storage::open(to, data_dir).await.map_err(MigrateError::Target)?;
    let mut so_far = Migrated::default();
    for shelf in from.shelves().await.map_err(MigrateError::Source)? {
        for key in from.keys_on(&shelf).await.map_err(MigrateError::Source)? {
            migrate_blob(&from, &to, key, &mut so_far).await?;
            progress(so_far);
        }
    }
    from.copy_owner(&to).await?;
    Ok(so_far)
}

async fn migrate_blob(
    from: &Storage,
    to: &Storage,
    key: StorageKey,
    so_far: &mut Migrated,
) -> Result<(), MigrateError> {
    let parts = from.parts(key).await.map_err(MigrateError::Source)?;
    let there = to.parts(key).await.map_err(MigrateError::Target)?;
    let mut copying = futures_util::stream::iter(parts)
        .map(|(index, length)| {
            let same_length = there.get(&index) == Some(&length);
            migrate_part(from, to, key, index, length, same_length)
        })
        .buffer_unordered(AT_ONCE);
    while let Some(outcome) = copying.try_next().await? {
        match outcome {
            Copied::Now(length) => {
                so_far.copied += 1;
                so_far.bytes += length;
            }
            Copied::Before(length) => {
                so_far.unchanged += 1;
                so_far.bytes += length;
            }
            Copied::Vanished => {}
        }
    }
    Ok(())
}

enum Copied {
    Now(u64),
    Before(u64),
    /// Removed by the running server meanwhile.
    Vanished,
}

async fn migrate_part(
    from: &Storage,
    to: &Storage,
    key: StorageKey,
    index: u64,
    length: u64,
    same_length: bool,
) -> Result<Copied, MigrateError> {
    let bytes = match from.read(key, index, 0..length, length).await {
        Ok(bytes) => bytes,
        Err(StorageError::Missing) => return Ok(Copied::Vanished),
        Err(error) => return Err(MigrateError::Source(error)),
    };
    let read_back = || to.read(key, index, 0..length, length);
    if same_length && read_back().await.map_err(MigrateError::Target)? == bytes {
        return Ok(Copied::Before(length));
    }
    to.put(key, index, bytes.clone())
        .await
        .map_err(MigrateError::Target)?;
    if read_back().await.map_err(MigrateError::Target)? == bytes {
        Ok(Copied::Now(length))
    } else {
        Err(MigrateError::Differs)
    }
}

impl Storage {
    /// The database that the storage belongs to stays the same.
    async fn copy_owner(&self, to: &Self) -> Result<(), MigrateError> {
        match self.owner().await.map_err(MigrateError::Source)? {
            Some(owner) => to.set_owner(&owner).await.map_err(MigrateError::Target),
            None => Ok(()),
        }
    }
}
