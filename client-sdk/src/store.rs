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

/// The records of one client. Holds the file exclusively: two clients on one store would reuse keys.
pub(crate) struct Store {
    connection: SqliteConnection,
    key: StorageKey,
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
        let key = unlock(&mut connection, key).await?;
        Ok(Self { connection, key })
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
        sqlx::query("DELETE FROM record")
            .execute(&mut self.connection)
            .await
            .map(drop)
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
