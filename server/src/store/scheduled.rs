//! Messages that are to be delivered later: they wait apart, and get their place in the order of delivery
//! when their time has come.

use std::collections::BTreeMap;
use std::convert::Infallible;

use sottovoce_statements::DeviceId;

use super::db::{Conn, Rows, sql};
use super::rows::{fixed, to_db};
use super::writer::{Tx, Write, WriteError};

/// Messages released in one change.
const RELEASE_BATCH: i64 = 256;

/// Puts what is due into the mailboxes.
pub(crate) struct ReleaseScheduled {
    pub(crate) now_ms: u64,
}

/// Takes back what one request scheduled.
pub(crate) struct CancelScheduled {
    pub(crate) sender_device: DeviceId,
    pub(crate) client_message_id: [u8; 16],
}

type ScheduledRow = (
    Vec<u8>,
    Vec<u8>,
    Option<String>,
    Option<Vec<u8>>,
    Vec<u8>,
    i64,
    Option<i64>,
);

impl Write for ReleaseScheduled {
    /// Whether there may be more.
    type Output = bool;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Infallible>> {
        let due: Vec<(Vec<u8>,)> =
            sql("SELECT id FROM scheduled WHERE due_ms <= $1 ORDER BY due_ms LIMIT $2")
                .bind(to_db(self.now_ms))
                .bind(RELEASE_BATCH)
                .fetch_all(&mut tx.conn)
                .await?;
        if due.is_empty() {
            return Ok(false);
        }
        let more = due.len() as i64 == RELEASE_BATCH;
        let ids = Rows::column(due.into_iter().map(|(id,)| id));
        // Another node may have been here first: what is taken out here is released here.
        let mut released: Vec<ScheduledRow> = sql(
            "WITH r(id) AS ({rows}) DELETE FROM scheduled WHERE id IN (SELECT id FROM r) RETURNING id, device, \
             sender, sender_device, ciphertext, received_at_ms, expires_at_ms",
        )
        .rows(ids)
        .fetch_all(&mut tx.conn)
        .await?;
        // By device, and in the order in which they were sent.
        released.sort_by(|a, b| (&a.1, a.5).cmp(&(&b.1, b.5)));
        self.put(released, tx).await?;
        Ok(more)
    }
}

impl ReleaseScheduled {
    async fn put(&self, released: Vec<ScheduledRow>, tx: &mut Tx<'_>) -> Result<(), WriteError<Infallible>> {
        let mut counts: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        for row in &released {
            *counts.entry(row.1.clone()).or_default() += 1;
        }
        let mut last = BTreeMap::new();
        for (device, count) in &counts {
            let (until,): (i64,) = sql(
                "UPDATE devices SET last_sequence = last_sequence + $1 WHERE id = $2 RETURNING last_sequence",
            )
            .bind(*count)
            .bind(device.as_slice())
            .fetch_one(&mut tx.conn)
            .await?;
            last.insert(device.clone(), until - count);
        }
        let mut envelopes = Rows::default();
        for (id, device, sender, sender_device, ciphertext, received_at_ms, expires_at_ms) in released {
            let Some(sequence) = last.get_mut(&device) else {
                continue;
            };
            *sequence += 1;
            let size = to_db(ciphertext.len() as u64);
            tx.wake(DeviceId::from_bytes(fixed(&device)?));
            envelopes.push([
                device.into(),
                (*sequence).into(),
                id.into(),
                sender.into(),
                sender_device.into(),
                ciphertext.into(),
                size.into(),
                received_at_ms.into(),
                expires_at_ms.into(),
            ]);
        }
        if !envelopes.is_empty() {
            sql(
                "INSERT INTO envelopes (device, sequence, id, sender, sender_device, ciphertext, size, \
                 received_at_ms, expires_at_ms) {rows}",
            )
            .rows(envelopes)
            .execute(&mut tx.conn)
            .await?;
        }
        Ok(())
    }
}

impl Write for CancelScheduled {
    /// Whether something of it was waiting still.
    type Output = bool;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Infallible>> {
        let cancelled: Vec<(Vec<u8>, Vec<u8>)> = sql(
            "DELETE FROM scheduled WHERE sender_device = $1 AND client_message_id = $2 \
             RETURNING device, ciphertext",
        )
        .bind(self.sender_device)
        .bind(self.client_message_id)
        .fetch_all(&mut tx.conn)
        .await?;
        for (device, ciphertext) in &cancelled {
            uncount(&mut tx.conn, device, ciphertext.len()).await?;
        }
        Ok(!cancelled.is_empty())
    }
}

async fn uncount(conn: &mut Conn<'_>, device: &[u8], size: usize) -> Result<(), sqlx::Error> {
    sql(
        "UPDATE devices SET mailbox_messages = mailbox_messages - 1, mailbox_bytes = mailbox_bytes - $1 \
         WHERE id = $2",
    )
    .bind(to_db(size as u64))
    .bind(device)
    .execute(conn)
    .await?;
    Ok(())
}
