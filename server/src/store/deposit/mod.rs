//! Putting messages into mailboxes. Senders are many and their messages small, so all that wait for the
//! writer go in together, and what was acknowledged goes out with them: what they rest on is read, and
//! held, at once; each is decided in its turn; and what they change is written at once.
//!
//! ```text
//!   read ─▶ decide, one by one, in memory ─▶ delete what was acknowledged ─▶ write
//! ```

mod decide;
mod read;
mod write;

use std::iter;

use sottovoce_statements::{Address, DeviceId};

use super::Store;
use super::mailbox::{Acknowledge, acknowledged, delete};
use super::posts::drop_delivered;
use super::writer::{Task, Tx, Waiting, WriteError, WriteTogether};
use crate::hub::News;
use read::{Hold, State};
use write::Changes;

/// Puts one ciphertext into each of these mailboxes, or into none.
pub(crate) struct Deposit {
    pub(crate) from: From,
    pub(crate) recipient: Address,
    pub(crate) client_message_id: [u8; 16],
    /// SHA-256 of the request in its one canonical form.
    pub(crate) request_digest: [u8; 32],
    /// The version of the recipient's manifest that the letters were made for, 0 when not said.
    pub(crate) manifest_version: u64,
    pub(crate) letters: Vec<Letter>,
    pub(crate) receipt_id: [u8; 16],
    pub(crate) now_ms: u64,
    pub(crate) expires_at_ms: Option<u64>,
    /// Delivered when that time has come.
    pub(crate) due_ms: Option<u64>,
    pub(crate) bounds: Bounds,
}

/// Who sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// A device that has signed in.
    Device {
        /// `name@server`.
        address: Address,
        device: DeviceId,
    },
    /// Whoever has the recipient's access key.
    Sealed {
        /// The key as presented. Not kept.
        access_key: [u8; 32],
        /// What stands for the key where answers are remembered.
        scope: [u8; 32],
    },
}

/// How much is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
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
    /// No such account, or another access key: which of the two is not said.
    AccessDenied,
    DevicesMismatch(Mismatch),
    MailboxFull,
    /// As many answers are remembered for the sender as may be.
    ReceiptsFull {
        limit: u64,
    },
}

/// How the devices named differ from those there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) missing: Vec<DeviceId>,
    pub(crate) extra: Vec<DeviceId>,
    /// Named, and with another identity key than the manifest said that was encrypted for.
    pub(crate) stale: Vec<DeviceId>,
}

impl WriteTogether for Deposit {
    type Output = Receipt;
    type Refusal = DepositRefusal;

    fn queue(waiting: Waiting<Self>) -> Task {
        Task::Deposit(Box::new(waiting))
    }
}

/// Puts all these messages into their mailboxes, and takes all these out of theirs.
pub(super) async fn apply(
    deposits: &[&Deposit],
    acknowledgements: &[&Acknowledge],
    tx: &mut Tx<'_>,
) -> Result<Vec<Result<Receipt, DepositRefusal>>, sqlx::Error> {
    let acknowledging = acknowledgements.iter().map(|change| change.device);
    let mut state = State::load(deposits, acknowledging, Hold::UntilCommitted, &mut tx.conn).await?;
    let outcomes = deposits.iter().map(|deposit| state.decide(deposit)).collect();
    let mut changes = Changes::of(deposits, state.into_taken(), tx);
    let deleted = delete(acknowledged(acknowledgements), tx).await?;
    for (device, (messages, bytes)) in deleted.counts {
        changes.take_out(device, messages, bytes);
    }
    changes.write(&mut tx.conn).await?;
    drop_delivered(deleted.posts, &mut tx.conn).await?;
    for change in acknowledgements {
        // The window of a stream that waits for this has room again.
        tx.tell(News::Acknowledged(change.device, change.envelopes.clone()));
    }
    Ok(outcomes)
}

impl Deposit {
    /// Under which name its answer is remembered.
    fn scope(&self) -> &[u8] {
        match &self.from {
            From::Device { device, .. } => device.as_bytes(),
            From::Sealed { scope, .. } => scope,
        }
    }
}

impl Store {
    /// Whether the message would be taken, and the receipt it would get. Nothing is kept of it.
    pub(crate) async fn would_take(&self, deposit: &Deposit) -> Result<Receipt, WriteError<DepositRefusal>> {
        let mut reader = self.read().await?;
        let mut state = State::load(&[deposit], iter::empty(), Hold::Not, &mut reader.conn()).await?;
        state.decide(deposit).map_err(WriteError::Refused)
    }
}
