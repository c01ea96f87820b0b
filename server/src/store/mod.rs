//! The database, the truth about everything the server has promised: SQLite, one file, or PostgreSQL,
//! which several nodes share.
//!
//! Reads go through a pool of connections. Every change of a node goes through one writer ([`writer`]),
//! which commits many of them at once.

mod accounts;
mod blobs;
mod channels;
mod db;
mod deletion;
mod deposit;
mod devices;
mod expiry;
mod fan_out;
mod kem_prekeys;
mod leaving;
mod linking;
mod mailbox;
mod manifests;
mod name;
mod open;
mod operating;
mod posts;
mod prekeys;
mod recovery;
mod refresh;
mod roster;
mod rows;
mod scheduled;
mod server_keys;
mod sessions;
mod sweep;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::auth::Callers;
use crate::config::Database;
use crate::error::StartError;
use crate::hub::Hub;
use crate::limits::Limits;

pub(crate) use accounts::{Admission, Register, RegisterRefusal, SetAccessKey, StoredAccount};
pub(crate) use blobs::{
    AdvanceUpload, BeginRefusal, BeginUpload, BlobId, ExpireHolds, FinishUpload, Forget, Held, MarkUnheld,
    OverQuota, Quota, Release, Retain, RetainRefusal, StoredBlob, Upload, UploadId, UploadRefusal,
};
pub(crate) use channels::Forsaken;
pub(crate) use deletion::{DeleteAccount, DeleteRefusal};
pub(crate) use deposit::{Bounds, Deposit, DepositRefusal, From as DepositFrom, Letter, Receipt};
pub(crate) use devices::{BlockDevice, StoredDevice};
pub(crate) use expiry::ExpireEnvelopes;
pub(crate) use fan_out::{EndLeases, FanOut};
pub(crate) use kem_prekeys::KemPrekeys;
pub(crate) use leaving::RemoveGone;
pub(crate) use linking::{GrantBounds, GrantRefusal, PutGrant};
pub(crate) use mailbox::{Acknowledge, OpenStream, READ_BYTES, SessionOver, StoredEnvelope, StreamState};
pub(crate) use manifests::{Judged, Standing, UpdateManifest, UpdateRefusal};
pub(crate) use name::same_name;
pub(crate) use operating::{
    Block, ClaimJob, CreateInvite, DeviceRow, EndJob, Inspection, Invite, JobRow, MORE, NewInvite, Owner,
    PlaceError, PutBlock, RemoveBlock, RemoveLapsed, RevokeInvite, SignOut, WhichInvite, copy_sqlite,
    inspect, is_served, owner, place_sqlite,
};
pub(crate) use posts::{Post, PostRefusal};
pub(crate) use prekeys::{Bundle, FetchBundles, FetchRefusal, OneTime, PublishPrekeys, PublishRefusal};
pub(crate) use recovery::PutRecoveryBlob;
pub(crate) use refresh::{Refresh, RefreshRefusal, Refreshed};
pub(crate) use roster::{AppendEntry, FoundChannel, Membership, NewEntry, RosterRefusal};
pub(crate) use scheduled::{CancelScheduled, ReleaseScheduled, Schedule};
pub(crate) use server_keys::SharedKey;
pub(crate) use sessions::{
    Caller, Grounds, RevokeSession, SessionUnknown, SignIn, SignInPace, SignInRefusal, StoredSession,
};
pub(crate) use sweep::{Batch, Sweep, SweepAccounts};
pub(crate) use writer::{Pending, Tx, Write, WriteError};

use db::{Pool, Reader};
pub(crate) use open::{DATABASE_FILE, DataDir, is_in_use};
use writer::{WriteTogether, Writer};

/// How long a server that ends waits for what still reads. Reads take milliseconds.
const CLOSING: Duration = Duration::from_secs(5);

/// The open database.
#[derive(Debug)]
pub(crate) struct Store {
    readers: Pool,
    writer: Writer,
    callers: Callers,
    caller_memory: Duration,
    // Held so that no second server opens the same folder.
    data_dir: DataDir,
}

/// The database could not be read. What happened is in the log; the caller learns only that it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database could not be read")]
pub(crate) struct ReadError;

impl Store {
    /// Opens the database, creating folder, file and tables where they are missing.
    pub(crate) async fn open(
        data_dir: &Path,
        database: &Database,
        limits: &Limits,
        hub: Hub,
    ) -> Result<Self, StartError> {
        let data_dir = DataDir::open(data_dir)?;
        let (readers, connection) = match database {
            Database::Sqlite => open::connect_sqlite(&data_dir, limits).await?,
            Database::Postgres(url) => open::connect_postgres(url, limits).await?,
        };
        Ok(Self {
            readers,
            callers: hub.callers().clone(),
            caller_memory: limits.caller_memory,
            writer: Writer::start(connection, hub),
            data_dir,
        })
    }

    /// A connection to read with.
    async fn read(&self) -> Result<Reader, ReadError> {
        Ok(self.readers.acquire().await?)
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

    /// Makes one change of a frequent kind, and returns once it is on the disk.
    pub(crate) async fn write_together<W: WriteTogether>(
        &self,
        change: W,
    ) -> Result<W::Output, WriteError<W::Refusal>> {
        self.enqueue(change).await.answer().await
    }

    /// Takes a place among the changes: they are made in the order of their places.
    pub(crate) async fn enqueue<W: WriteTogether>(&self, change: W) -> Pending<W> {
        self.writer.enqueue(change).await
    }

    /// How many changes wait for the writer.
    pub(crate) fn queued(&self) -> usize {
        self.writer.queued()
    }

    /// Returns when nothing can be written any more.
    pub(crate) async fn writer_ended(&self) {
        self.writer.ended().await;
    }

    /// Commits what is queued, takes nothing new, and folds the log back into the database file.
    pub(crate) async fn close(&self) {
        // What is waited for here may be an answer on a connection that was lost without a word.
        if tokio::time::timeout(CLOSING, self.readers.close()).await.is_err() {
            tracing::warn!("the database did not answer when the connections to it were closed");
        }
        self.writer.close().await;
        self.data_dir.release();
    }
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        // The server is stopping: whoever still reads has come too late.
        if !matches!(error, sqlx::Error::PoolClosed) {
            tracing::error!(%error, "reading the database failed");
        }
        Self
    }
}

impl<R> From<ReadError> for WriteError<R> {
    fn from(_: ReadError) -> Self {
        Self::Failed
    }
}
