//! Parts of blobs as objects: written whole and durably, read in ranges, removed with their blob.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use futures_util::stream::{BoxStream, StreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
};
use prost::bytes::Bytes;

use super::config::{S3Config, StorageConfig};
use super::error::StorageError;
use super::install_tls_provider;
use super::name::{StorageKey, is_shelf};

/// How long one request to S3 may take, and how long it is repeated: a call has 15 seconds in all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(6);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES: usize = 4;

/// The object that says which database the storage belongs to.
const OWNER: &str = "sottovoce-storage";

/// The open storage.
#[derive(Clone)]
pub(crate) struct Storage {
    objects: Arc<dyn ObjectStore>,
    /// Of a local storage: what a crash leaves there that is not an object yet is removed as files.
    folder: Option<PathBuf>,
}

impl Storage {
    /// Opens the storage, and creates the folder of a local one. S3 is not asked anything yet: a server
    /// whose S3 is away serves messages all the same.
    pub(crate) async fn open(config: &StorageConfig, data_dir: &FilePath) -> Result<Self, StorageError> {
        match config {
            StorageConfig::DataDir => Self::in_folder(&data_dir.join("blobs")).await,
            StorageConfig::Folder(folder) => Self::in_folder(folder).await,
            StorageConfig::S3(config) => Self::in_bucket(config),
        }
    }

    async fn in_folder(folder: &FilePath) -> Result<Self, StorageError> {
        let failed = |source| StorageError::Folder {
            path: folder.to_owned(),
            source,
        };
        create_folder(folder).await.map_err(failed)?;
        let files = LocalFileSystem::new_with_prefix(folder).map_err(StorageError::Settings)?;
        Ok(Self {
            // An acknowledged part must survive a power failure: the file and its folders are synced.
            objects: Arc::new(files.with_fsync(true)),
            folder: Some(folder.to_owned()),
        })
    }

    fn in_bucket(config: &S3Config) -> Result<Self, StorageError> {
        install_tls_provider();
        let client = ClientOptions::new()
            .with_allow_http(config.allow_http)
            .with_timeout(REQUEST_TIMEOUT)
            .with_connect_timeout(CONNECT_TIMEOUT);
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_virtual_hosted_style_request(config.virtual_hosted)
            .with_client_options(client)
            .with_retry(retry)
            // One by one is what every compatible service can do.
            .with_disable_bulk_delete(true);
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some((id, secret)) = &config.access_key {
            builder = builder
                .with_access_key_id(id)
                .with_secret_access_key(secret.expose());
        }
        let bucket = builder.build().map_err(StorageError::Settings)?;
        let objects: Arc<dyn ObjectStore> = match &config.prefix {
            Some(prefix) => Arc::new(PrefixStore::new(bucket, prefix.as_str())),
            None => Arc::new(bucket),
        };
        Ok(Self {
            objects,
            folder: None,
        })
    }

    /// Writes a part, durably and all or nothing. What was there under its name gives way.
    pub(crate) async fn put(&self, key: StorageKey, index: u64, data: Bytes) -> Result<(), StorageError> {
        self.put_at(&key.part(index), data).await
    }

    /// Reads a range of a part that is `part_len` bytes long. Whoever gets bytes gets all that were asked
    /// for: anything missing is an error.
    pub(crate) async fn read(
        &self,
        key: StorageKey,
        index: u64,
        range: Range<u64>,
        part_len: u64,
    ) -> Result<Bytes, StorageError> {
        let wanted = range.end.saturating_sub(range.start);
        let (size, bytes) = self.get_at(&key.part(index), Some(range)).await?;
        if size == part_len && u64::try_from(bytes.len()) == Ok(wanted) {
            Ok(bytes)
        } else {
            Err(StorageError::Truncated)
        }
    }

