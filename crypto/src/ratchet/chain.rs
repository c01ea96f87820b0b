//! The two chains of a session: what we send with, and what we receive with.

use alloc::vec::Vec;

use sottovoce_statements::X25519Key;

use crate::chain::{ChainKey, MessageKey};
use crate::primitives::dh::X25519KeyPair;
use crate::ratchet::{RatchetHeader, SendingKem};
use crate::secret::redacted_debug;
use crate::session::SkippedKeyId;

/// Our side of one Diffie-Hellman step: our ratchet key, and the chain we send on under it.
#[derive(Clone)]
pub(crate) struct SendingChain {
    pub(crate) ours: X25519KeyPair,
    pub(crate) key: ChainKey,
    /// Number of the next message.
    pub(crate) next: u32,
    /// How many messages the chain before this one carried.
    pub(crate) previous: u32,
    /// What goes with every message, if the chain offers a KEM key or answers one.
    pub(crate) kem: Option<SendingKem>,
}

impl SendingChain {
    pub(crate) fn new(ours: X25519KeyPair, key: ChainKey, previous: u32, kem: Option<SendingKem>) -> Self {
        Self {
            ours,
            key,
            next: 0,
            previous,
            kem,
        }
    }

    /// Header and key of the next message, or `None` when the numbers have run out.
    pub(crate) fn advance(&mut self) -> Option<(RatchetHeader, MessageKey)> {
        let following = self.next.checked_add(1)?;
        let header = RatchetHeader {
            ratchet_key: *self.ours.public(),
            previous: self.previous,
            number: self.next,
        };
        let (message_key, chain_key) = self.key.step();
        self.key = chain_key;
        self.next = following;
        Some((header, message_key))
    }
}

redacted_debug!(SendingChain);

/// Their side of one Diffie-Hellman step: their ratchet key, and the chain we receive on under it.
#[derive(Clone)]
pub(crate) struct ReceivingChain {
    pub(crate) theirs: X25519Key,
    pub(crate) key: ChainKey,
    /// Number of the next message expected.
    pub(crate) next: u32,
}

impl ReceivingChain {
    pub(crate) fn new(theirs: X25519Key, key: ChainKey) -> Self {
        Self { theirs, key, next: 0 }
    }

    /// How many messages lie between here and `number`, or `None` if they are more than `limit`.
    pub(crate) fn jump_to(&self, number: u32, limit: u32) -> Option<u32> {
        let jump = number.saturating_sub(self.next);
        (jump <= limit).then_some(jump)
    }

    /// Moves on to `number`, keeping the keys of the messages in between. A number already passed
    /// leaves the chain where it is.
    pub(crate) fn skip_to(&mut self, number: u32, skipped: &mut Vec<(SkippedKeyId, MessageKey)>) {
        while self.next < number {
            let (message_key, chain_key) = self.key.step();
            let id = SkippedKeyId {
                ratchet_key: self.theirs,
                number: self.next,
            };
            skipped.push((id, message_key));
            self.key = chain_key;
            self.next += 1;
        }
    }

    /// The key of message `number`, if that is the next one.
    pub(crate) fn advance(&mut self, number: u32) -> Option<MessageKey> {
        let following = self.next.checked_add(1)?;
        if number != self.next {
            return None;
        }
        let (message_key, chain_key) = self.key.step();
        self.key = chain_key;
        self.next = following;
        Some(message_key)
    }
}

redacted_debug!(ReceivingChain);
