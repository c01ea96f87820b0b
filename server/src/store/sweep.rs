//! Forgetting what has had its time: receipts, and what signing in leaves behind.

use std::collections::BTreeMap;

use super::db::{Conn, Rows, sql};

use super::rows::to_db;
use super::writer::{Tx, Write, WriteError};

/// Rows deleted in one change: a sweep never holds up the senders behind it for long.
const SWEEP_BATCH: i64 = 1_000;

/// Deletes one batch of receipts.
pub(crate) struct Sweep {
    /// Receipts accepted before this go, Unix time in milliseconds.
    pub(crate) receipts_before_ms: u64,
}

/// Deletes one batch of tokens, sessions, used challenges, linking grants and retired names that have
/// expired, and of the counts of sign-ins of devices that have paused.
pub(crate) struct SweepAccounts {
    /// Counts of devices that did not sign in since go, Unix time in milliseconds.
    pub(crate) sign_ins_before_ms: u64,
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
        Ok(Batch::of(&[receipts.len() as u64], SWEEP_BATCH))
    }
}

impl Write for SweepAccounts {
    type Output = Batch;
    type Refusal = std::convert::Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Batch, WriteError<Self::Refusal>> {
        let mut gone = Vec::new();
        for (text, until_ms) in [
            (
                "DELETE FROM access_tokens WHERE hash IN \
                 (SELECT hash FROM access_tokens WHERE expires_at_ms <= $1 LIMIT $2)",
                self.now_ms,
            ),
            (
                "DELETE FROM sessions WHERE id IN \
                 (SELECT id FROM sessions WHERE refresh_expires_at_ms <= $1 LIMIT $2)",
                self.now_ms,
            ),
            (
                "DELETE FROM used_challenges WHERE nonce IN \
                 (SELECT nonce FROM used_challenges WHERE expires_at_ms <= $1 LIMIT $2)",
                self.now_ms,
            ),
            (
                "DELETE FROM linking_grants WHERE (device, account) IN \
                 (SELECT device, account FROM linking_grants WHERE expires_at_ms <= $1 LIMIT $2)",
                self.now_ms,
            ),
            (
                "DELETE FROM retired_names WHERE hash IN \
                 (SELECT hash FROM retired_names WHERE until_ms <= $1 LIMIT $2)",
                self.now_ms,
            ),
            (
                "DELETE FROM sign_ins WHERE device IN \
                 (SELECT device FROM sign_ins WHERE last_ms <= $1 LIMIT $2)",
                self.sign_ins_before_ms,
            ),
        ] {
            let rows = sql(text)
                .bind(to_db(until_ms))
                .bind(SWEEP_BATCH)
                .execute(&mut tx.conn)
                .await?;
            gone.push(rows);
        }
        Ok(Batch::of(&gone, SWEEP_BATCH))
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
