//! Envelopes that have come but cannot be opened yet, and the ids of those that have been dealt with.

use std::collections::{BTreeMap, VecDeque};

use sottovoce_crypto::statements::Address;
use sottovoce_proto::v1::Envelope;

use crate::records::{RecordError, id16, pack, unpack};
use crate::turn::Turn;

/// Envelope ids remembered. A server redelivers only what it has not been told to delete, which is never
/// more than its window; this is many times the largest.
const SEEN_REMEMBERED: u64 = 4_096;

/// Most envelopes waiting in memory. They are unacknowledged, so dropping one loses nothing: it comes
/// again with the next connection.
const WAITING_LIMIT: usize = 1_024;

/// Most events the app may leave unacknowledged before deliveries wait.
pub(crate) const UNACKNOWLEDGED_LIMIT: usize = 4_096;

#[derive(Default)]
pub(crate) struct Inbox {
    /// Envelope id by the slot it is recorded in.
    slots: BTreeMap<u64, [u8; 16]>,
    seen: BTreeMap<[u8; 16], u64>,
    waiting: VecDeque<(Address, Envelope)>,
}

impl Inbox {
    pub(crate) fn has_seen(&self, id: &[u8; 16]) -> bool {
        self.seen.contains_key(id)
    }

    /// Remembers an envelope as dealt with, in the place of the oldest.
    pub(crate) fn remember(&mut self, id: [u8; 16], turn: &mut Turn<'_>) {
        let slot = turn.counters.seen() % SEEN_REMEMBERED;
        if let Some(oldest) = self.slots.insert(slot, id) {
            self.seen.remove(&oldest);
        }
        self.seen.insert(id, slot);
        turn.put(format!("seen/{slot}"), pack(&[&id]));
    }

    pub(crate) fn waits_for(&self, sender: &Address) -> bool {
        self.waiting.iter().any(|(from, _)| from == sender)
    }

    pub(crate) fn wait(&mut self, sender: Address, envelope: Envelope) {
        if self.waiting.len() < WAITING_LIMIT {
            self.waiting.push_back((sender, envelope));
        }
    }

    /// Everything that waits, for another try; what still cannot be opened is given back to
    /// [`wait`](Self::wait).
    pub(crate) fn take_waiting(&mut self) -> VecDeque<(Address, Envelope)> {
        std::mem::take(&mut self.waiting)
    }

    pub(crate) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn load(&mut self, slot: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let slot = slot.parse().map_err(|_| RecordError)?;
        let fields = unpack(bytes)?;
        let [id] = fields.as_slice() else {
            return Err(RecordError);
        };
        let id = id16(id)?;
        self.slots.insert(slot, id);
        self.seen.insert(id, slot);
        Ok(())
    }
}
