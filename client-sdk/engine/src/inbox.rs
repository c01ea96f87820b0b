//! Envelopes that have come but cannot be opened yet, and the ids of those that have been dealt with.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_proto::v1::AcknowledgeRequest;

use crate::arrived::Arrived;
use crate::records::{RecordError, id16, pack, unpack};
use crate::turn::Turn;

/// Envelope ids remembered. A server redelivers only what it has not been told to delete, which is never
/// more than its window; this is many times the largest.
const SEEN_REMEMBERED: u64 = 4_096;

/// Most envelopes waiting in memory, twice a server's window. They are unacknowledged, so dropping one
/// loses nothing: it comes again with the next connection.
const WAITING_LIMIT: usize = 256;

/// Most envelopes waiting for one account key to be accepted. Well below a server's window, so that an
/// address with a changed key holds up nobody else's messages.
const HELD_LIMIT: usize = 32;

/// Longest ciphertext that is looked at, in bytes: what a server takes (`proto/PROTOCOL.md`).
pub(crate) const MAX_CIPHERTEXT_LEN: usize = 128 * 1024;

/// Envelopes acknowledged in one call: what a server takes.
const ACKNOWLEDGED_AT_ONCE: usize = 256;

/// Most acknowledgements waiting for their call. One left out is made when the envelope comes again.
const ACKNOWLEDGEMENTS_LIMIT: usize = 4_096;

/// Most events the app may leave unacknowledged before deliveries wait.
pub(crate) const UNACKNOWLEDGED_LIMIT: usize = 4_096;

/// Where an envelope comes from, by the server's word or its own: an address and a device id. Envelopes of one
/// source stay in order.
pub(crate) type Source = (Address, DeviceId);

#[derive(Default)]
pub(crate) struct Inbox {
    /// Envelope id by the slot it is recorded in.
    slots: BTreeMap<u64, [u8; 16]>,
    seen: BTreeMap<[u8; 16], u64>,
    waiting: VecDeque<(Source, Arrived)>,
    /// Dealt with, and not yet acknowledged to the server.
    to_acknowledge: BTreeSet<[u8; 16]>,
    /// In the call that is under way, if one is.
    acknowledging: Vec<[u8; 16]>,
    /// Whether the last call failed: the next chance is the next tick.
    acknowledging_paused: bool,
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

    /// Whether anything waits from this address.
    pub(crate) fn waits_for(&self, sender: &Address) -> bool {
        self.waiting.iter().any(|(source, _)| source.0 == *sender)
    }

    /// Whether anything waits from this very device, and must be opened first.
    pub(crate) fn waits_from(&self, source: &Source) -> bool {
        self.waiting.iter().any(|(from, _)| from == source)
    }

    /// Whether as many wait from this address as may while its account key is not accepted.
    pub(crate) fn is_full_of(&self, sender: &Address) -> bool {
        self.waiting
            .iter()
            .filter(|(source, _)| source.0 == *sender)
            .count()
            >= HELD_LIMIT
    }

    pub(crate) fn wait(&mut self, source: Source, arrived: Arrived) {
        if self.waiting.len() < WAITING_LIMIT {
            self.waiting.push_back((source, arrived));
        }
    }

    /// Everything that waits, for another try; what still cannot be opened is given back to
    /// [`wait`](Self::wait).
    pub(crate) fn take_waiting(&mut self) -> VecDeque<(Source, Arrived)> {
        std::mem::take(&mut self.waiting)
    }

    /// The connection is gone: everything unacknowledged comes again.
    pub(crate) fn disconnected(&mut self) {
        self.waiting.clear();
        self.to_acknowledge.clear();
        self.acknowledging.clear();
        self.acknowledging_paused = false;
    }

    pub(crate) fn acknowledge(&mut self, id: [u8; 16]) {
        if self.to_acknowledge.len() < ACKNOWLEDGEMENTS_LIMIT {
            self.to_acknowledge.insert(id);
        }
    }

    /// What to acknowledge now; one call at a time, so that a fast server cannot make many.
    pub(crate) fn next_acknowledgement(&mut self) -> Option<AcknowledgeRequest> {
        let nothing_to_do = self.to_acknowledge.is_empty() || !self.acknowledging.is_empty();
        if self.acknowledging_paused || nothing_to_do {
            return None;
        }
        while self.acknowledging.len() < ACKNOWLEDGED_AT_ONCE {
            let Some(id) = self.to_acknowledge.pop_first() else {
                break;
            };
            self.acknowledging.push(id);
        }
        let envelope_ids = self.acknowledging.iter().map(|id| id.to_vec()).collect();
        Some(AcknowledgeRequest { envelope_ids })
    }

    /// The call was answered; what was not taken is acknowledged again at the next chance.
    pub(crate) fn acknowledged(&mut self, taken: bool) {
        let ids = std::mem::take(&mut self.acknowledging);
        if !taken {
            self.to_acknowledge.extend(ids);
            self.acknowledging_paused = true;
        }
    }

    pub(crate) fn resume_acknowledging(&mut self) {
        self.acknowledging_paused = false;
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
