//! Forgetting what has had its time: receipts and expired tokens.

use sqlx::query;

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

impl Write for Sweep {
    /// Whether there may be more.
    type Output = bool;
    type Refusal = std::convert::Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Self::Refusal>> {
        let receipts = query(
            "DELETE FROM receipts WHERE (sender_device, client_message_id) IN \
             (SELECT sender_device, client_message_id FROM receipts WHERE accepted_at_ms < ? LIMIT ?)",
        )
        .bind(to_db(self.receipts_before_ms))
        .bind(SWEEP_BATCH)
        .execute(&mut *tx.conn)
        .await?;
        let tokens = query(
            "DELETE FROM access_tokens WHERE hash IN \
             (SELECT hash FROM access_tokens WHERE expires_at_ms <= ? LIMIT ?)",
        )
        .bind(to_db(self.now_ms))
        .bind(SWEEP_BATCH)
        .execute(&mut *tx.conn)
        .await?;
        let full = |rows: u64| to_db(rows) >= SWEEP_BATCH;
        Ok(full(receipts.rows_affected()) || full(tokens.rows_affected()))
    }
}
