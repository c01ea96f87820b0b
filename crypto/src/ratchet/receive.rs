//! The moves of receiving. They yield what the ratchet would move to; nothing changes until the message has
//! authenticated.

use alloc::vec::Vec;

use sottovoce_statements::{MlKemKey, X25519Key};

use crate::chain::{ChainKey, MAX_FORWARD_JUMP, MessageKey};
use crate::primitives::dh::X25519KeyPair;
use crate::ratchet::root::KemExchange;
use crate::ratchet::{
    Healing, KemPart, Ratchet, RatchetHeader, ReceivingChain, RootKey, SendingKem, Turn, agree,
};
use crate::session::SkippedKeyId;
use crate::suite::Suite;

/// What receiving a message would come to, if it authenticates under `key`.
pub(crate) struct Received {
    pub(crate) key: MessageKey,
    pub(crate) skipped: Vec<(SkippedKeyId, MessageKey)>,
    pub(crate) next: Next,
}

/// What the first message of a chain comes to.
pub(crate) struct TurnedOver {
    pub(crate) key: MessageKey,
    pub(crate) skipped: Vec<(SkippedKeyId, MessageKey)>,
    pub(crate) ratchet: Ratchet,
}

/// What a received message moves.
pub(crate) enum Next {
    /// The chain we receive on.
    Stay(ReceivingChain),
    /// The whole ratchet.
    TurnOver(Ratchet),
}

impl Ratchet {
    /// What the first message with `header` would come to on the responder's side.
    pub(crate) fn respond(
        now_ms: u64,
        suite: Suite,
        root_key: &RootKey,
        our_prekey: &X25519KeyPair,
        header: &RatchetHeader,
    ) -> Option<TurnedOver> {
        let begun = Step {
            root_key,
            suite,
            healing: Healing::begin(suite, now_ms),
            ours: our_prekey,
            kem: None,
            sent: 0,
            ended: None,
        };
        begun.turn_over(now_ms, header, None)
    }

    /// Whether `key` is the one their current chain is under.
    pub(crate) fn receives_under(&self, key: &X25519Key) -> bool {
        match &self.turn {
            Turn::Opening { .. } => false,
            Turn::Leading { receiving, .. } | Turn::Following { receiving, .. } => receiving.theirs == *key,
        }
    }

    /// What a message with `header` would come to, or `None` if it cannot be one of theirs.
    pub(crate) fn receive(
        &self,
        now_ms: u64,
        header: &RatchetHeader,
        kem: Option<&KemPart>,
    ) -> Option<Received> {
        let (sending, ended) = match &self.turn {
            Turn::Leading { receiving, .. } | Turn::Following { receiving, .. }
                if receiving.theirs == header.ratchet_key =>
            {
                return stay(receiving, header);
            }
            Turn::Opening { sending } => (sending, None),
            Turn::Leading { sending, receiving } => (sending, Some(receiving)),
            // They make a new key only after one of ours, and we have made none since their last.
            Turn::Following { .. } => return None,
        };
        let step = Step {
            root_key: &self.root_key,
            suite: self.suite(),
            healing: self.healing,
            ours: &sending.ours,
            kem: sending.kem.as_ref(),
            sent: sending.next,
            ended,
        };
        let turned = step.turn_over(now_ms, header, kem)?;
        Some(Received {
            key: turned.key,
            skipped: turned.skipped,
            next: Next::TurnOver(turned.ratchet),
        })
    }

    /// Moves on, now that the message has authenticated.
    pub(crate) fn commit(&mut self, next: Next) {
        match (next, &mut self.turn) {
            (Next::TurnOver(ratchet), _) => *self = ratchet,
            (Next::Stay(moved), Turn::Leading { receiving, .. } | Turn::Following { receiving, .. }) => {
                *receiving = moved;
            }
            // Nobody stays on a chain that does not exist.
            (Next::Stay(_), Turn::Opening { .. }) => {}
        }
    }
}

/// A message on the chain we are receiving on. Its KEM part, if there is one, was dealt with when the chain
/// began.
fn stay(receiving: &ReceivingChain, header: &RatchetHeader) -> Option<Received> {
    let jump = receiving.jump_to(header.number, MAX_FORWARD_JUMP)?;
    let mut skipped = with_room_for(jump);
    let mut receiving = receiving.clone();
    receiving.skip_to(header.number, &mut skipped);
    let key = receiving.advance(header.number)?;
    Some(Received {
        key,
        skipped,
        next: Next::Stay(receiving),
    })
}

/// Where a chain of theirs would begin: our newest key, and what hangs on it.
struct Step<'a> {
    root_key: &'a RootKey,
    suite: Suite,
    healing: Option<Healing>,
    ours: &'a X25519KeyPair,
    kem: Option<&'a SendingKem>,
    /// How many messages we sent under our key.
    sent: u32,
    /// Their chain before this one.
    ended: Option<&'a ReceivingChain>,
}

impl Step<'_> {
    /// The Diffie-Hellman step of receiving: what is left of the chain that ended is kept as skipped keys,
    /// and a new chain begins.
    fn turn_over(self, now_ms: u64, header: &RatchetHeader, kem: Option<&KemPart>) -> Option<TurnedOver> {
        let left = match self.ended {
            Some(chain) => chain.jump_to(header.previous, MAX_FORWARD_JUMP)?,
            None => 0,
        };
        let jump = left.checked_add(header.number)?;
        if jump > MAX_FORWARD_JUMP {
            return None;
        }
        let (root_key, chain_key, healing, offer) = self.begin_chain(now_ms, header, kem)?;

        let mut skipped = with_room_for(jump);
        if let Some(mut chain) = self.ended.cloned() {
            chain.skip_to(header.previous, &mut skipped);
        }
        let mut receiving = ReceivingChain::new(header.ratchet_key, chain_key);
        receiving.skip_to(header.number, &mut skipped);
        let key = receiving.advance(header.number)?;
        let ratchet = Ratchet {
            root_key,
            turn: Turn::Following {
                receiving,
                previous: self.sent,
                offer,
            },
            healing,
        };
        Some(TurnedOver {
            key,
            skipped,
            ratchet,
        })
    }

    /// What our own chain carried says what theirs must carry: an offer wants its answer, and nothing else
    /// does.
    fn begin_chain(
        &self,
        now_ms: u64,
        header: &RatchetHeader,
        kem: Option<&KemPart>,
    ) -> Option<(RootKey, ChainKey, Option<Healing>, Option<MlKemKey>)> {
        let shared = agree(self.ours, &header.ratchet_key)?;
        match (self.kem, kem) {
            (Some(SendingKem::Offer(pair)), Some(KemPart::Answer(ciphertext))) => {
                let exchange = KemExchange {
                    shared: pair.decapsulate(ciphertext),
                    key: pair.public(),
                    ciphertext,
                };
                let (root_key, chain_key) = self.root_key.step_with_kem(self.suite, &shared, &exchange);
                Some((root_key, chain_key, Some(Healing::exchanged(now_ms)), None))
            }
            (Some(SendingKem::Offer(_)), _) | (_, Some(KemPart::Answer(_))) => None,
            (_, offered) => {
                let offer = match offered {
                    Some(KemPart::Offer(key)) => Some(key.clone()),
                    _ => None,
                };
                let (root_key, chain_key) = self.root_key.step(self.suite, &shared);
                Some((root_key, chain_key, self.healing.map(Healing::stepped), offer))
            }
        }
    }
}

fn with_room_for(jump: u32) -> Vec<(SkippedKeyId, MessageKey)> {
    Vec::with_capacity(usize::try_from(jump).unwrap_or_default())
}
