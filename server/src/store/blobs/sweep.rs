//! What becomes of blobs that nobody holds: rows are marked, and forgotten once their objects are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use crate::blobs::StorageKey;
use crate::store::db::{Conn, Rows, sql};
use crate::store::rows::{fixed, to_db};
use crate::store::{ReadError, Store, Tx, Write, WriteError};

/// Ends one batch of holds whose time is over.
pub(crate) struct ExpireHolds {
    pub(crate) now_ms: u64,
    pub(crate) at_most: u64,
}

impl Write for ExpireHolds {
    /// How many holds ended.
    type Output = u64;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, WriteError<Infallible>> {
        let conn = &mut tx.conn;
        let expired: Vec<(Vec<u8>,)> =
            sql("SELECT blob FROM blob_holds WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2")
                .bind(to_db(self.now_ms))
                .bind(to_db(self.at_most))
                .fetch_all(conn)
                .await?;
        let keys: BTreeSet<Vec<u8>> = expired.into_iter().map(|(key,)| key).collect();
        if keys.is_empty() {
            return Ok(0);
        }
        let rows = Rows::column(keys);
        let lock = conn.lock_rows();
        let _: Vec<(Vec<u8>,)> = sql(format!(
            "WITH r(key) AS ({{rows}}) SELECT key FROM blobs WHERE key IN (SELECT key FROM r) ORDER BY key{lock}"
        ))
        .rows(rows.clone())
        .fetch_all(conn)
        .await?;
        let ended: Vec<(Vec<u8>, i64)> = sql("WITH r(key) AS ({rows}) DELETE FROM blob_holds \
             WHERE expires_at_ms <= $1 AND blob IN (SELECT key FROM r) RETURNING blob, account")
        .bind(to_db(self.now_ms))
        .rows(rows)
        .fetch_all(conn)
        .await?;
        let count = ended.len() as u64;
        mark_unheld(ended.into_iter().collect(), conn).await?;
        Ok(count)
    }
}

/// Of these blobs, whose rows are locked, marks those that nobody holds. Each comes with an account that did
/// until just now.
async fn mark_unheld(blobs: BTreeMap<Vec<u8>, i64>, conn: &mut Conn<'_>) -> Result<(), sqlx::Error> {
    let mut rows = Rows::default();
    for (key, account) in blobs {
        rows.push([key.into(), account.into()]);
    }
    if !rows.is_empty() {
        sql(
            "WITH r(key, account) AS ({rows}) UPDATE blobs SET unheld = 1, last_holder = r.account FROM r \
             WHERE blobs.key = r.key AND NOT EXISTS (SELECT 1 FROM blob_holds WHERE blob = blobs.key)",
        )
        .rows(rows)
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Marks, among the next blobs by their keys, those whose holds went with their account.
pub(crate) struct MarkUnheld {
    pub(crate) after: Option<StorageKey>,
    /// How many blobs to look at.
    pub(crate) at_most: u64,
}

/// How far [`MarkUnheld`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    /// The last blob looked at; `None` when there are no more.
    pub(crate) last: Option<StorageKey>,
    pub(crate) count: u64,
}

impl Write for MarkUnheld {
    type Output = Marked;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Marked, WriteError<Infallible>> {
        let conn = &mut tx.conn;
        let after = self.after.map(|key| key.0.to_vec()).unwrap_or_default();
        let keys: Vec<(Vec<u8>,)> = sql("SELECT key FROM blobs WHERE key > $1 ORDER BY key LIMIT $2")
            .bind(after.as_slice())
            .bind(to_db(self.at_most))
            .fetch_all(conn)
            .await?;
        let Some((last,)) = keys.last() else {
            return Ok(Marked { last: None, count: 0 });
        };
        let key = StorageKey(fixed(last)?);
        // Locked before they are judged: somebody may be taking hold of one just now, by the hold of an
        // account that is gone since.
        let lock = conn.lock_rows();
        let candidates: Vec<(Vec<u8>,)> = sql(format!(
            "SELECT key FROM blobs WHERE key > $1 AND key <= $2 AND unheld = 0 \
             AND NOT EXISTS (SELECT 1 FROM blob_holds WHERE blob = blobs.key) ORDER BY key{lock}"
        ))
        .bind(after)
        .bind(last.as_slice())
        .fetch_all(conn)
        .await?;
        let mut count = 0;
        if !candidates.is_empty() {
            count = sql(
                "WITH r(key) AS ({rows}) UPDATE blobs SET unheld = 1 WHERE key IN (SELECT key FROM r) \
                 AND NOT EXISTS (SELECT 1 FROM blob_holds WHERE blob = blobs.key)",
            )
            .rows(Rows::column(candidates.into_iter().map(|(key,)| key)))
            .execute(conn)
            .await?;
        }
        Ok(Marked {
            last: Some(key),
            count,
        })
    }
}

/// Forgets blobs whose objects are gone.
pub(crate) struct Forget {
    pub(crate) keys: Vec<StorageKey>,
}

impl Write for Forget {
    type Output = ();
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Infallible>> {
        if !self.keys.is_empty() {
            sql("WITH r(key) AS ({rows}) DELETE FROM blobs WHERE unheld = 1 AND key IN (SELECT key FROM r)")
                .rows(Rows::column(self.keys.iter().map(|key| key.0)))
                .execute(&mut tx.conn)
                .await?;
        }
        Ok(())
    }
}

impl Store {
    /// The random id of this database, by which its storage is told from another's.
    pub(crate) async fn storage_owner(&self) -> Result<[u8; 16], ReadError> {
        let (owner,): (Vec<u8>,) = sql("SELECT owner FROM blob_storage")
            .fetch_one(&mut self.read().await?.conn())
            .await?;
        Ok(fixed(&owner)?)
    }

    /// Some of the blobs whose objects are to be removed, by their keys.
    pub(crate) async fn unheld(
        &self,
        after: Option<StorageKey>,
        at_most: u64,
    ) -> Result<Vec<StorageKey>, ReadError> {
        let after = after.map(|key| key.0.to_vec()).unwrap_or_default();
        let keys: Vec<(Vec<u8>,)> =
            sql("SELECT key FROM blobs WHERE unheld = 1 AND key > $1 ORDER BY key LIMIT $2")
                .bind(after)
                .bind(to_db(at_most))
                .fetch_all(&mut self.read().await?.conn())
                .await?;
        keys.into_iter()
            .map(|(key,)| Ok(StorageKey(fixed(&key)?)))
            .collect()
    }

    /// Those of these keys that no blob has.
    pub(crate) async fn without_blob(&self, keys: &[StorageKey]) -> Result<Vec<StorageKey>, ReadError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let known: Vec<(Vec<u8>,)> =
            sql("WITH r(key) AS ({rows}) SELECT blobs.key FROM blobs WHERE key IN (SELECT key FROM r)")
                .rows(Rows::column(keys.iter().map(|key| key.0)))
                .fetch_all(&mut self.read().await?.conn())
                .await?;
        let known: BTreeSet<_> = known
            .iter()
            .filter_map(|(key,)| StorageKey::from_slice(key))
            .collect();
        Ok(keys.iter().filter(|key| !known.contains(key)).copied().collect())
    }
}
