//! `backup`: everything a server keeps, in one folder, while it runs.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::checksums::{FORMAT, LIST_FILE, List, Listed};
use super::options::Options;
use super::out::{complain, say};
use super::postgres::{self, ToolError};
use super::present::{self, Absent};
use crate::blobs::StorageConfig;
use crate::clock::now_ms;
use crate::config::{Config, ConfigError, Database};
use crate::store::{DATABASE_FILE, copy_sqlite};

/// PostgreSQL's, as `pg_dump` writes it.
pub(super) const DUMP_FILE: &str = "sottovoce.dump";

/// Where attachments lie in a backup.
pub(super) const BLOBS: &str = "blobs";

#[derive(Clone, Debug, Args)]
pub(super) struct BackupArgs {
    /// A folder that is not there yet
    folder: PathBuf,
    /// Leave out the attachments of a local folder
    #[arg(long)]
    without_blobs: bool,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub(super) enum BackupError {
    #[error("the settings cannot be used")]
    Config(#[from] ConfigError),
    #[error("there is nothing to copy")]
    Absent(#[from] Absent),
    #[error("{} cannot be made: a backup has a folder of its own", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{} is among the server's own files: a backup goes elsewhere", .0.display())]
    Within(PathBuf),
    #[error("the database cannot be copied")]
    Database(#[from] sqlx::Error),
    #[error("the database cannot be copied")]
    Tool(#[from] ToolError),
    #[error("a file cannot be copied")]
    Copy(#[from] io::Error),
}

pub(super) async fn backup(options: &Options, args: BackupArgs) -> Result<ExitCode, BackupError> {
    let config = options.sources().load()?;
    present::expect(&config).await?;
    if is_the_servers_own(&args.folder, &config) {
        return Err(BackupError::Within(args.folder));
    }
    create_private(&args.folder).map_err(|source| BackupError::Folder {
        path: args.folder.clone(),
        source,
    })?;
    let written = write(&config, &args).await;
    if written.is_err() && fs::remove_dir_all(&args.folder).is_err() {
        complain("warning: what there is of the backup could not be removed\n");
    }
    written
}

/// Whether a folder to be made would be in what is copied, or among the server's files.
fn is_the_servers_own(folder: &Path, config: &Config) -> bool {
    let folder = resolved(folder);
    let own = [Some(config.data_dir.clone()), local_blobs(config)];
    own.into_iter()
        .flatten()
        .any(|own| folder.starts_with(resolved(&own)))
}

/// A path as the system would go it, as far as there is something.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (
        fs::canonicalize(&absolute),
        absolute.parent(),
        absolute.file_name(),
    ) {
        (Ok(path), _, _) => path,
        (Err(_), Some(parent), Some(name)) => resolved(parent).join(name),
        _ => absolute,
    }
}

/// Into a folder that is there, and empty.
async fn write(config: &Config, args: &BackupArgs) -> Result<ExitCode, BackupError> {
    // The database first: what it names is there still, or gone because nobody holds it any more.
    let (kind, file) = match &config.database {
        Database::Sqlite => {
            copy_sqlite(&config.data_dir, &args.folder.join(DATABASE_FILE)).await?;
            ("sqlite", DATABASE_FILE)
        }
        Database::Postgres(url) => {
            postgres::dump(url, &args.folder.join(DUMP_FILE)).await?;
            ("postgres", DUMP_FILE)
        }
    };
    let mut files = vec![Listed::of(&args.folder, file)?];
    let mut remark = "";
    match local_blobs(config) {
        Some(_) if args.without_blobs => remark = "Attachments were left out, as told.\n",
        Some(from) => copy_blobs(&from, &args.folder, &mut files)?,
        None => {
            remark =
                "Attachments are in a bucket and not in here: its own versions and copies are their backup.\n"
        }
    }
    let list = List {
        format: FORMAT,
        database: kind.to_owned(),
        server_name: config.server_name.as_str().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at_ms: now_ms(),
        files,
    };
    for file in &list.files {
        keep_private(&args.folder.join(&file.path))?;
    }
    write_list(&args.folder, &list)?;
    let bytes: u64 = list.files.iter().map(|file| file.bytes).sum();
    say(&format!(
        "{remark}{} files, {bytes} bytes, with their checksums in {}.\n",
        list.files.len(),
        args.folder.join(LIST_FILE).display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// The folder attachments are in, where they are in one.
pub(super) fn local_blobs(config: &Config) -> Option<PathBuf> {
    match &config.storage {
        StorageConfig::DataDir => Some(config.data_dir.join(BLOBS)),
        StorageConfig::Folder(folder) => Some(folder.clone()),
        StorageConfig::S3(_) => None,
    }
}

fn copy_blobs(from: &Path, folder: &Path, files: &mut Vec<Listed>) -> io::Result<()> {
    let mut below = vec![PathBuf::new()];
    while let Some(path) = below.pop() {
        let entries = match fs::read_dir(from.join(&path)) {
            // A shelf that was emptied meanwhile, or a server that never had an attachment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        create_private_below(&folder.join(BLOBS).join(&path))?;
        for entry in entries {
            let entry = entry?;
            let name = path.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                below.push(name);
                continue;
            }
            let listed = Path::new(BLOBS).join(&name);
            match fs::copy(entry.path(), folder.join(&listed)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                copied => {
                    copied?;
                    files.push(Listed::of(folder, &listed.to_string_lossy().replace('\\', "/"))?);
                }
            }
        }
    }
    Ok(())
}

/// Last, and whole: a folder without it is no backup.
fn write_list(folder: &Path, list: &List) -> io::Result<()> {
    let mut file = fs::File::create_new(folder.join(LIST_FILE))?;
    file.write_all(&serde_json::to_vec_pretty(list)?)?;
    file.sync_all()
}

/// A backup may be moved out of its private folder.
#[cfg(unix)]
fn keep_private(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn keep_private(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn create_private_below(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private_below(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}
