//! What every storage does, shown on each kind: a folder, and a server that speaks S3.

use std::path::Path;
use std::time::{Duration, SystemTime};

use prost::bytes::Bytes;
use tempfile::TempDir;

use super::config::{S3Config, S3Secret, StorageConfig};
use super::error::StorageError;
use super::migrate::migrate_storage;
use super::name::StorageKey;
use super::probe::{ProbeStep, test_storage};
use super::s3_server::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};
use super::storage::Storage;

/// A storage of either kind, empty.
struct Place {
    config: StorageConfig,
    folder: TempDir,
    /// Where its objects are files.
    files: std::path::PathBuf,
    _server: Option<S3Server>,
}

impl Place {
    fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            config: StorageConfig::DataDir,
            files: folder.path().join("blobs"),
            folder,
            _server: None,
        }
    }

    async fn bucket(prefix: Option<&str>) -> Self {
        let server = S3Server::start().await;
        Self {
            config: StorageConfig::S3(S3Config {
                prefix: prefix.map(str::to_owned),
                ..s3(&server)
            }),
            files: server.bucket().join(prefix.unwrap_or("")),
            folder: tempfile::tempdir().unwrap(),
            _server: Some(server),
        }
    }

    async fn open(&self) -> Storage {
        Storage::open(&self.config, self.folder.path()).await.unwrap()
    }
}

fn s3(server: &S3Server) -> S3Config {
    S3Config {
        endpoint: Some(server.endpoint.clone()),
        access_key: Some((ACCESS_KEY.to_owned(), S3Secret::new(SECRET_KEY.to_owned()))),
        allow_http: true,
        ..S3Config::new(BUCKET)
    }
}

/// Each of these on every kind of storage.
macro_rules! on_every_storage {
    ($($name:ident),+ $(,)?) => {
        mod in_a_folder {
            $(#[tokio::test] async fn $name() { super::$name(super::Place::folder()).await; })+
        }
        mod in_a_bucket {
            $(#[tokio::test] async fn $name() { super::$name(super::Place::bucket(None).await).await; })+
        }
        mod in_part_of_a_bucket {
            $(#[tokio::test] async fn $name() {
                super::$name(super::Place::bucket(Some("chat/blobs")).await).await;
            })+
        }
    };
}

on_every_storage![
    what_is_written_is_read_back_whole_and_in_ranges,
    a_part_is_replaced_as_a_whole,
    what_is_missing_or_not_as_long_as_it_was_is_an_error,
    keys_are_listed_and_what_is_not_ours_is_left_out,
    a_blob_is_removed_with_all_its_parts_and_no_others,
    a_storage_knows_its_owner,
    a_storage_that_works_passes_its_test,
    everything_is_migrated_and_compared,
    a_migration_goes_on_where_it_stopped,
];

async fn what_is_written_is_read_back_whole_and_in_ranges(place: Place) {
    let storage = place.open().await;
    let (one, long) = (key(0xa1), Bytes::from(content(1 << 20, 3)));
    storage.put(one, 0, long.clone()).await.unwrap();
    storage.put(one, 1, Bytes::from_static(b"end")).await.unwrap();
    // As another server process would find it.
    let storage = place.open().await;
    let length = long.len() as u64;
    assert_eq!(storage.read(one, 0, 0..length, length).await.unwrap(), long);
    for range in [0..1, 5..70_000, 1_000_000..length, length - 1..length] {
        let expected = long.slice(range.start as usize..range.end as usize);
        assert_eq!(storage.read(one, 0, range, length).await.unwrap(), expected);
    }
    assert_eq!(storage.read(one, 1, 0..3, 3).await.unwrap(), "end");
}

async fn a_part_is_replaced_as_a_whole(place: Place) {
    let storage = place.open().await;
    storage
        .put(key(1), 7, Bytes::from(content(5_000, 1)))
        .await
        .unwrap();
    storage
        .put(key(1), 7, Bytes::from(content(3_000, 2)))
        .await
        .unwrap();
    let read = storage.read(key(1), 7, 0..3_000, 3_000).await.unwrap();
    assert_eq!(read, content(3_000, 2));
}

async fn what_is_missing_or_not_as_long_as_it_was_is_an_error(place: Place) {
    let storage = place.open().await;
    let missing = storage.read(key(1), 0, 0..10, 10).await;
    assert!(matches!(missing, Err(StorageError::Missing)), "{missing:?}");
    storage.put(key(1), 0, Bytes::from(content(90, 1))).await.unwrap();
    for (what, range, length) in [
        ("shorter, read whole", 0..100, 100),
        ("shorter, read where it is", 0..10, 100),
        ("shorter, read across its end", 80..100, 100),
        ("longer", 0..80, 80),
    ] {
        let read = storage.read(key(1), 0, range, length).await;
        assert!(matches!(read, Err(StorageError::Truncated)), "{what}: {read:?}");
    }
    // Where nothing is at all, what is said of it is the service's own.
    assert!(storage.read(key(1), 0, 95..100, 100).await.is_err());
}

async fn keys_are_listed_and_what_is_not_ours_is_left_out(place: Place) {
    let storage = place.open().await;
    assert!(storage.shelves().await.unwrap().is_empty());
    let keys = [key(0x0f), StorageKey([0x0f; 16]), key(0xa1)];
    for key in keys {
        storage.put(key, 0, Bytes::from_static(b"x")).await.unwrap();
        storage.put(key, 1, Bytes::from_static(b"y")).await.unwrap();
    }
    for foreign in ["0f/notes", "photos/summer", "b7/0123"] {
        let path = place.files.join(foreign);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "not ours").unwrap();
    }
    let mut found = Vec::new();
    for shelf in storage.shelves().await.unwrap() {
        found.extend(storage.keys_on(&shelf).await.unwrap());
    }
    found.sort();
    let mut expected = keys.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    let newest = storage.newest(key(0xa1)).await.unwrap().unwrap();
    let age = SystemTime::now().duration_since(newest).unwrap_or_default();
    assert!(age < Duration::from_secs(60), "{age:?}");
    assert_eq!(storage.newest(key(0x22)).await.unwrap(), None);
    assert_eq!(storage.parts(key(0xa1)).await.unwrap(), [(0, 1), (1, 1)].into());
}

