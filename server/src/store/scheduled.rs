//! Messages that are to be delivered later: they wait apart, and get their place in the order of delivery
//! when their time has come.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use sottovoce_statements::DeviceId;

use super::db::{Conn, Rows, sql};
use super::deposit::{self, Deposit, DepositRefusal, Receipt};
use super::rows::{fixed, from_db, to_db};
use super::sweep::Batch;
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};
use crate::limits::SCHEDULED_SHARE;

/// Takes a message that is to be delivered later, if its share of the mailboxes it is for has room.
pub(crate) struct Schedule(pub(crate) Deposit);

/// Messages released in one change.
const RELEASE_BATCH: i64 = 256;

/// Bytes of these, and one message more: they are in memory meanwhile.
const RELEASE_LEN: i64 = 4 * 1024 * 1024;

/// Puts what is due into the mailboxes, in the order of its times; what is due at one time in that in which it
/// was taken.
pub(crate) struct ReleaseScheduled {
    pub(crate) now_ms: u64,
}

/// Takes back what one request scheduled. Said again to who asks again, as long as the request is remembered.
pub(crate) struct CancelScheduled {
    pub(crate) sender_device: DeviceId,
    pub(crate) client_message_id: [u8; 16],
}

impl Write for Schedule {
    type Output = Receipt;
    type Refusal = DepositRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Receipt, WriteError<DepositRefusal>> {
        let Self(deposit) = self;
        let outcome = deposit::apply(&[deposit], &[], tx).await?.pop();
        let receipt = outcome.ok_or(WriteError::Failed)?.map_err(WriteError::Refused)?;
        // A repeat of what was taken before takes no more room. Everything else is counted when it is in, with
        // its mailboxes locked; the refusal takes it out again.
        let is_new = receipt.receipt_id == deposit.receipt_id;
        if is_new && !self.has_room(tx).await? {
            return Err(WriteError::Refused(DepositRefusal::MailboxFull));
        }
        Ok(receipt)
    }
}

impl Schedule {
    /// Whether no mailbox has more scheduled than may be.
    async fn has_room(&self, tx: &mut Tx<'_>) -> Result<bool, sqlx::Error> {
        let Self(deposit) = self;
        let rows: Vec<(i64, i64)> = sql(
            "WITH r(device) AS ({rows}) SELECT COUNT(*), CAST(SUM(LENGTH(ciphertext)) AS BIGINT) \
             FROM scheduled WHERE device IN (SELECT device FROM r) GROUP BY device",
        )
        .rows(Rows::column(deposit.letters.iter().map(|letter| letter.device)))
        .fetch_all(&mut tx.conn)
        .await?;
        let max_messages = deposit.bounds.max_messages.div_ceil(SCHEDULED_SHARE);
        let max_bytes = deposit.bounds.max_bytes.div_ceil(SCHEDULED_SHARE);
        Ok(rows
            .iter()
            .all(|(messages, bytes)| from_db(*messages) <= max_messages && from_db(*bytes) <= max_bytes))
    }
}

/// A message that waits: id, mailbox, sender and its device, ciphertext, when it was taken, when it expires; and
/// when it is due and its number, which say in what order it is delivered.
type ScheduledRow = (
    Vec<u8>,
    Vec<u8>,
    Option<String>,
    Option<Vec<u8>>,
    Vec<u8>,
    i64,
    Option<i64>,
    i64,
    i64,
);

impl Write for ReleaseScheduled {
    type Output = Batch;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Batch, WriteError<Infallible>> {
        let due: Vec<(Vec<u8>, Vec<u8>, i64)> = sql(
            "SELECT id, device, CAST(LENGTH(ciphertext) AS BIGINT) FROM scheduled WHERE due_ms <= $1 \
             AND NOT EXISTS (SELECT 1 FROM devices WHERE devices.id = sender_device AND gone = 1) \
             ORDER BY due_ms, number LIMIT $2",
        )
        .bind(to_db(self.now_ms))
        .bind(RELEASE_BATCH)
        .fetch_all(&mut tx.conn)
        .await?;
        let found = due.len();
        let mut room = RELEASE_LEN;
        let fits = |(_, _, length): &(_, _, i64)| {
            let fits = room > 0;
            room -= length;
            fits
        };
        let (ids, devices): (Vec<_>, BTreeSet<_>) = due
            .into_iter()
            .take_while(fits)
            .map(|(id, device, _)| (id, device))
            .unzip();
        let more = found as i64 == RELEASE_BATCH || ids.len() < found;
        hold_mailboxes(devices, &mut tx.conn).await?;
        // Another node may have been here first, and a sender's device may have gone: what is taken out here
        // is released here.
        let mut released = take_out(ids, &mut tx.conn).await?;
        let items = released.len() as u64;
        released.sort_by(|a, b| (&a.1, a.7, a.8).cmp(&(&b.1, b.7, b.8)));
        put(released, tx).await?;
        Ok(Batch { items, more })
    }
}

async fn take_out(ids: Vec<Vec<u8>>, conn: &mut Conn<'_>) -> Result<Vec<ScheduledRow>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    sql(
        "WITH r(id) AS ({rows}) DELETE FROM scheduled WHERE id IN (SELECT id FROM r) AND NOT EXISTS \
         (SELECT 1 FROM devices WHERE devices.id = sender_device AND gone = 1) RETURNING id, device, \
         sender, sender_device, ciphertext, received_at_ms, expires_at_ms, due_ms, number",
    )
    .rows(Rows::column(ids))
    .fetch_all(conn)
    .await
}

