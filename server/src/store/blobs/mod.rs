//! Blobs: what is stored of each, and who holds it.
//!
//! ```text
//!   uploading ──────────▶ readable ──────────▶ unheld ──▶ (no row)
//!      │   FinishUpload        the last hold goes ▲
//!      └────────────────────────────────────────┘
//! ```
//!
//! A hold is an account's wish to keep a blob until a time. An upload is held by its account from the
//! start, so that what it will take counts for the quota, and what is never finished goes as all goes
//! that nobody holds.
//!
//! What nobody holds counts for the account whose hold was the last until its objects are gone: who
//! uploads and gives up, again and again, takes no more of the disk than the account may hold.
//!
//! Rows are locked in one order: the account, then blobs by their keys.

mod holds;
mod ids;
mod sweep;
mod upload;

pub(crate) use holds::{Held, Release, Retain, RetainRefusal};
pub(crate) use ids::{BlobId, UploadId};
pub(crate) use sweep::{ExpireHolds, Forget, MarkUnheld};
pub(crate) use upload::{AdvanceUpload, BeginRefusal, BeginUpload, FinishUpload, UploadRefusal};

use sottovoce_statements::DeviceId;

use super::db::{Conn, sql};
use super::rows::{fixed, from_db, to_db};
use super::{ReadError, Store};
use crate::blobs::StorageKey;

/// A blob that can be read.
#[derive(Clone, Debug)]
pub(crate) struct StoredBlob {
    pub(crate) key: StorageKey,
    /// Bytes of all of it, and of every part but the last.
    pub(crate) size: u64,
    pub(crate) part_len: u64,
}

/// A blob on its way up, or one that is there.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) blob: StoredBlob,
    /// How many bytes of it are durable.
    pub(crate) stored: u64,
}

/// What an account may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    pub(crate) bytes: u64,
    pub(crate) blobs: u64,
    pub(crate) uploads: u64,
}

/// Why an account may not hold another blob: it has this many bytes, blobs or uploads at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverQuota(pub(crate) u64);

impl Store {
    /// The upload that the account of `device` began under this id, also when it is finished.
    pub(crate) async fn upload(
        &self,
        device: &DeviceId,
        upload: &UploadId,
        now_ms: u64,
    ) -> Result<Option<Upload>, ReadError> {
        let row: Option<(Vec<u8>, i64, i64, i64)> = sql(
            "SELECT blobs.key, blobs.size, blobs.part_len, blobs.stored FROM devices \
             JOIN blob_holds ON blob_holds.account = devices.account \
             JOIN blobs ON blobs.key = blob_holds.blob \
             WHERE devices.id = $1 AND blob_holds.upload_hash = $2 AND blob_holds.expires_at_ms > $3",
        )
        .bind(device)
        .bind(upload.hash())
        .bind(to_db(now_ms))
        .fetch_optional(&mut self.read().await?.conn())
        .await?;
        row.map(|(key, size, part_len, stored)| {
            Ok(Upload {
                blob: stored_blob(&key, size, part_len)?,
                stored: from_db(stored),
            })
        })
        .transpose()
    }

    /// The blob with this id, as long as somebody holds it.
    pub(crate) async fn blob(&self, id: &BlobId, now_ms: u64) -> Result<Option<StoredBlob>, ReadError> {
        let row: Option<(Vec<u8>, i64, i64)> = sql(
            "SELECT key, size, part_len FROM blobs WHERE id_hash = $1 AND unheld = 0 AND EXISTS \
             (SELECT 1 FROM blob_holds WHERE blob = blobs.key AND expires_at_ms > $2)",
        )
        .bind(id.hash())
        .bind(to_db(now_ms))
        .fetch_optional(&mut self.read().await?.conn())
        .await?;
        row.map(|(key, size, part_len)| Ok(stored_blob(&key, size, part_len)?))
            .transpose()
    }
}

fn stored_blob(key: &[u8], size: i64, part_len: i64) -> Result<StoredBlob, sqlx::Error> {
    Ok(StoredBlob {
        key: StorageKey(fixed(key)?),
        size: from_db(size),
        part_len: from_db(part_len),
    })
}

/// The account of a device, locked; none if it is gone.
async fn lock_account(conn: &mut Conn<'_>, device: &DeviceId) -> Result<Option<i64>, sqlx::Error> {
    let lock = conn.lock_rows();
    let row: Option<(i64,)> = sql(format!(
        "SELECT id FROM accounts WHERE gone = 0 AND id = \
         (SELECT account FROM devices WHERE id = $1 AND gone = 0){lock}"
    ))
    .bind(device)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|(account,)| account))
}

/// Checks that an account has room for one more blob, of `size` bytes. Bytes count as long as they are in the
/// storage, whether or not they can still be read.
async fn check_quota(
    conn: &mut Conn<'_>,
    account: i64,
    size: u64,
    quota: &Quota,
    now_ms: u64,
) -> Result<Result<(), OverQuota>, sqlx::Error> {
    let (blobs, held, uploads): (i64, i64, i64) =
        sql("SELECT COUNT(CASE WHEN expires_at_ms > $2 THEN 1 END), \
         CAST(COALESCE(SUM(size), 0) AS BIGINT), COUNT(CASE WHEN expires_at_ms > $2 THEN keep_for_ms END) \
         FROM blob_holds WHERE account = $1")
        .bind(account)
        .bind(to_db(now_ms))
        .fetch_one(conn)
        .await?;
    let (given_up,): (i64,) = sql("SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blobs \
         WHERE unheld = 1 AND last_holder = $1")
    .bind(account)
    .fetch_one(conn)
    .await?;
    let bytes = held.saturating_add(given_up);
    let within = |used: i64, more: u64, limit: u64| {
        let fits = from_db(used).saturating_add(more) <= limit;
        if fits { Ok(()) } else { Err(OverQuota(limit)) }
    };
    Ok(within(blobs, 1, quota.blobs)
        .and(within(bytes, size, quota.bytes))
        .and(within(uploads, 1, quota.uploads)))
}

/// Marks a blob that nobody holds any more since `account` gave it up, for its objects to be removed.
async fn mark_if_unheld(conn: &mut Conn<'_>, key: &[u8], account: i64) -> Result<(), sqlx::Error> {
    sql("UPDATE blobs SET unheld = 1, last_holder = $2 \
         WHERE key = $1 AND NOT EXISTS (SELECT 1 FROM blob_holds WHERE blob = $1)")
    .bind(key)
    .bind(account)
    .execute(conn)
    .await?;
    Ok(())
}
