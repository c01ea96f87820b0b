//! The database: SQLite, one file, the truth about everything the server has promised.
//!
//! Reads go through a pool of read-only connections. Every change goes through one writer
//! ([`writer`]), which commits many of them at once.

mod accounts;
mod kem_prekeys;
mod mailbox;
mod open;
mod prekeys;
mod rows;
mod sweep;
mod tokens;
mod writer;

use std::path::{Path, PathBuf};

use sqlx::SqlitePool;

use crate::error::StartError;
use crate::hub::Hub;
use crate::limits::Limits;

pub(crate) use accounts::{Register, RegisterRefusal};
pub(crate) use kem_prekeys::KemPrekeys;
pub(crate) use mailbox::{Acknowledge, Deposit, DepositRefusal, Letter, StoredEnvelope};
pub(crate) use prekeys::{Bundle, FetchBundles, FetchRefusal, OneTime, PublishPrekeys, PublishRefusal};
pub(crate) use sweep::Sweep;
pub(crate) use tokens::{Caller, IssueToken};
#[cfg(test)]
pub(crate) use writer::Tx;
pub(crate) use writer::{Write, WriteError};

use open::DataDir;
use writer::Writer;

/// The open database.
#[derive(Debug)]
pub(crate) struct Store {
    readers: SqlitePool,
    writer: Writer,
    // Held so that no second server opens the same folder.
    data_dir: DataDir,
}

/// The database could not be read. What happened is in the log; the caller learns only that it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database could not be read")]
pub(crate) struct ReadError;

impl Store {
    /// Opens the database in `data_dir`, creating folder, file and tables where they are missing.
    pub(crate) async fn open(data_dir: &Path, limits: &Limits, hub: Hub) -> Result<Self, StartError> {
        let data_dir = DataDir::open(data_dir)?;
        let (readers, connection) = open::connect(&data_dir, limits).await?;
        Ok(Self {
            readers,
            writer: Writer::start(connection, hub),
            data_dir,
        })
    }

    /// Where the database file is.
    pub(crate) fn database_path(&self) -> PathBuf {
        self.data_dir.database_path()
    }

    /// Whether opening the store created the database.
    pub(crate) fn is_new(&self) -> bool {
        self.data_dir.is_new()
    }

    /// Makes one change, and returns once it is on the disk.
    pub(crate) async fn write<W: Write>(&self, write: W) -> Result<W::Output, WriteError<W::Refusal>> {
        self.writer.submit(write).await
    }

    /// Returns when nothing can be written any more.
    pub(crate) async fn writer_ended(&self) {
        self.writer.ended().await;
    }

    /// Commits what is queued, takes nothing new, and folds the log back into the database file.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "reading the database failed");
        Self
    }
}
