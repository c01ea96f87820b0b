//! Hints between the nodes that share a database: who should look, whose stream is over.
//!
//! ```text
//!   commit ─▶ hub ─▶ streams of this node
//!              └──▶ outbox ─▶ NATS ─▶ hubs of the other nodes
//!
//!   every few seconds: the database ─▶ watch ─▶ streams that missed a hint
//! ```
//!
//! A hint holds nothing that has to arrive. One that is lost delays what it was about until the next watch
//! ([`crate::watch`]); only messages that are never stored are lost with it, as they may be.

mod nats;
mod wire;

use sottovoce_proto::v1::{Envelope, ErrorReason, PrekeysLow};
use sottovoce_statements::DeviceId;
use tokio::sync::mpsc;

pub(crate) use nats::Nats;
pub use nats::{NatsUrl, NatsUrlError};

/// Hints that wait to be sent. Beyond these they are lost.
const OUTBOX: usize = 4096;

/// What one node tells the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Hint {
    /// There may be something in the mailbox, or less than there was.
    Look(DeviceId),
    /// The device may not listen any more.
    End(DeviceId, ErrorReason),
    /// The device has opened a stream; older ones are over.
    Opened(DeviceId, i64),
    /// A message that is never stored.
    Ephemeral(DeviceId, Envelope),
    /// One-time prekeys of the device are running out.
    PrekeysLow(DeviceId, PrekeysLow),
    /// Some of the device's access tokens are void.
    TokensVoid(DeviceId),
}

/// Where hints go that are for other nodes.
#[derive(Clone, Debug)]
pub(crate) struct Outbox(Option<mpsc::Sender<Hint>>);

impl Outbox {
    /// For a server that is alone.
    pub(crate) fn nowhere() -> Self {
        Self(None)
    }

    /// Hints put in come out at the other end.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Hint>) {
        let (sender, receiver) = mpsc::channel(OUTBOX);
        (Self(Some(sender)), receiver)
    }

    pub(crate) fn put(&self, hint: impl FnOnce() -> Hint) {
        if let Some(sender) = &self.0 {
            // Full: the watch makes up for it.
            let _ = sender.try_send(hint());
        }
    }
}
