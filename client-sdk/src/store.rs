//! The sealed store: a SQLite file of records whose names and contents only the key reveals.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use getrandom::SysRng;
use rand_core::{Rng, UnwrapErr};
use sottovoce_crypto::StorageKey;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row};
use zeroize::Zeroizing;

use crate::config::{Secret, StoreKey};
use crate::error::OpenError;

/// What the key is tried on when a store is opened.
const PROOF_CONTEXT: &[u8] = b"sottovoce store proof";

/// Another client may hold the file for the moment it takes to close it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Pages of 4 KiB that the log beside the file may hold before SQLite moves them into it: few, because
/// what was replaced or deleted stays readable in the log.
const LOG_PAGES: &str = "64";

/// The records of one client. Holds the file exclusively: two clients on one store would reuse keys.
///
/// **What is erased, and when.** SQLite overwrites a record with zeros when it is replaced or deleted
/// (`secure_delete`), but first writes it to the log beside the file (`-wal`), which keeps earlier
/// versions until it is emptied: by [`erase_replaced`](Self::erase_replaced), and by
/// [`close`](Self::close). Records stay sealed all the while; this is for whoever gets hold of both the
/// file and its key later, and looks for keys of messages long read. Out of reach are the blocks the file
/// system gave the emptied log, old versions that a copying file system, a flash disk or a backup keeps.
pub(crate) struct Store {
    connection: SqliteConnection,
    key: StorageKey,
    /// Whether the log may hold anything.
    logged: bool,
}

impl Store {
    /// Opens the file, making it if needed, and tries the key on it.
    pub(crate) async fn open(path: &Path, key: &StoreKey) -> Result<Self, OpenError> {
        create_private(path)?;
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .locking_mode(SqliteLockingMode::Exclusive)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("temp_store", "memory")
            .pragma("secure_delete", "on")
            .pragma("wal_autocheckpoint", LOG_PAGES)
            .disable_statement_logging()
            .connect()
            .await
            .map_err(in_use_or_failed)?;
        sqlx::migrate!()
            .run(&mut connection)
            .await
            .map_err(|error| match error {
                sqlx::migrate::MigrateError::Execute(error) => in_use_or_failed(error),
                sqlx::migrate::MigrateError::VersionMissing(_)
                | sqlx::migrate::MigrateError::VersionMismatch(_) => OpenError::Damaged,
                other => OpenError::Store(sqlx::Error::Migrate(Box::new(other))),
            })?;
        let key = match unlock(&mut connection, key).await {
            Ok(key) => key,
            Err(error) => {
                // So that another key can be tried at once. The error told is the one that matters.
                let _ = connection.close().await;
                return Err(error);
            }
        };
        // After a power failure the log holds what was in it.
        let logged = true;
        Ok(Self {
            connection,
            key,
            logged,
        })
    }

    /// Every record, by key.
    pub(crate) async fn load(&mut self) -> Result<BTreeMap<String, Zeroizing<Vec<u8>>>, OpenError> {
        let rows = sqlx::query("SELECT name, value FROM record")
            .fetch_all(&mut self.connection)
            .await
            .map_err(OpenError::Store)?;
        rows.iter()
            .map(|row| {
                let (name, sealed): (&[u8], &[u8]) = (
                    row.try_get(0).map_err(OpenError::Store)?,
                    row.try_get(1).map_err(OpenError::Store)?,
                );
                let opened = self.key.open(name, sealed).map_err(|_| OpenError::Damaged)?;
                self.split(name, &opened).ok_or(OpenError::Damaged)
            })
            .collect()
    }

    /// Writes and deletes records in one durable transaction.
    pub(crate) async fn commit(
        &mut self,
        records: &BTreeMap<String, Option<Zeroizing<Vec<u8>>>>,
    ) -> Result<(), sqlx::Error> {
        if records.is_empty() {
            return Ok(());
        }
        self.logged = true;
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for (key, value) in records {
            let name = self.key.blind(key.as_bytes());
            match value {
                Some(value) => {
                    let sealed = seal(&self.key, &name, key, value)?;
                    sqlx::query("INSERT OR REPLACE INTO record (name, value) VALUES (?, ?)")
                        .bind(&name[..])
                        .bind(sealed)
                        .execute(&mut *transaction)
                        .await?
                }
                None => {
                    sqlx::query("DELETE FROM record WHERE name = ?")
                        .bind(&name[..])
                        .execute(&mut *transaction)
                        .await?
                }
            };
        }
        transaction.commit().await
    }

