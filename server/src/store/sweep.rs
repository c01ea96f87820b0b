//! Forgetting what has had its time: receipts and expired tokens.

use std::collections::BTreeMap;

use super::db::{Conn, Rows, sql};

use super::rows::to_db;
use super::writer::{Tx, Write, WriteError};

/// Rows deleted in one change: a sweep never holds up the senders behind it for long.
const SWEEP_BATCH: i64 = 1_000;

/// Deletes one batch of what has had its time.
pub(crate) struct Sweep {
    /// Receipts accepted before this go, Unix time in milliseconds.
    pub(crate) receipts_before_ms: u64,
    pub(crate) now_ms: u64,
}

/// What one batch of a job dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) items: u64,
    /// Whether there may be more.
    pub(crate) more: bool,
}

impl Batch {
    /// Of as many rows from each of several tables, at most `bound` from one.
    pub(crate) fn of(rows: &[u64], bound: i64) -> Self {
        Self {
            items: rows.iter().sum(),
            more: rows.iter().any(|rows| to_db(*rows) >= bound),
        }
    }
}

impl Write for Sweep {
    type Output = Batch;
    type Refusal = std::convert::Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Batch, WriteError<Self::Refusal>> {
        let receipts: Vec<(Vec<u8>, Option<i64>)> =
            sql("DELETE FROM receipts WHERE (scope, client_message_id) IN \
             (SELECT scope, client_message_id FROM receipts WHERE accepted_at_ms < $1 LIMIT $2) \
             RETURNING scope, account")
            .bind(to_db(self.receipts_before_ms))
            .bind(SWEEP_BATCH)
            .fetch_all(&mut tx.conn)
            .await?;
        forget(&mut tx.conn, &receipts).await?;
        let tokens = sql("DELETE FROM access_tokens WHERE hash IN \
             (SELECT hash FROM access_tokens WHERE expires_at_ms <= $1 LIMIT $2)")
        .bind(to_db(self.now_ms))
        .bind(SWEEP_BATCH)
        .execute(&mut tx.conn)
        .await?;
        Ok(Batch::of(&[receipts.len() as u64, tokens], SWEEP_BATCH))
    }
}

/// Takes receipts that are gone out of the counts they were in.
async fn forget(conn: &mut Conn<'_>, receipts: &[(Vec<u8>, Option<i64>)]) -> Result<(), sqlx::Error> {
    let mut by_device: BTreeMap<&[u8], i64> = BTreeMap::new();
    let mut by_account: BTreeMap<i64, i64> = BTreeMap::new();
    for (scope, account) in receipts {
        match account {
            Some(account) => *by_account.entry(*account).or_default() += 1,
            None => *by_device.entry(scope).or_default() += 1,
        }
    }
    let mut devices = Rows::default();
    by_device
        .into_iter()
        .for_each(|(device, count)| devices.push([device.into(), count.into()]));
    if !devices.is_empty() {
        sql(
            "WITH r(device, count) AS ({rows}) UPDATE devices SET receipts = receipts - r.count \
             FROM r WHERE devices.id = r.device",
        )
        .rows(devices)
        .execute(conn)
        .await?;
    }
    let mut accounts = Rows::default();
    by_account
        .into_iter()
        .for_each(|(account, count)| accounts.push([account.into(), count.into()]));
    if !accounts.is_empty() {
        sql("WITH r(account, count) AS ({rows}) UPDATE accounts SET sealed_receipts = sealed_receipts - r.count \
             FROM r WHERE accounts.id = r.account")
            .rows(accounts)
            .execute(conn)
            .await?;
    }
    Ok(())
}