async fn a_blob_is_removed_with_all_its_parts_and_no_others(place: Place) {
    let storage = place.open().await;
    for index in 0..25 {
        storage
            .put(key(1), index, Bytes::from_static(b"gone"))
            .await
            .unwrap();
    }
    storage
        .put(key(2), 0, Bytes::from_static(b"stays"))
        .await
        .unwrap();
    storage.remove(key(1)).await.unwrap();
    assert!(storage.parts(key(1)).await.unwrap().is_empty());
    let missing = storage.read(key(1), 0, 0..4, 4).await;
    assert!(matches!(missing, Err(StorageError::Missing)), "{missing:?}");
    assert_eq!(storage.read(key(2), 0, 0..5, 5).await.unwrap(), "stays");
    storage
        .remove(key(1))
        .await
        .expect("removing it again is no error");
    storage
        .remove(key(3))
        .await
        .expect("nor is removing what never was");
}

async fn a_storage_knows_its_owner(place: Place) {
    let storage = place.open().await;
    assert_eq!(storage.owner().await.unwrap(), None);
    storage
        .set_owner(&Bytes::from_static(b"database 1"))
        .await
        .unwrap();
    assert_eq!(storage.owner().await.unwrap().unwrap(), "database 1");
    assert!(storage.shelves().await.unwrap().is_empty());
}

async fn a_storage_that_works_passes_its_test(place: Place) {
    let steps = test_storage(&place.config, place.folder.path()).await.unwrap();
    assert_eq!(steps.len(), 7);
    let storage = place.open().await;
    let left = storage.shelves().await.unwrap();
    assert!(left.is_empty(), "it leaves nothing behind: {left:?}");
    storage.put(key(1), 0, content(5, 1).into()).await.unwrap();
    let shelf = key(1);
    storage.remove_empty_shelf(shelf).await;
    assert_eq!(
        storage.parts(shelf).await.unwrap(),
        [(0, 5)].into(),
        "nor takes anything away"
    );
}

async fn everything_is_migrated_and_compared(place: Place) {
    let from = place.open().await;
    fill(&from).await;
    from.set_owner(&Bytes::from_static(b"database 1")).await.unwrap();
    std::fs::write(place.files.join("foreign"), "not ours").unwrap();
    let target = Place::folder();
    let mut seen = 0;
    let done = migrate(&place.config, &target, place.folder.path(), |_| seen += 1).await;
    assert_eq!((done.copied, done.unchanged, done.bytes, seen), (5, 0, 8_300, 2));
    let to = target.open().await;
    check_filled(&to).await;
    check_filled(&from).await;
    assert_eq!(to.owner().await.unwrap().unwrap(), "database 1");
    assert!(!target.files.join("foreign").exists());
}

