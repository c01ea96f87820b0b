//! Finding, creating and opening the data folder and the database in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _};

use super::db::{Pool, in_time};
use super::writer::{Connection, Reconnecting};
use crate::config::PostgresUrl;
use crate::error::StartError;
use crate::limits::Limits;

pub(crate) const DATABASE_FILE: &str = "sottovoce.db";
/// What PostgreSQL calls the sessions of a server.
pub(super) const APPLICATION: &str = "sottovoce-server";
const LOCK_FILE: &str = "sottovoce.lock";

/// Only for other programs looking into the file: the server has one writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Read connections. SQLite reads are short; more than a few only wait for the same disk.
const READERS: u32 = 4;

/// Pages of the database that a connection holds in memory: negative is KiB. What the writer holds no one
/// else changes; readers would each hold the same, and the system does so for all of them.
const WRITER_CACHE: &str = "-65536";
const READER_CACHE: &str = "-1024";

/// Prepared statements kept by a connection. Those that take sets of rows have a text for each power of two
/// of rows on SQLite.
const STATEMENTS: usize = 512;

/// The data folder, locked for this process.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    is_new: bool,
    lock: File,
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
        // An empty file is what a start that did not get far leaves.
        let is_new = !fs::metadata(path.join(DATABASE_FILE)).is_ok_and(|file| file.len() > 0);
        Ok(Self { path, is_new, lock })
    }

    /// SQLite gives its write-ahead log the permissions of the database file.
    fn make_database_private(&self) -> Result<(), StartError> {
        let failed = |source| StartError::DataDir {
            path: self.path.clone(),
            source,
        };
        private_file(&self.database_path()).map(|_| ()).map_err(failed)
    }

    pub(crate) fn database_path(&self) -> PathBuf {
        self.path.join(DATABASE_FILE)
    }

    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Lets another server have the folder, once nothing of it is open here. A call that was cut may hold
    /// on to the store for a moment longer.
    pub(super) fn release(&self) {
        if self.lock.unlock().is_err() {
            tracing::warn!("the data folder stays locked until the process ends");
        }
    }
}

/// Opens the writing connection, brings the tables up to date, then opens the readers.
pub(crate) async fn connect_sqlite(
    data_dir: &DataDir,
    limits: &Limits,
) -> Result<(Pool, Connection), StartError> {
    data_dir.make_database_private()?;
    let options = SqliteConnectOptions::new()
        .filename(data_dir.database_path())
        .journal_mode(SqliteJournalMode::Wal)
        // FULL syncs the log at every commit: what was acknowledged survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What was acknowledged is overwritten, not only unlinked: the server forgets it.
        .pragma("secure_delete", "ON")
        // What a statement needs to take itself back stays in memory, not in a file that is written for
        // every set of rows.
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", WRITER_CACHE)
        .busy_timeout(BUSY_TIMEOUT)
        // Pages that the log holds before they are folded into the database, 16 MiB: of what is acknowledged
        // soon after it came, most is never written anywhere else.
        .pragma("wal_autocheckpoint", "4096")
        // What a backup had it grow to, the log need not stay.
        .pragma("journal_size_limit", "67108864")
        .statement_cache_capacity(STATEMENTS)
        // Rows come from the driver's thread: without room, each would wait for the one before it to be read.
        .row_buffer_size(1024)
        // The driver would log statements; the server's log holds nothing of its users.
        .disable_statement_logging();
    let mut writer = options.connect().await?;
    sqlx::migrate!("./migrations/sqlite").run(&mut writer).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(limits.request_timeout)
        .test_before_acquire(false)
        .connect_with(options.pragma("cache_size", READER_CACHE).read_only(true))
        .await?;
    Ok((Pool::Sqlite(readers), Connection::Sqlite(writer)))
}

