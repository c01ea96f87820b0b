//! Deleting the envelopes whose time has passed: they count in their mailboxes until then.

use std::convert::Infallible;

use sottovoce_statements::DeviceId;

use super::db::sql;
use super::mailbox;
use super::rows::{fixed, to_db};
use super::writer::{Tx, Write, WriteError};

/// Envelopes deleted in one change.
const EXPIRE_BATCH: i64 = 500;

/// Deletes one batch of what has expired.
pub(crate) struct ExpireEnvelopes {
    pub(crate) now_ms: u64,
}

impl Write for ExpireEnvelopes {
    /// Whether there may be more.
    type Output = bool;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Infallible>> {
        let expired: Vec<(Vec<u8>, Vec<u8>)> =
            sql("SELECT device, id FROM envelopes WHERE expires_at_ms <= $1 ORDER BY device LIMIT $2")
                .bind(to_db(self.now_ms))
                .bind(EXPIRE_BATCH)
                .fetch_all(&mut tx.conn)
                .await?;
        let more = expired.len() as i64 == EXPIRE_BATCH;
        let mut ids = Vec::with_capacity(expired.len());
        for (device, id) in expired {
            ids.push((DeviceId::from_bytes(fixed(&device)?), fixed(&id)?));
        }
        mailbox::remove(ids, tx).await?;
        Ok(more)
    }
}
