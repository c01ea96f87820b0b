//! `storage`: trying the storage of attachments out, and moving it.

use std::process::ExitCode;

use clap::Subcommand;

use super::backup::local_blobs;
use super::options::Options;
use super::out::say;
use super::present::{self, Absent};
use crate::blobs::{MigrateError, StorageConfig, StorageTestError, migrate_storage, test_storage};
use crate::config::{ConfigError, Sources};

#[derive(Clone, Debug, Subcommand)]
pub(super) enum StorageCommand {
    /// Write, read, list and remove an object, and say how long each took
    Test,
    /// Copy every attachment from the storage of another file of settings to that of this one
    Migrate {
        /// The settings whose storage the attachments are in now
        from: std::path::PathBuf,
    },
}

/// Why the storage is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum StorageCommandError {
    #[error("the settings cannot be used")]
    Config(#[from] ConfigError),
    #[error("there is no server whose storage it would be")]
    Absent(#[from] Absent),
    #[error("the test did not pass")]
    Test(#[from] StorageTestError),
    #[error("not everything was copied; it can be run again")]
    Migrate(#[from] MigrateError),
}

pub(super) async fn storage(
    options: &Options,
    command: StorageCommand,
) -> Result<ExitCode, StorageCommandError> {
    let config = options.sources().load()?;
    present::expect(&config).await?;
    match command {
        StorageCommand::Test => {
            for (step, time) in test_storage(&config.storage, &config.data_dir).await? {
                say(&format!(
                    "ok  {step:<26} {:.1} ms\n",
                    time.as_secs_f64() * 1000.0,
                    step = step.to_string()
                ));
            }
        }
        StorageCommand::Migrate { from } => {
            // The other file alone: what is in the environment is meant for the storage to come.
            let other = Sources {
                file: Some(from),
                ..Sources::default()
            };
            let old = other.load()?;
            let from = match local_blobs(&old) {
                Some(folder) => StorageConfig::Folder(folder),
                None => old.storage,
            };
            let moved = migrate_storage(&from, &config.storage, &config.data_dir, |_| {}).await?;
            say(&format!(
                "{} parts copied, {} were there already; {} bytes in all, each compared.\n",
                moved.copied, moved.unchanged, moved.bytes
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