    /// Forgets every record: the account they belong to was never made.
    pub(crate) async fn clear(&mut self) -> Result<(), sqlx::Error> {
        self.logged = true;
        sqlx::query("DELETE FROM record")
            .execute(&mut self.connection)
            .await
            .map(drop)
    }

    /// Moves the log into the file and empties it, and with it every record that has been replaced or
    /// deleted. Should that fail, nothing is lost, and it is done the next time.
    pub(crate) async fn erase_replaced(&mut self) {
        if !self.logged {
            return;
        }
        // The answer's first column tells whether somebody stood in the way.
        let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut self.connection)
            .await
            .and_then(|row| row.try_get::<i64, _>(0));
        match emptied {
            Ok(0) => self.logged = false,
            Ok(_) => tracing::warn!("the store's log could not be emptied yet"),
            Err(error) => tracing::warn!(%error, "the store's log could not be emptied yet"),
        }
    }

    /// Closes the file, with everything in it and nothing beside it.
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }

    /// Takes a record apart and checks that it stands under its own name.
    fn split(&self, name: &[u8], opened: &[u8]) -> Option<(String, Zeroizing<Vec<u8>>)> {
        let (length, rest) = opened.split_first_chunk::<2>()?;
        let (key, value) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let key = core::str::from_utf8(key).ok()?;
        (self.key.blind(key.as_bytes()) == name).then(|| (key.to_owned(), Zeroizing::new(value.to_vec())))
    }
}

/// A record as stored: its key with two bytes of length before it, then its value, sealed together.
fn seal(storage: &StorageKey, name: &[u8], key: &str, value: &[u8]) -> Result<Vec<u8>, sqlx::Error> {
    let too_long = || sqlx::Error::Encode("a record is too long".into());
    let length = u16::try_from(key.len()).map_err(|_| too_long())?;
    let mut plain = Zeroizing::new(Vec::with_capacity(2 + key.len() + value.len()));
    plain.extend_from_slice(&length.to_be_bytes());
    plain.extend_from_slice(key.as_bytes());
    plain.extend_from_slice(value);
    storage
        .seal(&mut UnwrapErr(SysRng), name, &plain)
        .map_err(|_| too_long())
}

/// Finds the key of an existing store, or gives a new one its proof.
async fn unlock(connection: &mut SqliteConnection, key: &StoreKey) -> Result<StorageKey, OpenError> {
    let row = sqlx::query("SELECT salt, proof FROM vault")
        .fetch_optional(&mut *connection)
        .await
        .map_err(OpenError::Store)?;
    if let Some(row) = row {
        let salt: Vec<u8> = row.try_get(0).map_err(OpenError::Store)?;
        let proof: Vec<u8> = row.try_get(1).map_err(OpenError::Store)?;
        let salt = salt.try_into().map_err(|_| OpenError::Damaged)?;
        let key = derive(key, salt).await?;
        return key
            .open(PROOF_CONTEXT, &proof)
            .map(|_| key)
            .map_err(|_| OpenError::WrongKey);
    }
    let mut salt = [0; 16];
    UnwrapErr(SysRng).fill_bytes(&mut salt);
    let key = derive(key, salt).await?;
    let proof = key
        .seal(&mut UnwrapErr(SysRng), PROOF_CONTEXT, &[])
        .map_err(|_| OpenError::Damaged)?;
    sqlx::query("INSERT INTO vault (id, salt, proof) VALUES (1, ?, ?)")
        .bind(&salt[..])
        .bind(proof)
        .execute(connection)
        .await
        .map_err(OpenError::Store)?;
    Ok(key)
}

