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

use std::sync::Arc;

use sottovoce_proto::v1::{Envelope, ErrorReason, PrekeysLow};
use sottovoce_statements::DeviceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};

pub(crate) use nats::Nats;
pub use nats::{NatsUrl, NatsUrlError};

/// Hints that wait to be sent. Beyond these they are lost.
const OUTBOX: usize = 4096;

/// Bytes of messages among them that are never stored. Beyond these they are lost.
const OUTBOX_LEN: usize = 4 * 1024 * 1024;

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
pub(crate) struct Outbox(Option<Sending>);

#[derive(Clone, Debug)]
struct Sending {
    hints: mpsc::Sender<Outgoing>,
    room: Arc<Semaphore>,
}

/// A hint on its way, with the room it takes until it is sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) hint: Hint,
    room: Option<OwnedSemaphorePermit>,
}

/// The other end of an outbox.
pub(crate) type Outgoings = mpsc::Receiver<Outgoing>;

impl Outbox {
    /// For a server that is alone.
    pub(crate) fn nowhere() -> Self {
        Self(None)
    }

    /// Hints put in come out at the other end.
    pub(crate) fn new() -> (Self, Outgoings) {
        let (hints, receiver) = mpsc::channel(OUTBOX);
        let room = Arc::new(Semaphore::new(OUTBOX_LEN));
        (Self(Some(Sending { hints, room })), receiver)
    }

    pub(crate) fn put(&self, hint: impl FnOnce() -> Hint) {
        let Some(sending) = &self.0 else { return };
        let hint = hint();
        let Ok(room) = sending.room_for(&hint) else { return };
        // Full: the watch makes up for it.
        let _ = sending.hints.try_send(Outgoing { hint, room });
    }
}

impl Sending {
    /// Only messages are long.
    fn room_for(&self, hint: &Hint) -> Result<Option<OwnedSemaphorePermit>, TryAcquireError> {
        let Hint::Ephemeral(_, envelope) = hint else {
            return Ok(None);
        };
        let length = u32::try_from(envelope.ciphertext.len()).unwrap_or(u32::MAX);
        self.room.clone().try_acquire_many_owned(length).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

    #[test]
    fn messages_that_nobody_sends_on_take_no_more_room_than_there_is_and_keep_no_hint_out() {
        let (outbox, mut outgoing) = Outbox::new();
        let length = OUTBOX_LEN / 4;
        let message = || {
            Hint::Ephemeral(
                DEVICE,
                Envelope {
                    ciphertext: vec![7; length],
                    ..Envelope::default()
                },
            )
        };
        for _ in 0..100 {
            outbox.put(message);
        }
        outbox.put(|| Hint::Look(DEVICE));
        let mut sent = Vec::new();
        while let Ok(outgoing) = outgoing.try_recv() {
            sent.push(outgoing);
        }
        assert_eq!(sent.len(), 5);
        assert_eq!(sent.last().unwrap().hint, Hint::Look(DEVICE));
        drop(sent);
        outbox.put(message);
        assert_eq!(
            outgoing.try_recv().unwrap().hint,
            message(),
            "there is room again"
        );
    }
}