/// Puts messages, those of one mailbox in their order, at the ends of their mailboxes.
async fn put(released: Vec<ScheduledRow>, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
    let mut counts: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for row in &released {
        *counts.entry(row.1.clone()).or_default() += 1;
    }
    let mut last = make_places(counts, &mut tx.conn).await?;
    let mut envelopes = Rows::default();
    for (id, device, sender, sender_device, ciphertext, received_at_ms, expires_at_ms, ..) in released {
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

/// Makes room for so many envelopes at the end of each mailbox, and returns the sequences before it.
async fn make_places(
    counts: BTreeMap<Vec<u8>, i64>,
    conn: &mut Conn<'_>,
) -> Result<BTreeMap<Vec<u8>, i64>, sqlx::Error> {
    let mut rows = Rows::default();
    for (device, count) in &counts {
        rows.push([device.as_slice().into(), (*count).into()]);
    }
    if rows.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ends: Vec<(Vec<u8>, i64)> = sql(
        "WITH r(device, count) AS ({rows}) UPDATE devices SET last_sequence = last_sequence + r.count \
         FROM r WHERE devices.id = r.device RETURNING id, last_sequence",
    )
    .rows(rows)
    .fetch_all(conn)
    .await?;
    Ok(ends
        .into_iter()
        .map(|(device, end)| {
            let count = counts.get(&device).copied().unwrap_or_default();
            (device, end - count)
        })
        .collect())
}

/// In the order in which everybody takes hold of them, and before what is in them.
pub(super) async fn hold_mailboxes(
    devices: BTreeSet<Vec<u8>>,
    conn: &mut Conn<'_>,
) -> Result<(), sqlx::Error> {
    let lock = conn.hold_mailboxes();
    if devices.is_empty() || lock.is_empty() {
        return Ok(());
    }
    let _: Vec<(i64,)> = sql(format!(
        "WITH r(device) AS ({{rows}}) SELECT position FROM devices WHERE id IN (SELECT device FROM r) \
         ORDER BY id{lock}"
    ))
    .rows(Rows::column(devices))
    .fetch_all(conn)
    .await?;
    Ok(())
}

impl Write for CancelScheduled {
    /// Whether something of it was waiting still, or was when it was taken back before.
    type Output = bool;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Infallible>> {
        let waiting: Vec<(Vec<u8>,)> =
            sql("SELECT device FROM scheduled WHERE sender_device = $1 AND client_message_id = $2")
                .bind(self.sender_device)
                .bind(self.client_message_id)
                .fetch_all(&mut tx.conn)
                .await?;
        let devices = waiting.into_iter().map(|(device,)| device).collect();
        hold_mailboxes(devices, &mut tx.conn).await?;
        let cancelled: Vec<(Vec<u8>, i64)> = sql(
            "DELETE FROM scheduled WHERE sender_device = $1 AND client_message_id = $2 \
             RETURNING device, CAST(LENGTH(ciphertext) AS BIGINT)",
        )
        .bind(self.sender_device)
        .bind(self.client_message_id)
        .fetch_all(&mut tx.conn)
        .await?;
        for (device, size) in &cancelled {
            uncount(&mut tx.conn, device, *size).await?;
        }
        if cancelled.is_empty() {
            return self.was_cancelled(&mut tx.conn).await;
        }
        sql("UPDATE receipts SET cancelled = 1 WHERE scope = $1 AND client_message_id = $2")
            .bind(self.sender_device)
            .bind(self.client_message_id)
            .execute(&mut tx.conn)
            .await?;
        Ok(true)
    }
}

impl CancelScheduled {
    async fn was_cancelled(&self, conn: &mut Conn<'_>) -> Result<bool, WriteError<Infallible>> {
        let before: Option<(i64,)> =
            sql("SELECT cancelled FROM receipts WHERE scope = $1 AND client_message_id = $2")
                .bind(self.sender_device)
                .bind(self.client_message_id)
                .fetch_optional(conn)
                .await?;
        Ok(before.is_some_and(|(cancelled,)| cancelled != 0))
    }
}

async fn uncount(conn: &mut Conn<'_>, device: &[u8], size: i64) -> Result<(), sqlx::Error> {
    sql(
        "UPDATE devices SET mailbox_messages = mailbox_messages - 1, mailbox_bytes = mailbox_bytes - $1 \
         WHERE id = $2",
    )
    .bind(size)
    .bind(device)
    .execute(conn)
    .await?;
    Ok(())
}

impl Store {
    /// Whether a message that was scheduled is due. Asked before the writer is: mostly there is none.
    pub(crate) async fn is_due(&self, now_ms: u64) -> Result<bool, ReadError> {
        let row: Option<(i64,)> = sql("SELECT due_ms FROM scheduled WHERE due_ms <= $1 \
             AND NOT EXISTS (SELECT 1 FROM devices WHERE devices.id = sender_device AND gone = 1) LIMIT 1")
        .bind(to_db(now_ms))
        .fetch_optional(&mut self.read().await?.conn())
        .await?;
        Ok(row.is_some())
    }
}