/// The same for PostgreSQL, which others may write to at the same time.
pub(crate) async fn connect_postgres(
    url: &PostgresUrl,
    limits: &Limits,
) -> Result<(Pool, Connection), StartError> {
    let options = url
        .options()
        .application_name(APPLICATION)
        .statement_cache_capacity(STATEMENTS)
        .options([
            // Whatever the database or the role is set to: what is acknowledged is on the disk.
            ("synchronous_commit", "on"),
            // Every frequent statement finds its rows by an index. A plan that reads the whole table is the
            // cheaper one while that is small or was never analyzed, is kept with the statement, and costs
            // milliseconds once the table has grown. So there is one plan for each statement, by index, and
            // it need not be made again at every call.
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("enable_bitmapscan", "off"),
            ("plan_cache_mode", "force_generic_plan"),
            ("jit", "off"),
            // When we are lost without a word, the rows we locked are free again before long.
            ("idle_in_transaction_session_timeout", "30s"),
            ("tcp_keepalives_idle", "15"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ])
        .disable_statement_logging();
    let mut migrating = options.connect().await?;
    // Under a lock of the database's: nodes that start together do not get in each other's way.
    sqlx::migrate!("./migrations/postgres")
        .run(&mut migrating)
        .await?;
    migrating.close().await?;
    let readers = PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(limits.request_timeout)
        // Tested when they are given back, so that one that was lost without a word is given up then.
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(async { in_time(connection.ping()).await.map(|()| true) }))
        .connect_with(options.clone())
        .await?;
    // Given up before we give up ourselves: what waits for a lock keeps all it has meanwhile.
    let writer = Reconnecting::new(options.options([("lock_timeout", "8s")])).await?;
    Ok((Pool::Postgres(readers), Connection::Postgres(Box::new(writer))))
}

/// Whether a server, or a command that is at work, has the data folder. Nothing is changed or made.
pub(crate) fn is_in_use(data_dir: &Path) -> bool {
    let lock = File::open(data_dir.join(LOCK_FILE));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
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
    use crate::config::Database;
    use crate::hints::Outbox;
    use crate::hub::Hub;
    use crate::store::Store;
    use crate::store::db::{Conn, sql};

    async fn open(folder: &tempfile::TempDir) -> (Pool, sqlx::SqliteConnection) {
        let data_dir = DataDir::open(folder.path()).unwrap();
        match connect_sqlite(&data_dir, &Limits::default()).await.unwrap() {
            (readers, Connection::Sqlite(writer)) => (readers, writer),
            _ => unreachable!("another database"),
        }
    }

    /// What an acknowledgement rests on. `kill -9` cannot show it: only a power cut would.
    #[tokio::test]
    async fn the_writer_syncs_every_commit_overwrites_what_it_deletes_and_keeps_references() {
        let folder = tempfile::tempdir().unwrap();
        let (_readers, mut writer) = open(&folder).await;
        let mut conn = Conn::Sqlite(&mut writer);
        for (pragma, expected) in [
            // 2 is FULL.
            ("PRAGMA synchronous", 2),
            ("PRAGMA secure_delete", 1),
            ("PRAGMA foreign_keys", 1),
        ] {
            let (value,): (i64,) = sql(pragma).fetch_one(&mut conn).await.unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
        let (mode,): (String,) = sql("PRAGMA journal_mode").fetch_one(&mut conn).await.unwrap();
        assert_eq!(mode, "wal");
    }

    #[test]
    fn a_folder_is_new_until_a_database_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let is_new = || {
            let opened = DataDir::open(folder.path()).unwrap();
            // A process that is begun elsewhere in this one holds the lock for a moment too.
            opened.release();
            opened.is_new()
        };
        let database = folder.path().join(DATABASE_FILE);
        assert!(is_new() && !database.exists(), "it is for SQLite to make");
        fs::write(&database, b"").unwrap();
        assert!(is_new());
        fs::write(&database, b"something").unwrap();
        assert!(!is_new());
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let (readers, _writer) = open(&folder).await;
        let mut reader = readers.acquire().await.unwrap();
        let deleted = sql("DELETE FROM accounts").execute(&mut reader.conn()).await;
        assert!(deleted.is_err());
    }

    #[tokio::test]
    async fn a_connection_that_is_never_given_back_does_not_keep_the_store_open() {
        let folder = tempfile::tempdir().unwrap();
        let (limits, hub) = (Limits::default(), Hub::new(1, Outbox::nowhere()));
        let store = Store::open(folder.path(), &Database::Sqlite, &limits, hub)
            .await
            .unwrap();
        let _held = store.read().await.unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(60), store.close()).await;
        assert!(closed.is_ok(), "it waits for ever");
    }
}
