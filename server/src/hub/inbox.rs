//! What one stream is told, and where: it takes it when it comes to it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use sottovoce_proto::v1::{Envelope, ErrorReason, PrekeysLow};
use tokio::sync::Notify;

use super::{News, lock};
use crate::limits::MAX_ACKNOWLEDGED;
use crate::store::StoredEnvelope;

/// Envelopes handed to one stream and not yet taken.
const MAX_FRESH: usize = 32;

/// Their bytes, and those of messages that are never stored.
pub(super) const MAX_FRESH_LEN: usize = 256 * 1024;

/// What a stream is told, all that came since it last asked.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// Just committed, in the order of their sequence.
    pub(crate) fresh: VecDeque<StoredEnvelope>,
    /// Never stored: for now or never.
    pub(crate) ephemeral: VecDeque<Envelope>,
    pub(crate) acknowledged: Vec<[u8; 16]>,
    pub(crate) prekeys_low: Option<PrekeysLow>,
    /// The mailbox may hold more than was handed over, or less.
    pub(crate) look: bool,
    held: usize,
}

/// Where it is told.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    inbound: Mutex<Inbound>,
    bell: Notify,
    // Apart, so that a stream that waits for its client hears it too.
    pub(super) end: Mutex<Option<ErrorReason>>,
    end_bell: Notify,
    delivered: AtomicI64,
    stuck: AtomicBool,
}

impl Inbox {
    pub(super) fn put(&self, change: impl FnOnce(&mut Inbound)) {
        change(&mut lock(&self.inbound));
        // Kept until the stream waits next, so none is lost between looking and waiting.
        self.bell.notify_one();
    }

    /// The first reason is the one that counts.
    pub(super) fn end(&self, reason: ErrorReason) {
        lock(&self.end).get_or_insert(reason);
        self.end_bell.notify_one();
    }

    /// What came since this was last asked; waits until there is something.
    pub(super) async fn told(&self) -> Inbound {
        loop {
            let inbound = std::mem::take(&mut *lock(&self.inbound));
            if !inbound.is_empty() {
                return inbound;
            }
            self.bell.notified().await;
        }
    }

    /// Returns when the stream has to end, and why.
    pub(super) async fn ended(&self) -> ErrorReason {
        loop {
            if let Some(reason) = *lock(&self.end) {
                return reason;
            }
            self.end_bell.notified().await;
        }
    }

    /// The sequence of the last envelope delivered, and whether the stream waits for acknowledgements.
    pub(super) fn noted(&self) -> (i64, bool) {
        (
            self.delivered.load(Ordering::Relaxed),
            self.stuck.load(Ordering::Relaxed),
        )
    }

    pub(super) fn note(&self, delivered: i64, stuck: bool) {
        self.delivered.store(delivered, Ordering::Relaxed);
        self.stuck.store(stuck, Ordering::Relaxed);
    }
}

impl Inbound {
    /// What is handed over is bounded: beyond that there is only word that there is more.
    pub(super) fn take_in(&mut self, news: News) {
        match news {
            // The last two are told apart from the rest.
            News::Look(_) | News::TokensVoid(_) | News::End(..) => self.look = true,
            News::Fresh(_, envelope) => {
                if !self.look && self.make_room(envelope.size) {
                    self.fresh.push_back(envelope);
                } else {
                    self.look = true;
                }
            }
            News::Acknowledged(_, ids) if self.acknowledged.len() + ids.len() <= MAX_ACKNOWLEDGED => {
                self.acknowledged.extend(ids);
            }
            News::Acknowledged(..) => self.look = true,
            News::PrekeysLow(_, low) => self.prekeys_low = Some(low),
        }
    }

    pub(super) fn make_room(&mut self, size: usize) -> bool {
        let held = self.held.saturating_add(size);
        let room = held <= MAX_FRESH_LEN && self.fresh.len() + self.ephemeral.len() < MAX_FRESH;
        if room {
            self.held = held;
        }
        room
    }

    fn is_empty(&self) -> bool {
        self.fresh.is_empty()
            && self.ephemeral.is_empty()
            && self.acknowledged.is_empty()
            && self.prekeys_low.is_none()
            && !self.look
    }
}
