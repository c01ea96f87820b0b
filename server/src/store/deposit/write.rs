//! What a set of deposits and acknowledgements changes, written at once.

use std::collections::BTreeMap;

use sottovoce_statements::DeviceId;

use super::decide::Taken;
use super::{Deposit, From, Letter};
use crate::hub::News;
use crate::store::db::{Conn, Rows, sql};
use crate::store::mailbox::StoredEnvelope;
use crate::store::rows::to_db;
use crate::store::writer::Tx;

/// How the counts of one device change.
#[derive(Debug, Default)]
struct Change {
    messages: i64,
    bytes: i64,
    sequences: i64,
    receipts: i64,
}

/// Rows of every table that a set of deposits changes, and what was acknowledged beside them.
#[derive(Debug, Default)]
pub(super) struct Changes {
    envelopes: Rows,
    scheduled: Rows,
    receipts: Rows,
    devices: BTreeMap<DeviceId, Change>,
    accounts: BTreeMap<i64, i64>,
}

/// Hands the letters to the streams that are open here, once they are durable.
fn tell(deposit: &Deposit, taken: &Taken, tx: &mut Tx<'_>) {
    let Some(sequences) = &taken.sequences else { return };
    for (letter, sequence) in deposit.letters.iter().zip(sequences) {
        let news = if tx.has_stream(&letter.device) {
            News::Fresh(letter.device, stored(deposit, letter, *sequence))
        } else {
            News::Look(letter.device)
        };
        tx.tell(news);
    }
}

fn stored(deposit: &Deposit, letter: &Letter, sequence: i64) -> StoredEnvelope {
    let (sender, sender_device) = sender(deposit);
    StoredEnvelope {
        sequence,
        id: letter.envelope_id.to_vec(),
        sender,
        sender_device: sender_device.map(|device| device.as_bytes().to_vec()),
        ciphertext: letter.ciphertext.clone(),
        channel: None,
        size: letter.ciphertext.len(),
        received_at_ms: deposit.now_ms,
        expires_at_ms: deposit.expires_at_ms,
    }
}

fn sender(deposit: &Deposit) -> (Option<String>, Option<DeviceId>) {
    match &deposit.from {
        From::Device { address, device } => (Some(address.as_str().to_owned()), Some(*device)),
        From::Sealed { .. } => (None, None),
    }
}

impl Changes {
    /// What was taken changes this. Streams are told of it.
    pub(super) fn of(deposits: &[&Deposit], taken: Vec<Taken>, tx: &mut Tx<'_>) -> Self {
        let mut changes = Self::default();
        for taken in taken {
            if let Some(deposit) = deposits.get(taken.place) {
                changes.add(deposit, &taken);
                tell(deposit, &taken, tx);
            }
        }
        changes
    }

    /// So much is in the mailbox of a device no more.
    pub(super) fn take_out(&mut self, device: DeviceId, messages: i64, bytes: i64) {
        let change = self.devices.entry(device).or_default();
        change.messages -= messages;
        change.bytes -= bytes;
    }

    fn add(&mut self, deposit: &Deposit, taken: &Taken) {
        let (sender, sender_device) = sender(deposit);
        for (place, letter) in deposit.letters.iter().enumerate() {
            let change = self.devices.entry(letter.device).or_default();
            change.messages += 1;
            change.bytes += to_db(letter.ciphertext.len() as u64);
            let sequence = taken
                .sequences
                .as_ref()
                .and_then(|sequences| sequences.get(place));
            match sequence {
                Some(sequence) => {
                    change.sequences += 1;
                    self.envelopes.push([
                        letter.device.into(),
                        (*sequence).into(),
                        letter.envelope_id.into(),
                        sender.clone().into(),
                        sender_device.into(),
                        letter.ciphertext.as_slice().into(),
                        to_db(letter.ciphertext.len() as u64).into(),
                        to_db(deposit.now_ms).into(),
                        deposit.expires_at_ms.map(to_db).into(),
                    ]);
                }
                None => self.scheduled.push([
                    letter.envelope_id.into(),
                    letter.device.into(),
                    sender.clone().into(),
                    sender_device.into(),
                    deposit.client_message_id.into(),
                    letter.ciphertext.as_slice().into(),
                    to_db(deposit.now_ms).into(),
                    deposit.expires_at_ms.map(to_db).into(),
                    to_db(deposit.due_ms.unwrap_or_default()).into(),
                ]),
            }
        }
        match (taken.account, sender_device) {
            (Some(account), _) => *self.accounts.entry(account).or_default() += 1,
            (None, Some(device)) => self.devices.entry(device).or_default().receipts += 1,
            (None, None) => {}
        }
        self.receipts.push([
            deposit.scope().into(),
            deposit.client_message_id.into(),
            deposit.request_digest.into(),
            deposit.receipt_id.into(),
            to_db(deposit.now_ms).into(),
            taken.account.into(),
        ]);
    }

    pub(super) async fn write(self, conn: &mut Conn<'_>) -> Result<(), sqlx::Error> {
        const ENVELOPES: &str = "INSERT INTO envelopes (device, sequence, id, sender, sender_device, \
                                 ciphertext, size, received_at_ms, expires_at_ms) {rows}";
        const SCHEDULED: &str = "INSERT INTO scheduled (id, device, sender, sender_device, \
                                 client_message_id, ciphertext, received_at_ms, expires_at_ms, due_ms) {rows}";
        const RECEIPTS: &str = "INSERT INTO receipts (scope, client_message_id, request_digest, receipt_id, \
                                accepted_at_ms, account) {rows}";
        const DEVICES: &str = "WITH r(device, messages, bytes, sequences, receipts) AS ({rows}) \
                               UPDATE devices SET mailbox_messages = mailbox_messages + r.messages, \
                               mailbox_bytes = mailbox_bytes + r.bytes, \
                               last_sequence = last_sequence + r.sequences, \
                               receipts = devices.receipts + r.receipts FROM r WHERE devices.id = r.device";
        const ACCOUNTS: &str = "WITH r(account, receipts) AS ({rows}) UPDATE accounts \
                                SET sealed_receipts = sealed_receipts + r.receipts FROM r \
                                WHERE accounts.id = r.account";
        let mut devices = Rows::default();
        for (device, change) in self.devices {
            devices.push([
                device.into(),
                change.messages.into(),
                change.bytes.into(),
                change.sequences.into(),
                change.receipts.into(),
            ]);
        }
        let mut accounts = Rows::default();
        for (account, receipts) in self.accounts {
            accounts.push([account.into(), receipts.into()]);
        }
        for (text, rows) in [
            (ENVELOPES, self.envelopes),
            (SCHEDULED, self.scheduled),
            (RECEIPTS, self.receipts),
            (DEVICES, devices),
            (ACCOUNTS, accounts),
        ] {
            if !rows.is_empty() {
                sql(text).rows(rows).execute(conn).await?;
            }
        }
        Ok(())
    }
}
