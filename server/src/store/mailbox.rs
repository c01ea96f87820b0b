//! Mailboxes: what was sent and not yet acknowledged, one queue per device.

use sottovoce_statements::{Address, DeviceId};
use sqlx::{SqliteConnection, query, query_as};

use super::accounts::load_devices;
use super::rows::{fixed, from_db, id, to_db};
use super::writer::{Tx, Write, WriteError};
use super::{ReadError, Store};

/// Puts one ciphertext into each of these mailboxes, or into none.
pub(crate) struct Deposit {
    /// `name@server`.
    pub(crate) sender: String,
    pub(crate) sender_device: DeviceId,
    pub(crate) recipient: Address,
    pub(crate) client_message_id: [u8; 16],
    /// SHA-256 of the request in its one canonical form.
    pub(crate) request_digest: [u8; 32],
    pub(crate) letters: Vec<Letter>,
    pub(crate) receipt_id: [u8; 16],
    pub(crate) now_ms: u64,
    pub(crate) max_messages: u64,
    pub(crate) max_bytes: u64,
    pub(crate) max_receipts: u64,
}

/// A ciphertext for one device.
pub(crate) struct Letter {
    pub(crate) device: DeviceId,
    pub(crate) envelope_id: [u8; 16],
    pub(crate) ciphertext: Vec<u8>,
}

/// The server's word that it has a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) receipt_id: [u8; 16],
    pub(crate) accepted_at_ms: u64,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DepositRefusal {
    MessageIdConflict,
    AccountUnknown,
    DevicesMismatch {
        missing: Vec<DeviceId>,
        extra: Vec<DeviceId>,
    },
    MailboxFull,
    /// As many answers are remembered for the sending device as may be.
    ReceiptsFull {
        limit: u64,
    },
}

/// Deletes envelopes from the mailbox of one device.
pub(crate) struct Acknowledge {
    pub(crate) device: DeviceId,
    pub(crate) envelopes: Vec<[u8; 16]>,
}

/// A message as it waits in a mailbox.
pub(crate) struct StoredEnvelope {
    /// Its place in the order of delivery. Never leaves the server.
    pub(crate) sequence: i64,
    pub(crate) id: Vec<u8>,
    pub(crate) sender: String,
    pub(crate) sender_device: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) received_at_ms: u64,
}

impl Write for Deposit {
    type Output = Receipt;
    type Refusal = DepositRefusal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Receipt, WriteError<DepositRefusal>> {
        if let Some((digest, receipt)) = self.earlier(tx.conn).await? {
            return if digest == self.request_digest {
                Ok(receipt)
            } else {
                Err(WriteError::Refused(DepositRefusal::MessageIdConflict))
            };
        }
        self.check_receipts(tx.conn).await?;
        self.check_devices(tx.conn).await?;
        for letter in &self.letters {
            self.put(tx.conn, letter).await?;
        }
        query(
            "INSERT INTO receipts (sender_device, client_message_id, request_digest, receipt_id, \
             accepted_at_ms) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(id(&self.sender_device))
        .bind(self.client_message_id.as_slice())
        .bind(self.request_digest.as_slice())
        .bind(self.receipt_id.as_slice())
        .bind(to_db(self.now_ms))
        .execute(&mut *tx.conn)
        .await?;
        self.letters.iter().for_each(|letter| tx.wake(letter.device));
        Ok(Receipt {
            receipt_id: self.receipt_id,
            accepted_at_ms: self.now_ms,
        })
    }
}

impl Deposit {
    /// What was answered to this client message id before, and to which request.
    async fn earlier(&self, conn: &mut SqliteConnection) -> Result<Option<([u8; 32], Receipt)>, sqlx::Error> {
        let row: Option<(Vec<u8>, Vec<u8>, i64)> = query_as(
            "SELECT request_digest, receipt_id, accepted_at_ms FROM receipts \
             WHERE sender_device = ? AND client_message_id = ?",
        )
        .bind(id(&self.sender_device))
        .bind(self.client_message_id.as_slice())
        .fetch_optional(conn)
        .await?;
        row.map(|(digest, receipt_id, accepted_at_ms)| {
            let receipt = Receipt {
                receipt_id: fixed(&receipt_id)?,
                accepted_at_ms: from_db(accepted_at_ms),
            };
            Ok((fixed(&digest)?, receipt))
        })
        .transpose()
    }

    async fn check_receipts(&self, conn: &mut SqliteConnection) -> Result<(), WriteError<DepositRefusal>> {
        let (receipts,): (i64,) = query_as("SELECT receipts FROM devices WHERE id = ?")
            .bind(id(&self.sender_device))
            .fetch_one(conn)
            .await?;
        if receipts < to_db(self.max_receipts) {
            Ok(())
        } else {
            Err(WriteError::Refused(DepositRefusal::ReceiptsFull {
                limit: self.max_receipts,
            }))
        }
    }