    /// Removes all objects of a blob, and what else a crash may have left beside them. Removing nothing is
    /// no error.
    pub(crate) async fn remove(&self, key: StorageKey) -> Result<(), StorageError> {
        if let Some(folder) = &self.folder {
            return remove_folder(&folder.join(key.folder().as_ref())).await;
        }
        let names: Vec<_> = self
            .parts_of(key)
            .map_ok(|object| object.location)
            .try_collect()
            .await?;
        let names = futures_util::stream::iter(names.into_iter().map(Ok)).boxed();
        self.objects
            .delete_stream(names)
            .map_err(StorageError::from)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
            .or_else(missing_is_gone)
    }

    /// Removes the folder that blobs beginning like this one share, where there is nothing in it. Whoever
    /// writes to it next makes it again.
    pub(super) async fn remove_empty_shelf(&self, key: StorageKey) {
        if let Some(folder) = &self.folder
            && let Some(shelf) = folder.join(key.folder().as_ref()).parent()
        {
            // One that is not empty stays.
            let _ = tokio::fs::remove_dir(shelf).await;
        }
    }

    /// The first two digits of the keys there are: what [`keys_on`](Self::keys_on) goes through.
    pub(crate) async fn shelves(&self) -> Result<Vec<String>, StorageError> {
        let listed = self.objects.list_with_delimiter(None).await?;
        let shelves = listed.common_prefixes.iter().filter(|path| is_shelf(path));
        Ok(shelves.map(|path| path.as_ref().to_owned()).collect())
    }

    /// The keys of the blobs that begin with these two digits. What is not named like ours is left out.
    pub(crate) async fn keys_on(&self, shelf: &str) -> Result<Vec<StorageKey>, StorageError> {
        let listed = self.objects.list_with_delimiter(Some(&Path::from(shelf))).await?;
        Ok(listed
            .common_prefixes
            .iter()
            .filter_map(StorageKey::of_folder)
            .collect())
    }

    /// When the newest object of a blob was written; `None` if it has none.
    pub(crate) async fn newest(&self, key: StorageKey) -> Result<Option<SystemTime>, StorageError> {
        let written = self
            .parts_of(key)
            .map_ok(|object| SystemTime::from(object.last_modified));
        let written: Vec<_> = written.try_collect().await?;
        Ok(written.into_iter().max())
    }

    /// The parts of a blob: how long each is, by its index.
    pub(super) async fn parts(&self, key: StorageKey) -> Result<BTreeMap<u64, u64>, StorageError> {
        let parts = self.parts_of(key).try_filter_map(|object| {
            let index = StorageKey::of_part(&object.location).map(|(_, index)| (index, object.size));
            std::future::ready(Ok(index))
        });
        parts.try_collect().await
    }

    /// The database that the storage belongs to, if it has been told.
    pub(crate) async fn owner(&self) -> Result<Option<Bytes>, StorageError> {
        match self.get_at(&Path::from(OWNER), None).await {
            Ok((_, owner)) => Ok(Some(owner)),
            Err(StorageError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn set_owner(&self, owner: &Bytes) -> Result<(), StorageError> {
        self.put_at(&Path::from(OWNER), owner.clone()).await
    }

    async fn put_at(&self, name: &Path, data: Bytes) -> Result<(), StorageError> {
        self.objects.put(name, PutPayload::from_bytes(data)).await?;
        Ok(())
    }

    /// An object's length, and its bytes or those of a range.
    async fn get_at(&self, name: &Path, range: Option<Range<u64>>) -> Result<(u64, Bytes), StorageError> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let object = self.objects.get_opts(name, options).await?;
        let size = object.meta.size;
        Ok((size, object.bytes().await?))
    }

    fn parts_of(&self, key: StorageKey) -> BoxStream<'static, Result<ObjectMeta, StorageError>> {
        self.objects
            .list(Some(&key.folder()))
            .map_err(StorageError::from)
            .boxed()
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Storage")
    }
}

/// A repeated removal, or two at one time.
fn missing_is_gone(error: StorageError) -> Result<(), StorageError> {
    match error {
        StorageError::Missing => Ok(()),
        error => Err(error),
    }
}

async fn create_folder(folder: &FilePath) -> std::io::Result<()> {
    let mut builder = tokio::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(folder).await
}

async fn remove_folder(folder: &FilePath) -> Result<(), StorageError> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StorageError::Remove(error)),
        _ => Ok(()),
    }
}
