//! Finding, creating and opening the data folder and the database in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqlitePool};

use crate::error::StartError;
use crate::limits::Limits;

const DATABASE_FILE: &str = "sottovoce.db";
const LOCK_FILE: &str = "sottovoce.lock";

/// Only for other programs looking into the file: the server has one writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Read connections. SQLite reads are short; more than a few only wait for the same disk.
const READERS: u32 = 4;

/// The data folder, locked for this process.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    is_new: bool,
    _lock: File,
}

impl DataDir {
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::DataDir {
            path: path.to_owned(),
            source,
        };
        create_private_dir(path).map_err(failed)?;
        let path = fs::canonicalize(path).map_err(failed)?;
        let lock = private_file(&path.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StartError::DataDirInUse { path }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let is_new = !path.join(DATABASE_FILE).exists();
        // SQLite gives its write-ahead log the permissions of the database file.
        private_file(&path.join(DATABASE_FILE)).map_err(failed)?;
        Ok(Self {
            path,
            is_new,
            _lock: lock,
        })
    }

    pub(crate) fn database_path(&self) -> PathBuf {
        self.path.join(DATABASE_FILE)
    }

    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }
}

/// Opens the writing connection, brings the tables up to date, then opens the readers.
pub(crate) async fn connect(
    data_dir: &DataDir,
    limits: &Limits,
) -> Result<(SqlitePool, SqliteConnection), StartError> {
    let options = SqliteConnectOptions::new()
        .filename(data_dir.database_path())
        .journal_mode(SqliteJournalMode::Wal)
        // FULL syncs the log at every commit: what was acknowledged survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What was acknowledged is overwritten, not only unlinked: the server forgets it.
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT)
        // The driver would log statements; the server's log holds nothing of its users.
        .disable_statement_logging();
    let mut writer = options.connect().await?;
    sqlx::migrate!("./migrations").run(&mut writer).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(limits.request_timeout)
        .connect_with(options.read_only(true))
        .await?;
    Ok((readers, writer))
}

#[cfg(unix)]
fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
fn private_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

#[cfg(not(unix))]
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Connection, query_as};

    async fn open(folder: &tempfile::TempDir) -> (SqlitePool, SqliteConnection) {
        let data_dir = DataDir::open(folder.path()).unwrap();
        connect(&data_dir, &Limits::default()).await.unwrap()
    }

    /// What an acknowledgement rests on. `kill -9` cannot show it: only a power cut would.
    #[tokio::test]
    async fn the_writer_syncs_every_commit_overwrites_what_it_deletes_and_keeps_references() {
        let folder = tempfile::tempdir().unwrap();
        let (_readers, mut writer) = open(&folder).await;
        for (pragma, expected) in [
            // 2 is FULL.
            ("PRAGMA synchronous", 2),
            ("PRAGMA secure_delete", 1),
            ("PRAGMA foreign_keys", 1),
        ] {
            let (value,): (i64,) = query_as(pragma).fetch_one(&mut writer).await.unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
        let (mode,): (String,) = query_as("PRAGMA journal_mode")
            .fetch_one(&mut writer)
            .await
            .unwrap();
        assert_eq!(mode, "wal");
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let (readers, _writer) = open(&folder).await;
        let deleted = sqlx::query("DELETE FROM accounts").execute(&readers).await;
        assert!(deleted.is_err());
    }

    #[tokio::test]
    async fn totals_begin_with_what_an_older_database_holds() {
        let folder = tempfile::tempdir().unwrap();
        let file = DataDir::open(folder.path()).unwrap().database_path();
        let mut older = SqliteConnectOptions::new()
            .filename(file)
            .connect()
            .await
            .unwrap();
        sqlx::migrate!("./migrations")
            .run_to(1, &mut older)
            .await
            .unwrap();
        for statement in [
            "INSERT INTO accounts VALUES (7, 'a@here', x'01', 1, x'', x'', 0)",
            "INSERT INTO devices (id, account, position, identity_key, binding_statement, \
             binding_signature) VALUES (x'0a', 7, 0, x'02', x'', x'')",
            "INSERT INTO receipts VALUES (x'0a', x'03', x'', x'', 0), (x'0a', x'04', x'', x'', 0)",
        ] {
            sqlx::query(statement).execute(&mut older).await.unwrap();
        }
        older.close().await.unwrap();
        let (_readers, mut writer) = open(&folder).await;
        let totals: (i64, i64) = query_as("SELECT accounts, (SELECT receipts FROM devices) FROM totals")
            .fetch_one(&mut writer)
            .await
            .unwrap();
        assert_eq!(totals, (1, 2));
    }
}