    async fn check_devices(&self, conn: &mut SqliteConnection) -> Result<(), WriteError<DepositRefusal>> {
        let Some(mut expected) = load_devices(conn, &self.recipient).await? else {
            return Err(WriteError::Refused(DepositRefusal::AccountUnknown));
        };
        // Only on the sender's own account is the sending device among these.
        expected.retain(|device| *device != self.sender_device);
        let named = |device: &DeviceId| self.letters.iter().any(|letter| letter.device == *device);
        let missing: Vec<_> = expected.iter().copied().filter(|device| !named(device)).collect();
        let extra: Vec<_> = self
            .letters
            .iter()
            .map(|letter| letter.device)
            .filter(|device| !expected.contains(device))
            .collect();
        if missing.is_empty() && extra.is_empty() {
            Ok(())
        } else {
            Err(WriteError::Refused(DepositRefusal::DevicesMismatch {
                missing,
                extra,
            }))
        }
    }

    async fn put(
        &self,
        conn: &mut SqliteConnection,
        letter: &Letter,
    ) -> Result<(), WriteError<DepositRefusal>> {
        let size = to_db(letter.ciphertext.len() as u64);
        let room = query(
            "UPDATE devices SET mailbox_messages = mailbox_messages + 1, mailbox_bytes = mailbox_bytes + ?1 \
             WHERE id = ?2 AND mailbox_messages < ?3 AND mailbox_bytes + ?1 <= ?4",
        )
        .bind(size)
        .bind(id(&letter.device))
        .bind(to_db(self.max_messages))
        .bind(to_db(self.max_bytes))
        .execute(&mut *conn)
        .await?;
        if room.rows_affected() == 0 {
            return Err(WriteError::Refused(DepositRefusal::MailboxFull));
        }
        query(
            "INSERT INTO envelopes (id, device, sender, sender_device, ciphertext, received_at_ms) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(letter.envelope_id.as_slice())
        .bind(id(&letter.device))
        .bind(self.sender.as_str())
        .bind(id(&self.sender_device))
        .bind(letter.ciphertext.as_slice())
        .bind(to_db(self.now_ms))
        .execute(&mut *conn)
        .await?;
        Ok(())
    }
}

impl Write for Acknowledge {
    type Output = ();
    type Refusal = std::convert::Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Self::Refusal>> {
        let mut messages = 0_i64;
        let mut bytes = 0_i64;
        for envelope in &self.envelopes {
            let size: Option<(i64,)> =
                query_as("DELETE FROM envelopes WHERE id = ? AND device = ? RETURNING LENGTH(ciphertext)")
                    .bind(envelope.as_slice())
                    .bind(id(&self.device))
                    .fetch_optional(&mut *tx.conn)
                    .await?;
            if let Some((size,)) = size {
                messages = messages.saturating_add(1);
                bytes = bytes.saturating_add(size);
            }
        }
        if messages > 0 {
            query(
                "UPDATE devices SET mailbox_messages = mailbox_messages - ?, \
                 mailbox_bytes = mailbox_bytes - ? WHERE id = ?",
            )
            .bind(messages)
            .bind(bytes)
            .bind(id(&self.device))
            .execute(&mut *tx.conn)
            .await?;
            // The window of a stream that waits for this has room again.
            tx.wake(self.device);
        }
        Ok(())
    }
}

type EnvelopeRow = (i64, Vec<u8>, String, Vec<u8>, Vec<u8>, i64);

impl Store {
    /// The sequence of the newest envelope waiting for a device, 0 when there is none.
    pub(crate) async fn newest_sequence(&self, device: &DeviceId) -> Result<i64, ReadError> {
        let (newest,): (i64,) = query_as("SELECT COALESCE(MAX(sequence), 0) FROM envelopes WHERE device = ?")
            .bind(id(device))
            .fetch_one(&self.readers)
            .await?;
        Ok(newest)
    }

    /// How many envelopes up to `cursor` still wait for their acknowledgement.
    pub(crate) async fn unacknowledged(&self, device: &DeviceId, cursor: i64) -> Result<u64, ReadError> {
        let (count,): (i64,) = query_as("SELECT COUNT(*) FROM envelopes WHERE device = ? AND sequence <= ?")
            .bind(id(device))
            .bind(cursor)
            .fetch_one(&self.readers)
            .await?;
        Ok(from_db(count))
    }

    /// The oldest envelopes of a device after `cursor` and up to `until`.
    pub(crate) async fn envelopes(
        &self,
        device: &DeviceId,
        cursor: i64,
        until: i64,
        at_most: u64,
    ) -> Result<Vec<StoredEnvelope>, ReadError> {
        let rows: Vec<EnvelopeRow> = query_as(
            "SELECT sequence, id, sender, sender_device, ciphertext, received_at_ms FROM envelopes \
             WHERE device = ? AND sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?",
        )
        .bind(id(device))
        .bind(cursor)
        .bind(until)
        .bind(to_db(at_most))
        .fetch_all(&self.readers)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| StoredEnvelope {
                sequence: row.0,
                id: row.1,
                sender: row.2,
                sender_device: row.3,
                ciphertext: row.4,
                received_at_ms: from_db(row.5),
            })
            .collect())
    }
}
