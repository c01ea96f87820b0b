//! What a set of deposits rests on, read at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sottovoce_statements::DeviceId;

use super::{Deposit, From, Receipt};
use crate::store::db::{Conn, Rows, sql};
use crate::store::rows::{fixed, from_db};

/// An answer that was given: to which request, and what it was.
pub(super) type Answer = ([u8; 32], Receipt);

/// Whether what was read stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nobody else changes a mailbox that was read, until the transaction ends.
    UntilCommitted,
    Not,
}

/// Everything that the deposits of one set are decided by.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By who asked and client message id.
    pub(super) answers: HashMap<(Vec<u8>, [u8; 16]), Answer>,
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) devices: BTreeMap<DeviceId, Device>,
    /// Which deposits were taken, by their place in the set.
    pub(super) taken: Vec<super::decide::Taken>,
    pub(super) decided: usize,
}

/// Of an account that nothing is sent to, the devices that are here need not be all it has.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) id: i64,
    pub(super) access_key_hash: Option<Vec<u8>>,
    pub(super) sealed_receipts: u64,
    pub(super) devices: Vec<DeviceId>,
}

#[derive(Debug)]
pub(super) struct Device {
    pub(super) since_version: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) last_sequence: i64,
    pub(super) receipts: u64,
}

type AnswerRow = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, i64);

type DeviceRow = (
    String,
    i64,
    Option<Vec<u8>>,
    i64,
    Vec<u8>,
    i64,
    i64,
    i64,
    i64,
    i64,
);

impl State {
    /// Reads what `deposits` rest on. The devices of `others` are read, and held, like theirs.
    pub(super) async fn load(
        deposits: &[&Deposit],
        others: impl Iterator<Item = DeviceId>,
        hold: Hold,
        conn: &mut Conn<'_>,
    ) -> Result<Self, sqlx::Error> {
        let mut state = Self::default();
        // First: who waits here for another node's commit sees that node's answers afterwards.
        state.load_devices(deposits, others, hold, conn).await?;
        if !deposits.is_empty() {
            state.load_answers(deposits, conn).await?;
        }
        Ok(state)
    }

    /// The devices that send, all of every recipient, and `others`.
    async fn load_devices(
        &mut self,
        deposits: &[&Deposit],
        others: impl Iterator<Item = DeviceId>,
        hold: Hold,
        conn: &mut Conn<'_>,
    ) -> Result<(), sqlx::Error> {
        let others: BTreeSet<DeviceId> = others.collect();
        let held = match hold {
            Hold::UntilCommitted => conn.hold_mailboxes(),
            Hold::Not => "",
        };
        if deposits.is_empty() && held.is_empty() {
            return Ok(());
        }
        let recipients: BTreeSet<&str> = deposits
            .iter()
            .map(|deposit| deposit.recipient.as_str())
            .collect();
        let senders = deposits.iter().filter_map(|deposit| deposit.sending_device());
        let devices: BTreeSet<DeviceId> = senders.chain(others).collect();
        let mut wanted = Rows::default();
        for recipient in recipients {
            wanted.push([recipient.into(), None::<DeviceId>.into()]);
        }
        for device in devices {
            // No account has this address.
            wanted.push(["".into(), device.into()]);
        }
        // In the order of the devices, as everybody takes hold of them.
        let rows: Vec<DeviceRow> = sql(format!(
            "WITH r(address, device) AS ({{rows}}) SELECT accounts.address, accounts.id, \
             accounts.access_key_hash, accounts.sealed_receipts, devices.id, devices.since_version, \
             devices.mailbox_messages, devices.mailbox_bytes, devices.last_sequence, devices.receipts \
             FROM devices JOIN accounts ON accounts.id = devices.account WHERE devices.id IN \
             (SELECT d.id FROM r JOIN accounts AS a ON a.address = r.address JOIN devices AS d \
             ON d.account = a.id UNION SELECT device FROM r WHERE device IS NOT NULL) AND devices.gone = 0 \
             ORDER BY devices.id{held}"
        ))
        .rows(wanted)
        .fetch_all(conn)
        .await?;
        for row in rows {
            let id = DeviceId::from_bytes(fixed(&row.4)?);
            let account = self.accounts.entry(row.0).or_insert_with(|| Account {
                id: row.1,
                access_key_hash: row.2,
                sealed_receipts: from_db(row.3),
                devices: Vec::new(),
            });
            account.devices.push(id);
            let device = Device {
                since_version: from_db(row.5),
                messages: from_db(row.6),
                bytes: from_db(row.7),
                last_sequence: row.8,
                receipts: from_db(row.9),
            };
            self.devices.insert(id, device);
        }
        Ok(())
    }

    async fn load_answers(&mut self, deposits: &[&Deposit], conn: &mut Conn<'_>) -> Result<(), sqlx::Error> {
        let mut asked = Rows::default();
        for deposit in deposits {
            asked.push([deposit.scope().into(), deposit.client_message_id.into()]);
        }
        let rows: Vec<AnswerRow> = sql(
            "WITH r(scope, client_message_id) AS ({rows}) SELECT receipts.scope, receipts.client_message_id, \
             request_digest, receipt_id, accepted_at_ms FROM r JOIN receipts \
             ON receipts.scope = r.scope AND receipts.client_message_id = r.client_message_id",
        )
        .rows(asked)
        .fetch_all(conn)
        .await?;
        for (scope, client_message_id, digest, receipt_id, accepted_at_ms) in rows {
            let receipt = Receipt {
                receipt_id: fixed(&receipt_id)?,
                accepted_at_ms: from_db(accepted_at_ms),
            };
            self.answers
                .insert((scope, fixed(&client_message_id)?), (fixed(&digest)?, receipt));
        }
        Ok(())
    }
}

impl Deposit {
    fn sending_device(&self) -> Option<DeviceId> {
        match &self.from {
            From::Device { device, .. } => Some(*device),
            From::Sealed { .. } => None,
        }
    }
}
