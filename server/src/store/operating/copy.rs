//! The SQLite database as a file: copied while it is in use, and put in place.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _};

use super::super::open::{DATABASE_FILE, DataDir};
use crate::error::StartError;

/// A copy waits that long for whoever keeps the database from being read.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a database lies before it is in place.
const INCOMING_FILE: &str = "sottovoce.db.incoming";

/// Writes the database of `data_dir`, as it is at one instant, to a new file. A server may use it
/// meanwhile.
pub(crate) async fn copy_sqlite(data_dir: &Path, to: &Path) -> Result<(), sqlx::Error> {
    let mut conn = SqliteConnectOptions::new()
        .filename(data_dir.join(DATABASE_FILE))
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .connect()
        .await?;
    let path = to
        .to_str()
        .ok_or_else(|| sqlx::Error::Configuration("not a path in UTF-8".into()))?;
    sqlx::query("VACUUM INTO ?").bind(path).execute(&mut conn).await?;
    conn.close().await
}

/// Why a database was not put in place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error(transparent)]
    DataDir(#[from] StartError),
    #[error("{} holds a database; --force has it give way", .0.display())]
    NotEmpty(PathBuf),
    #[error("the database cannot be put in place")]
    Write(#[from] io::Error),
}

/// Puts a database into a data folder that no server uses. One that is there gives way only when
/// `over` is set. Cut off before its end, it is to be done again.
pub(crate) fn place_sqlite(data_dir: &Path, from: &Path, over: bool) -> Result<(), PlaceError> {
    // An empty file is what a start that did not get far leaves.
    let had_one = fs::metadata(data_dir.join(DATABASE_FILE)).is_ok_and(|file| file.len() > 0);
    if had_one && !over {
        return Err(PlaceError::NotEmpty(data_dir.to_owned()));
    }
    // Locked until this ends.
    let folder = DataDir::open(data_dir)?;
    let place = folder.database_path();
    let incoming = place.with_file_name(INCOMING_FILE);
    fs::copy(from, &incoming)?;
    make_private(&incoming)?;
    File::open(&incoming)?.sync_all()?;
    // The old one's log must not be taken for the new one's.
    for suffix in ["-wal", "-shm"] {
        let mut log = place.clone().into_os_string();
        log.push(suffix);
        match fs::remove_file(log) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    fs::rename(&incoming, &place)?;
    Ok(sync_folder(data_dir)?)
}

#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
