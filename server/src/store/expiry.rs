//! Deleting the envelopes whose time has passed: they count in their mailboxes until then.

use std::convert::Infallible;

use sottovoce_statements::DeviceId;

use super::db::sql;
use super::mailbox;
use super::rows::{fixed, to_db};
use super::scheduled::hold_mailboxes;
use super::sweep::Batch;
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};

/// Envelopes deleted in one change.
const EXPIRE_BATCH: i64 = 500;

/// Deletes one batch of what has expired.
pub(crate) struct ExpireEnvelopes {
    pub(crate) now_ms: u64,
}

impl Write for ExpireEnvelopes {
    type Output = Batch;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Batch, WriteError<Infallible>> {
        let expired: Vec<(Vec<u8>, Vec<u8>)> =
            sql("SELECT device, id FROM envelopes WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2")
                .bind(to_db(self.now_ms))
                .bind(EXPIRE_BATCH)
                .fetch_all(&mut tx.conn)
                .await?;
        let batch = Batch::of(&[expired.len() as u64], EXPIRE_BATCH);
        // Who acknowledges holds the mailbox before it deletes, too.
        let devices = expired.iter().map(|(device, _)| device.clone()).collect();
        hold_mailboxes(devices, &mut tx.conn).await?;
        let mut ids = Vec::with_capacity(expired.len());
        for (device, id) in expired {
            ids.push((DeviceId::from_bytes(fixed(&device)?), fixed(&id)?));
        }
        mailbox::remove(ids, tx).await?;
        Ok(batch)
    }
}

impl Store {
    /// Whether an envelope has expired. Asked before the writer is: mostly there is none.
    pub(crate) async fn has_expired(&self, now_ms: u64) -> Result<bool, ReadError> {
        let row: Option<(i64,)> =
            sql("SELECT expires_at_ms FROM envelopes WHERE expires_at_ms <= $1 LIMIT 1")
                .bind(to_db(now_ms))
                .fetch_optional(&mut self.read().await?.conn())
                .await?;
        Ok(row.is_some())
    }
}
