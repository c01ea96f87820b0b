//! Who keeps a blob, and until when.

use sottovoce_statements::DeviceId;

use super::{BlobId, OverQuota, Quota, UploadId, check_quota, lock_account, mark_if_unheld};
use crate::store::db::{Conn, sql};
use crate::store::rows::{from_db, to_db};
use crate::store::{Tx, Write, WriteError};

/// Keeps a blob for the calling account too. What it holds already it holds for longer, never shorter.
pub(crate) struct Retain {
    pub(crate) device: DeviceId,
    pub(crate) id: BlobId,
    pub(crate) now_ms: u64,
    pub(crate) until_ms: u64,
    pub(crate) quota: Quota,
}

/// Why a blob was not retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetainRefusal {
    /// There is no such blob, or nobody holds it any more.
    Unknown,
    OverQuota(OverQuota),
}

impl Write for Retain {
    /// Until when the account holds it, Unix time in milliseconds.
    type Output = u64;
    type Refusal = RetainRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, WriteError<RetainRefusal>> {
        let conn = &mut tx.conn;
        let unknown = WriteError::Refused(RetainRefusal::Unknown);
        let account = lock_account(conn, &self.device).await?.ok_or(unknown)?;
        let lock = conn.lock_rows();
        let row: Option<(Vec<u8>, i64)> = sql(format!(
            "SELECT key, size FROM blobs WHERE id_hash = $1 AND unheld = 0{lock}"
        ))
        .bind(self.id.hash())
        .fetch_optional(conn)
        .await?;
        let (key, size) = row.ok_or(unknown)?;
        let holds: Vec<(i64, i64)> = sql(
            "SELECT account, expires_at_ms FROM blob_holds WHERE blob = $1 AND expires_at_ms > $2 \
                 ORDER BY CASE WHEN account = $3 THEN 0 ELSE 1 END LIMIT 1",
        )
        .bind(key.as_slice())
        .bind(to_db(self.now_ms))
        .bind(account)
        .fetch_all(conn)
        .await?;
        let (holder, held_until) = holds.first().ok_or(unknown)?;
        let until_ms = if *holder == account {
            from_db(*held_until).max(self.until_ms)
        } else {
            check_quota(conn, account, from_db(size), &self.quota, self.now_ms)
                .await?
                .map_err(|over| WriteError::Refused(RetainRefusal::OverQuota(over)))?;
            self.until_ms
        };
        sql(
            "INSERT INTO blob_holds (blob, account, size, expires_at_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (blob, account) DO UPDATE SET expires_at_ms = excluded.expires_at_ms",
        )
        .bind(key)
        .bind(account)
        .bind(size)
        .bind(to_db(until_ms))
        .execute(conn)
        .await?;
        Ok(until_ms)
    }
}

/// What an account gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Held {
    Blob(BlobId),
    /// An upload, finished or not.
    Upload(UploadId),
}

/// Gives up the calling account's hold. Without one it changes nothing.
pub(crate) struct Release {
    pub(crate) device: DeviceId,
    pub(crate) held: Held,
}

impl Write for Release {
    type Output = ();
    type Refusal = std::convert::Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Self::Refusal>> {
        let conn = &mut tx.conn;
        let Some(account) = lock_account(conn, &self.device).await? else {
            return Ok(());
        };
        let Some(key) = self.lock_blob(conn, account).await? else {
            return Ok(());
        };
        sql("DELETE FROM blob_holds WHERE blob = $1 AND account = $2")
            .bind(key.as_slice())
            .bind(account)
            .execute(conn)
            .await?;
        mark_if_unheld(conn, &key, account).await?;
        Ok(())
    }
}

impl Release {
    async fn lock_blob(&self, conn: &mut Conn<'_>, account: i64) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let lock = conn.lock_rows();
        let query = match &self.held {
            Held::Blob(id) => sql(format!("SELECT key FROM blobs WHERE id_hash = $1{lock}")).bind(id.hash()),
            Held::Upload(upload) => sql(format!(
                "SELECT key FROM blobs WHERE key = \
                 (SELECT blob FROM blob_holds WHERE upload_hash = $1 AND account = $2){lock}"
            ))
            .bind(upload.hash())
            .bind(account),
        };
        let row: Option<(Vec<u8>,)> = query.fetch_optional(conn).await?;
        Ok(row.map(|(key,)| key))
    }
}
