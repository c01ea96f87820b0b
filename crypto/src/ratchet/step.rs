//! The moves of the ratchet. Sending moves it at once; receiving yields a ratchet that has moved, and
//! the old one stays until the message has authenticated.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use sottovoce_statements::X25519Key;

use crate::error::EncryptError;
use crate::primitives::dh::{SharedSecret, X25519KeyPair};
use crate::ratchet::{
    MAX_FORWARD_JUMP, MessageKey, Ratchet, RatchetHeader, ReceivingChain, RootKey, SendingChain, SkippedKey,
    Turn,
};
use crate::suite::Suite;

/// What receiving a message would come to, if it authenticates under `key`.
pub(crate) struct Received {
    pub(crate) ratchet: Ratchet,
    pub(crate) key: MessageKey,
    pub(crate) skipped: Vec<SkippedKey>,
}

impl Ratchet {
    /// The initiator's ratchet: the responder's signed prekey serves as its first ratchet key (Double
    /// Ratchet section 7.1). `None` if that key contributes nothing.
    pub(crate) fn initiate<R: CryptoRng + ?Sized>(
        rng: &mut R,
        suite: Suite,
        root_key: &RootKey,
        their_prekey: &X25519Key,
    ) -> Option<Self> {
        let ours = X25519KeyPair::generate(rng);
        let (root_key, chain_key) = root_key.step(suite, &ours.secret().diffie_hellman(their_prekey)?);
        let sending = SendingChain::new(ours, chain_key, 0);
        Some(Self {
            suite,
            root_key,
            turn: Turn::Opening { sending },
        })
    }

    /// The responder's ratchet, as the first message with `header` would leave it.
    pub(crate) fn respond(
        suite: Suite,
        root_key: &RootKey,
        our_prekey: &X25519KeyPair,
        header: &RatchetHeader,
    ) -> Option<Received> {
        turn_over(suite, root_key, our_prekey, 0, None, header)
    }

    /// Header and key of the next message to send. Makes a new ratchet key if theirs is the newest.
    pub(crate) fn send<R: CryptoRng + ?Sized>(
        &mut self,
        rng: &mut R,
    ) -> Result<(RatchetHeader, MessageKey), EncryptError> {
        match &mut self.turn {
            Turn::Opening { sending } | Turn::Leading { sending, .. } => {
                sending.advance().ok_or(EncryptError::Exhausted)
            }
            Turn::Following { receiving, previous } => {
                let ours = X25519KeyPair::generate(rng);
                let shared = agree(&ours, &receiving.theirs).ok_or(EncryptError::Exhausted)?;
                let (root_key, chain_key) = self.root_key.step(self.suite, &shared);
                let mut sending = SendingChain::new(ours, chain_key, *previous);
                let first = sending.advance().ok_or(EncryptError::Exhausted)?;
                let receiving = receiving.clone();
                self.root_key = root_key;
                self.turn = Turn::Leading { sending, receiving };
                Ok(first)
            }
        }
    }

    /// Whether `key` is the one their current chain is under.
    pub(crate) fn receives_under(&self, key: &X25519Key) -> bool {
        match &self.turn {
            Turn::Opening { .. } => false,
            Turn::Leading { receiving, .. } | Turn::Following { receiving, .. } => receiving.theirs == *key,
        }
    }

    /// What a message with `header` would come to, or `None` if it cannot be one of theirs.
    pub(crate) fn receive(&self, header: &RatchetHeader) -> Option<Received> {
        match &self.turn {
            Turn::Opening { sending } => self.turn_over(sending, None, header),
            Turn::Leading { sending, receiving } if receiving.theirs != header.ratchet_key => {
                self.turn_over(sending, Some(receiving), header)
            }
            Turn::Leading { sending, receiving } => self.stay(receiving, header, |receiving| Turn::Leading {
                sending: sending.clone(),
                receiving,
            }),
            Turn::Following { receiving, previous } if receiving.theirs == header.ratchet_key => {
                self.stay(receiving, header, |receiving| Turn::Following {
                    receiving,
                    previous: *previous,
                })
            }
            // They make a new key only after one of ours, and we have made none since their last.
            Turn::Following { .. } => None,
        }
    }

    /// A message on the chain we are receiving on.
    fn stay(
        &self,
        receiving: &ReceivingChain,
        header: &RatchetHeader,
        turn: impl FnOnce(ReceivingChain) -> Turn,
    ) -> Option<Received> {
        let jump = receiving.jump_to(header.number, MAX_FORWARD_JUMP)?;
        let mut skipped = with_room_for(jump);
        let mut receiving = receiving.clone();
        receiving.skip_to(header.number, &mut skipped);
        let key = receiving.advance(header.number)?;
        let ratchet = Self {
            suite: self.suite,
            root_key: self.root_key.clone(),
            turn: turn(receiving),
        };
        Some(Received {
            ratchet,
            key,
            skipped,
        })
    }

    /// A message under a new key of theirs, which answers ours.
    fn turn_over(
        &self,
        sending: &SendingChain,
        ended: Option<&ReceivingChain>,
        header: &RatchetHeader,
    ) -> Option<Received> {
        turn_over(
            self.suite,
            &self.root_key,
            &sending.ours,
            sending.next,
            ended,
            header,
        )
    }
}

/// The Diffie-Hellman step of receiving: what is left of the chain that ended is kept as skipped keys,
/// and a new chain begins.
fn turn_over(
    suite: Suite,
    root_key: &RootKey,
    ours: &X25519KeyPair,
    sent: u32,
    ended: Option<&ReceivingChain>,
    header: &RatchetHeader,
) -> Option<Received> {
    let left = match ended {
        Some(chain) => chain.jump_to(header.previous, MAX_FORWARD_JUMP)?,
        None => 0,
    };
    let jump = left.checked_add(header.number)?;
    if jump > MAX_FORWARD_JUMP {
        return None;
    }
    let shared = agree(ours, &header.ratchet_key)?;

    let mut skipped = with_room_for(jump);
    if let Some(mut chain) = ended.cloned() {
        chain.skip_to(header.previous, &mut skipped);
    }
    let (root_key, chain_key) = root_key.step(suite, &shared);
    let mut receiving = ReceivingChain::new(header.ratchet_key, chain_key);
    receiving.skip_to(header.number, &mut skipped);
    let key = receiving.advance(header.number)?;
    let turn = Turn::Following {
        receiving,
        previous: sent,
    };
    let ratchet = Ratchet {
        suite,
        root_key,
        turn,
    };
    Some(Received {
        ratchet,
        key,
        skipped,
    })
}

/// Diffie-Hellman of ratchet keys. `None` if theirs contributes nothing, or is ours come back to us: the
/// two directions never share a key.
fn agree(ours: &X25519KeyPair, theirs: &X25519Key) -> Option<SharedSecret> {
    if ours.public() == theirs {
        return None;
    }
    ours.secret().diffie_hellman(theirs)
}

fn with_room_for(jump: u32) -> Vec<SkippedKey> {
    Vec::with_capacity(usize::try_from(jump).unwrap_or_default())
}
