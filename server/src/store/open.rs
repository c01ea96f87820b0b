//! Finding, creating and opening the data folder and the database in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqlitePool};

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

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder could not be created or opened.
    #[error("the data folder {} cannot be used", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another server uses the data folder.
    #[error("another server is using the data folder {}", path.display())]
    DataDirInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The database could not be opened.
    #[error("the database could not be opened")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("the database could not be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The system has no randomness to give.
    #[error("the system has no randomness to give")]
    Randomness,
    /// Listening beyond this machine without TLS was not allowed.
    #[error("{address} can be reached from other machines, and this server does not encrypt connections")]
    PlaintextNetwork {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address could not be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
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
