//! `restore`: a backup, put back where no server runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::backup::{BLOBS, DUMP_FILE, local_blobs};
use super::checksums::{Damage, FORMAT, LIST_FILE, List};
use super::options::Options;
use super::out::say;
use super::postgres::{self, ToolError};
use crate::config::{Config, ConfigError, Database, PostgresUrl};
use crate::error::StartError;
use crate::store::{DATABASE_FILE, DataDir, Owner, PlaceError, is_in_use, is_served, owner, place_sqlite};

#[derive(Clone, Debug, Args)]
pub(super) struct RestoreArgs {
    /// What `backup` has written
    folder: PathBuf,
    /// Replace a database that is there, and put attachments beside those that are
    #[arg(long)]
    force: bool,
}

/// Why nothing was put back; with `Blobs`, why not all of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    #[error("the settings cannot be used")]
    Config(#[from] ConfigError),
    #[error("there is no folder {}", .0.display())]
    NotThere(PathBuf),
    #[error("{} is no backup: there is no {LIST_FILE} in it, or none that can be read", path.display())]
    NoBackup { path: PathBuf, source: io::Error },
    #[error("a server runs here, on {}: stop it first", .0.display())]
    Running(PathBuf),
    #[error("a server runs on this database: stop every node first")]
    Served,
    #[error("the data folder cannot be held")]
    Folder(#[from] StartError),
    #[error("the backup was written by a version this one does not know")]
    Format,
    #[error("the backup is of {found}, and the settings name another server or kind of database")]
    Other { found: String },
    #[error("{} cannot be read", .path)]
    Unreadable { path: String, source: io::Error },
    #[error("{path} is damaged")]
    Damaged { path: String, source: Damage },
    #[error("the database was not put back")]
    Place(#[from] PlaceError),
    #[error("the database was not put back")]
    Tool(#[from] ToolError),
    #[error("the database does not answer")]
    Silent(#[from] sqlx::Error),
    #[error("the database was not put back: that PostgreSQL database holds one; --force has it give way")]
    DatabaseNotEmpty,
    #[error(
        "{} holds attachments, of another server perhaps; --force puts those of the backup beside them, and \
         the server removes in time what belongs to nothing in its database",
        .0.display()
    )]
    AttachmentsNotEmpty(PathBuf),
    #[error("{} cannot be looked at", path.display())]
    Attachments { path: PathBuf, source: io::Error },
    #[error("the database is back, the attachments are not all")]
    Blobs(#[source] io::Error),
}

pub(super) async fn restore(options: &Options, args: RestoreArgs) -> Result<ExitCode, RestoreError> {
    let config = options.sources().load()?;
    let list = read_list(&args.folder)?;
    let kind = match config.database {
        Database::Sqlite => "sqlite",
        Database::Postgres(_) => "postgres",
    };
    if list.database != kind || list.server_name != config.server_name.as_str() {
        let found = format!("{} on {}", list.server_name, list.database);
        return Err(RestoreError::Other { found });
    }
    refuse_beside_a_server(&config).await?;
    check(&list, &args.folder)?;
    if !args.force {
        refuse_to_replace(&config).await?;
    }
    match &config.database {
        Database::Sqlite => place_sqlite(&config.data_dir, &args.folder.join(DATABASE_FILE), args.force)?,
        Database::Postgres(url) => {
            // No server starts on the folder meanwhile, and none has begun to while the files were checked.
            let _held = DataDir::open(&config.data_dir)?;
            refuse_on_a_served_database(url).await?;
            postgres::restore(url, &args.folder.join(DUMP_FILE), args.force).await?;
        }
    }
    if let Some(to) = local_blobs(&config) {
        put_back(&list, &args.folder, &to).map_err(RestoreError::Blobs)?;
    }
    say("Everything in the backup is back. What came after it is not: see \"Restoring\" in OPERATING.md.\n");
    Ok(ExitCode::SUCCESS)
}

/// Under a server, here or at another node, nothing is replaced.
async fn refuse_beside_a_server(config: &Config) -> Result<(), RestoreError> {
    if is_in_use(&config.data_dir) {
        return Err(RestoreError::Running(config.data_dir.clone()));
    }
    match &config.database {
        Database::Sqlite => Ok(()),
        Database::Postgres(url) => refuse_on_a_served_database(url).await,
    }
}

async fn refuse_on_a_served_database(url: &PostgresUrl) -> Result<(), RestoreError> {
    match is_served(url).await? {
        true => Err(RestoreError::Served),
        false => Ok(()),
    }
}

/// What is there already, seen before anything is touched.
async fn refuse_to_replace(config: &Config) -> Result<(), RestoreError> {
    if let Database::Postgres(_) = config.database
        && owner(&config.database, &config.data_dir).await? != Owner::Nobody
    {
        return Err(RestoreError::DatabaseNotEmpty);
    }
    // That of a data folder with a database is refused for the database.
    let database = fs::metadata(config.data_dir.join(DATABASE_FILE));
    let has_database = database.is_ok_and(|file| file.len() > 0);
    let Some(path) = local_blobs(config).filter(|_| !has_database) else {
        return Ok(());
    };
    match fs::read_dir(&path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(RestoreError::AttachmentsNotEmpty(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(RestoreError::Attachments { path, source }),
    }
}

fn read_list(folder: &Path) -> Result<List, RestoreError> {
    if !folder.is_dir() {
        return Err(RestoreError::NotThere(folder.to_owned()));
    }
    let no_backup = |source| RestoreError::NoBackup {
        path: folder.to_owned(),
        source,
    };
    let text = fs::read(folder.join(LIST_FILE)).map_err(no_backup)?;
    let list: List = serde_json::from_slice(&text).map_err(|error| no_backup(error.into()))?;
    if list.format == FORMAT {
        Ok(list)
    } else {
        Err(RestoreError::Format)
    }
}

/// All of it, before anything is touched.
fn check(list: &List, folder: &Path) -> Result<(), RestoreError> {
    for file in &list.files {
        let path = || file.path.clone();
        file.check(folder)
            .map_err(|source| RestoreError::Unreadable { path: path(), source })?
            .map_err(|source| RestoreError::Damaged { path: path(), source })?;
    }
    let database = [DATABASE_FILE, DUMP_FILE];
    if list
        .files
        .iter()
        .any(|file| database.contains(&file.path.as_str()))
    {
        Ok(())
    } else {
        Err(RestoreError::Format)
    }
}

fn put_back(list: &List, folder: &Path, to: &Path) -> io::Result<()> {
    for file in &list.files {
        let Some(name) = file
            .path
            .strip_prefix(BLOBS)
            .and_then(|name| name.strip_prefix('/'))
        else {
            continue;
        };
        let place = to.join(name);
        if let Some(parent) = place.parent() {
            create_private(parent)?;
        }
        fs::copy(folder.join(&file.path), place)?;
    }
    Ok(())
}

/// For the server's own user alone, as the server makes them.
fn create_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
