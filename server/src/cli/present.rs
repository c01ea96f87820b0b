//! Whether the settings lead to a server's data at all, before a command works on it: typed in the wrong
//! folder it would find none, and should not make some.

use std::path::PathBuf;

use crate::config::{Config, Database};
use crate::error::StartError;
use crate::store::{Owner, owner, same_name};

/// Why there is nothing for a command to work on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Absent {
    #[error("there is no server's data in {}: run `init`, or give --config FILE", .0.display())]
    Folder(PathBuf),
    #[error("there is no server's data in that PostgreSQL database: run `init`, or give --config FILE")]
    Database,
    #[error("the database does not answer")]
    Silent(#[from] sqlx::Error),
    #[error("the settings are those of another server")]
    OtherName(#[from] StartError),
}

/// Sees that there is a server's data, and that it is of the server of this name.
pub(super) async fn expect(config: &Config) -> Result<(), Absent> {
    match owner(&config.database, &config.data_dir).await? {
        Owner::Nobody => Err(match config.database {
            Database::Sqlite => Absent::Folder(config.data_dir.clone()),
            Database::Postgres(_) => Absent::Database,
        }),
        Owner::Unnamed => Ok(()),
        Owner::Server(kept) => Ok(same_name(config, kept)?),
    }
}

/// Sees that there is either nothing yet, or a server of this name.
pub(super) async fn expect_none_or_same(config: &Config) -> Result<(), Absent> {
    match owner(&config.database, &config.data_dir).await? {
        Owner::Nobody | Owner::Unnamed => Ok(()),
        Owner::Server(kept) => Ok(same_name(config, kept)?),
    }
}