async fn derive(key: &StoreKey, salt: [u8; 16]) -> Result<StorageKey, OpenError> {
    match &key.0 {
        Secret::Raw(raw) => Ok(StorageKey::from_bytes(**raw)),
        Secret::Passphrase(passphrase) => {
            let passphrase = passphrase.clone();
            // Some tenths of a second of work: not on the runtime's own threads.
            tokio::task::spawn_blocking(move || StorageKey::from_passphrase(passphrase.as_bytes(), &salt))
                .await
                .map_err(|_| OpenError::Passphrase)?
                .map_err(|_| OpenError::Passphrase)
        }
    }
}

/// Makes the file, readable by its owner only, before SQLite would make it readable by all.
fn create_private(path: &Path) -> Result<(), OpenError> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map(drop)
        .map_err(|error| OpenError::Store(sqlx::Error::Io(error)))
}

fn in_use_or_failed(error: sqlx::Error) -> OpenError {
    // SQLITE_BUSY, whatever its extended part.
    let busy = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == 5);
    if busy {
        OpenError::StoreInUse
    } else {
        OpenError::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(path: &Path) -> Store {
        Store::open(path, &StoreKey::raw([7; 32])).await.unwrap()
    }

    async fn write(store: &mut Store, key: &str, value: Option<&[u8]>) {
        let value = value.map(|value| Zeroizing::new(value.to_vec()));
        store
            .commit(&BTreeMap::from([(key.into(), value)]))
            .await
            .unwrap();
    }

    /// The sealed bytes of a record, as they stand in the database.
    async fn sealed(store: &mut Store, key: &str) -> Vec<u8> {
        sqlx::query("SELECT value FROM record WHERE name = ?")
            .bind(store.key.blind(key.as_bytes()).to_vec())
            .fetch_one(&mut store.connection)
            .await
            .unwrap()
            .get(0)
    }

    /// Whether a file of the store, or the log beside it, holds these bytes.
    fn holds(path: &Path, bytes: &[u8]) -> bool {
        ["", "-wal"].iter().any(|end| {
            let mut file = path.as_os_str().to_owned();
            file.push(end);
            let file = std::fs::read(file).unwrap_or_default();
            file.windows(bytes.len()).any(|window| window == bytes)
        })
    }

    #[tokio::test]
    async fn what_is_replaced_or_deleted_is_erased_from_file_and_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let mut store = open(&path).await;
        write(&mut store, "replaced", Some(&[1; 100])).await;
        write(&mut store, "deleted", Some(&[2; 100])).await;
        write(&mut store, "kept", Some(&[3; 100])).await;
        let replaced = sealed(&mut store, "replaced").await;
        let deleted = sealed(&mut store, "deleted").await;
        let kept = sealed(&mut store, "kept").await;
        write(&mut store, "replaced", Some(&[4; 100])).await;
        write(&mut store, "deleted", None).await;
        // So the search does find things, and there is something to be done.
        assert!(holds(&path, &replaced) && holds(&path, &deleted) && holds(&path, &kept));

        store.erase_replaced().await;
        assert!(!holds(&path, &replaced) && !holds(&path, &deleted));
        assert!(holds(&path, &kept));
        let records = store.load().await.unwrap();
        assert_eq!(records["replaced"][..], [4; 100]);
        assert_eq!(records["kept"][..], [3; 100]);
        assert_eq!(records.len(), 2);
    }

    #[tokio::test]
    async fn the_log_of_a_crashed_client_is_erased_too() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("store.db"), folder.path().join("copy.db"));
        let mut store = open(&path).await;
        write(&mut store, "deleted", Some(&[2; 100])).await;
        let deleted = sealed(&mut store, "deleted").await;
        write(&mut store, "deleted", None).await;
        for end in ["", "-wal"] {
            let file = |name: &str| folder.path().join(format!("{name}.db{end}"));
            std::fs::copy(file("store"), file("copy")).unwrap();
        }
        assert!(holds(&copy, &deleted));
        let mut crashed = open(&copy).await;
        crashed.erase_replaced().await;
        assert!(!holds(&copy, &deleted));
    }
}
