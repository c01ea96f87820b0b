//! A blob on its way up.

use sottovoce_statements::DeviceId;

use super::{OverQuota, Quota, UploadId, check_quota, lock_account, mark_if_unheld};
use crate::blobs::StorageKey;
use crate::store::db::{Conn, sql};
use crate::store::rows::{fixed, from_db, to_db};
use crate::store::{Tx, Write, WriteError};

/// Reserves room for a blob, or finds the upload that this is a repeat of.
pub(crate) struct BeginUpload {
    pub(crate) device: DeviceId,
    pub(crate) upload: UploadId,
    /// For a new upload: names its objects.
    pub(crate) key: StorageKey,
    pub(crate) size: u64,
    pub(crate) part_len: u64,
    pub(crate) keep_for_ms: u64,
    pub(crate) now_ms: u64,
    /// When the upload is given up.
    pub(crate) expires_at_ms: u64,
    pub(crate) quota: Quota,
}

/// Where an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) stored: u64,
    pub(crate) part_len: u64,
}

/// Why an upload was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeginRefusal {
    /// The calling account is gone.
    AccountGone,
    /// The id is that of an upload of another size.
    OtherSize,
    OverQuota(OverQuota),
}

impl Write for BeginUpload {
    type Output = Begun;
    type Refusal = BeginRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Begun, WriteError<BeginRefusal>> {
        let conn = &mut tx.conn;
        let account = lock_account(conn, &self.device)
            .await?
            .ok_or(WriteError::Refused(BeginRefusal::AccountGone))?;
        if let Some(begun) = self.find(conn, account).await? {
            return Ok(begun);
        }
        check_quota(conn, account, self.size, &self.quota, self.now_ms)
            .await?
            .map_err(|over| WriteError::Refused(BeginRefusal::OverQuota(over)))?;
        sql("INSERT INTO blobs (key, size, part_len) VALUES ($1, $2, $3)")
            .bind(self.key.0)
            .bind(to_db(self.size))
            .bind(to_db(self.part_len))
            .execute(conn)
            .await?;
        sql(
            "INSERT INTO blob_holds (blob, account, size, expires_at_ms, upload_hash, keep_for_ms) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(self.key.0)
        .bind(account)
        .bind(to_db(self.size))
        .bind(to_db(self.expires_at_ms))
        .bind(self.upload.hash())
        .bind(to_db(self.keep_for_ms))
        .execute(conn)
        .await?;
        Ok(Begun {
            stored: 0,
            part_len: self.part_len,
        })
    }
}

impl BeginUpload {
    /// The upload with this id. One whose time is over, and that no sweep has met yet, gives its id up.
    async fn find(
        &self,
        conn: &mut Conn<'_>,
        account: i64,
    ) -> Result<Option<Begun>, WriteError<BeginRefusal>> {
        let row: Option<(Vec<u8>, i64, i64, i64, i64)> = sql(
            "SELECT blobs.key, blobs.size, blobs.part_len, blobs.stored, blob_holds.expires_at_ms \
             FROM blob_holds JOIN blobs ON blobs.key = blob_holds.blob \
             WHERE blob_holds.account = $1 AND blob_holds.upload_hash = $2",
        )
        .bind(account)
        .bind(self.upload.hash())
        .fetch_optional(conn)
        .await?;
        let Some((key, size, part_len, stored, expires_at_ms)) = row else {
            return Ok(None);
        };
        if from_db(expires_at_ms) <= self.now_ms {
            let lock = conn.lock_rows();
            let _: Option<(i64,)> = sql(format!("SELECT size FROM blobs WHERE key = $1{lock}"))
                .bind(key.as_slice())
                .fetch_optional(conn)
                .await?;
            sql("DELETE FROM blob_holds WHERE blob = $1 AND account = $2")
                .bind(key.as_slice())
                .bind(account)
                .execute(conn)
                .await?;
            mark_if_unheld(conn, &key, account).await?;
            return Ok(None);
        }
        if from_db(size) != self.size {
            return Err(WriteError::Refused(BeginRefusal::OtherSize));
        }
        Ok(Some(Begun {
            stored: from_db(stored),
            part_len: from_db(part_len),
        }))
    }
}

/// Counts a part as stored, after its object is.
pub(crate) struct AdvanceUpload {
    pub(crate) key: StorageKey,
    /// Where the part begins and ends.
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Why an upload does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadRefusal {
    /// There is no such upload.
    Unknown,
    /// It is at another place.
    At(u64),
}

impl Write for AdvanceUpload {
    /// How much is stored now.
    type Output = u64;
    type Refusal = UploadRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, WriteError<UploadRefusal>> {
        let conn = &mut tx.conn;
        let advanced = sql(
            "UPDATE blobs SET stored = $3 WHERE key = $1 AND stored = $2 AND id_hash IS NULL AND unheld = 0",
        )
        .bind(self.key.0)
        .bind(to_db(self.from))
        .bind(to_db(self.to))
        .execute(conn)
        .await?;
        if advanced == 1 {
            return Ok(self.to);
        }
        let row: Option<(i64,)> = sql("SELECT stored FROM blobs WHERE key = $1 AND unheld = 0")
            .bind(self.key.0)
            .fetch_optional(conn)
            .await?;
        match row.map(|(stored,)| from_db(stored)) {
            None => Err(WriteError::Refused(UploadRefusal::Unknown)),
            // The same part came twice at one time.
            Some(stored) if stored >= self.to => Ok(stored),
            Some(stored) => Err(WriteError::Refused(UploadRefusal::At(stored))),
        }
    }
}

/// Makes an upload that is complete readable.
pub(crate) struct FinishUpload {
    pub(crate) device: DeviceId,
    pub(crate) upload: UploadId,
    pub(crate) now_ms: u64,
}

impl Write for FinishUpload {
    /// The key the blob's id is made with, and until when the blob is held.
    type Output = (StorageKey, u64);
    type Refusal = UploadRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output, WriteError<UploadRefusal>> {
        let conn = &mut tx.conn;
        let unknown = WriteError::Refused(UploadRefusal::Unknown);
        let account = lock_account(conn, &self.device).await?.ok_or(unknown)?;
        // Until this is through, no sweep ends the hold that is found next.
        let lock = conn.lock_rows();
        let _: Option<(i64,)> = sql(format!(
            "SELECT stored FROM blobs WHERE key = \
             (SELECT blob FROM blob_holds WHERE account = $1 AND upload_hash = $2){lock}"
        ))
        .bind(account)
        .bind(self.upload.hash())
        .fetch_optional(conn)
        .await?;
        let row: Option<HeldUpload> = sql(
            "SELECT blobs.key, blobs.size, blobs.stored, blob_holds.expires_at_ms, blob_holds.keep_for_ms \
             FROM blob_holds JOIN blobs ON blobs.key = blob_holds.blob \
             WHERE blob_holds.account = $1 AND blob_holds.upload_hash = $2 AND blob_holds.expires_at_ms > $3",
        )
        .bind(account)
        .bind(self.upload.hash())
        .bind(to_db(self.now_ms))
        .fetch_optional(conn)
        .await?;
        let (key, size, stored, expires_at_ms, keep_for_ms) = row.ok_or(unknown)?;
        let key = StorageKey(fixed(&key)?);
        let Some(keep_for_ms) = keep_for_ms else {
            return Ok((key, from_db(expires_at_ms)));
        };
        if stored != size {
            return Err(WriteError::Refused(UploadRefusal::At(from_db(stored))));
        }
        let id = self.upload.blob_id(key).ok_or(WriteError::Failed)?;
        let expires_at_ms = self.now_ms.saturating_add(from_db(keep_for_ms));
        sql("UPDATE blobs SET id_hash = $2 WHERE key = $1")
            .bind(key.0)
            .bind(id.hash())
            .execute(conn)
            .await?;
        sql("UPDATE blob_holds SET keep_for_ms = NULL, expires_at_ms = $3 WHERE blob = $1 AND account = $2")
            .bind(key.0)
            .bind(account)
            .bind(to_db(expires_at_ms))
            .execute(conn)
            .await?;
        Ok((key, expires_at_ms))
    }
}

/// Key, size and stored bytes of a blob; expiry and, until it is finished, duration of its hold.
type HeldUpload = (Vec<u8>, i64, i64, i64, Option<i64>);