async fn a_migration_goes_on_where_it_stopped(place: Place) {
    let source = Place::folder();
    fill(&source.open().await).await;
    let to = place.open().await;
    to.put(key(1), 0, Bytes::from(content(2_000, 0))).await.unwrap();
    to.put(key(1), 1, Bytes::from(content(2_000, 99))).await.unwrap();
    to.put(key(1), 2, Bytes::from(content(1_999, 2))).await.unwrap();
    let run = async || {
        let from = StorageConfig::Folder(source.files.clone());
        migrate_storage(&from, &place.config, place.folder.path(), |_| {})
            .await
            .unwrap()
    };
    let done = run().await;
    assert_eq!(
        (done.copied, done.unchanged),
        (4, 1),
        "damaged parts are copied again"
    );
    check_filled(&to).await;
    let again = run().await;
    assert_eq!((again.copied, again.unchanged), (0, 5));
}

async fn migrate(
    from: &StorageConfig,
    to: &Place,
    data_dir: &Path,
    progress: impl FnMut(super::Migrated),
) -> super::Migrated {
    // Both in one call take one data folder: the target is named in full.
    let to = StorageConfig::Folder(to.files.clone());
    migrate_storage(from, &to, data_dir, progress).await.unwrap()
}

async fn fill(storage: &Storage) {
    for index in 0..4 {
        let part = Bytes::from(content(2_000, index as u8));
        storage.put(key(1), index, part).await.unwrap();
    }
    storage
        .put(key(0xfe), 0, Bytes::from(content(300, 9)))
        .await
        .unwrap();
}

async fn check_filled(storage: &Storage) {
    for index in 0..4 {
        let part = storage.read(key(1), index, 0..2_000, 2_000).await.unwrap();
        assert_eq!(part, content(2_000, index as u8), "part {index}");
    }
    assert_eq!(
        storage.read(key(0xfe), 0, 0..300, 300).await.unwrap(),
        content(300, 9)
    );
}

#[tokio::test]
async fn what_a_crash_left_beside_the_parts_goes_with_them() {
    let place = Place::folder();
    let storage = place.open().await;
    storage
        .put(key(1), 0, Bytes::from_static(b"whole"))
        .await
        .unwrap();
    let folder = place.files.join(key(1).folder().as_ref());
    std::fs::write(folder.join("00000001#1"), "half a par").unwrap();
    assert_eq!(storage.parts(key(1)).await.unwrap(), [(0, 5)].into());
    storage.put(key(1), 1, Bytes::from_static(b"part")).await.unwrap();
    assert_eq!(storage.read(key(1), 1, 0..4, 4).await.unwrap(), "part");
    storage.remove(key(1)).await.unwrap();
    assert!(!folder.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn the_folder_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::folder();
    place.open().await;
    let mode = std::fs::metadata(&place.files).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_storage_that_cannot_be_used_says_so_and_at_which_step() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let in_the_way = StorageConfig::Folder(file.join("blobs"));
    assert_eq!(failed_step(&in_the_way).await, ProbeStep::Open);
    let mut server = S3Server::start().await;
    let settings = s3(&server);
    let config = |change: fn(&mut S3Config)| {
        let mut config = settings.clone();
        change(&mut config);
        StorageConfig::S3(config)
    };
    let wrong_secret = config(|config| {
        config.access_key = Some((ACCESS_KEY.to_owned(), S3Secret::new("wrong".to_owned())));
    });
    assert_eq!(failed_step(&wrong_secret).await, ProbeStep::Write);
    let plain_http = config(|config| config.allow_http = false);
    assert_eq!(failed_step(&plain_http).await, ProbeStep::Write);
    let away = config(|_| {});
    server.kill().await;
    assert_eq!(failed_step(&away).await, ProbeStep::Write);
}

async fn failed_step(config: &StorageConfig) -> ProbeStep {
    let folder = tempfile::tempdir().unwrap();
    test_storage(config, folder.path())
        .await
        .expect_err("it cannot be used")
        .step
}

fn key(first: u8) -> StorageKey {
    let mut bytes = [0x5c; 16];
    bytes[0] = first;
    StorageKey(bytes)
}

/// Bytes that differ from place to place and from seed to seed.
fn content(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ seed).collect()
}
