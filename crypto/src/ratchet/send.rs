//! The moves of sending: beginning, going on with a chain, and turning the ratchet over to a new one.

use rand_core::CryptoRng;
use sottovoce_statements::{MlKemKey, X25519Key};

use crate::chain::{ChainKey, MessageKey};
use crate::error::EncryptError;
use crate::primitives::dh::{SharedSecret, X25519KeyPair};
use crate::primitives::kem::{KemKeyPair, encapsulate};
use crate::ratchet::root::KemExchange;
use crate::ratchet::{
    Healing, KemPart, Ratchet, RatchetHeader, RootKey, SendingChain, SendingKem, Turn, agree,
};
use crate::suite::Suite;

impl Ratchet {
    /// The initiator's ratchet: the responder's signed prekey serves as its first ratchet key (Double
    /// Ratchet section 7.1). `None` if that key contributes nothing.
    pub(crate) fn initiate<R: CryptoRng + ?Sized>(
        rng: &mut R,
        now_ms: u64,
        suite: Suite,
        root_key: &RootKey,
        their_prekey: &X25519Key,
    ) -> Option<Self> {
        let ours = X25519KeyPair::generate(rng);
        let (root_key, chain_key) = root_key.step(suite, &agree(&ours, their_prekey)?);
        let sending = SendingChain::new(ours, chain_key, 0, None);
        Some(Self {
            root_key,
            turn: Turn::Opening { sending },
            healing: Healing::begin(suite, now_ms).map(Healing::stepped),
        })
    }

    /// Header and key of the next message to send. Makes a new ratchet key if theirs is the newest.
    pub(crate) fn send<R: CryptoRng + ?Sized>(
        &mut self,
        rng: &mut R,
        now_ms: u64,
    ) -> Result<(RatchetHeader, MessageKey), EncryptError> {
        let suite = self.suite();
        match &mut self.turn {
            Turn::Opening { sending } | Turn::Leading { sending, .. } => {
                sending.advance().ok_or(EncryptError::Exhausted)
            }
            Turn::Following {
                receiving,
                previous,
                offer,
            } => {
                let ours = X25519KeyPair::generate(rng);
                let shared = agree(&ours, &receiving.theirs).ok_or(EncryptError::Exhausted)?;
                let begun = begin_chain(
                    rng,
                    now_ms,
                    suite,
                    &self.root_key,
                    &shared,
                    offer.as_ref(),
                    self.healing,
                );
                let mut sending = SendingChain::new(ours, begun.chain_key, *previous, begun.kem);
                let first = sending.advance().ok_or(EncryptError::Exhausted)?;
                let receiving = receiving.clone();
                self.root_key = begun.root_key;
                self.healing = begun.healing;
                self.turn = Turn::Leading { sending, receiving };
                Ok(first)
            }
        }
    }

    /// What every message of the chain we send on carries, if anything.
    pub(crate) fn sending_kem(&self) -> Option<KemPart> {
        match &self.turn {
            Turn::Opening { sending } | Turn::Leading { sending, .. } => {
                sending.kem.as_ref().map(SendingKem::part)
            }
            Turn::Following { .. } => None,
        }
    }
}

/// What a chain of ours begins with.
struct Begun {
    root_key: RootKey,
    chain_key: ChainKey,
    kem: Option<SendingKem>,
    healing: Option<Healing>,
}

/// The Diffie-Hellman step of sending: an offer is answered, and if none is and it is time, one is made.
fn begin_chain<R: CryptoRng + ?Sized>(
    rng: &mut R,
    now_ms: u64,
    suite: Suite,
    root_key: &RootKey,
    shared: &SharedSecret,
    offer: Option<&MlKemKey>,
    healing: Option<Healing>,
) -> Begun {
    if let Some(key) = offer {
        let (ciphertext, secret) = encapsulate(rng, key);
        let exchange = KemExchange {
            shared: secret,
            key,
            ciphertext: &ciphertext,
        };
        let (root_key, chain_key) = root_key.step_with_kem(suite, shared, &exchange);
        return Begun {
            root_key,
            chain_key,
            kem: Some(SendingKem::Answer(ciphertext)),
            healing: Some(Healing::exchanged(now_ms)),
        };
    }
    let (root_key, chain_key) = root_key.step(suite, shared);
    let healing = healing.map(Healing::stepped);
    let due = healing.is_some_and(|healing| healing.is_due(now_ms));
    Begun {
        root_key,
        chain_key,
        kem: due.then(|| SendingKem::Offer(KemKeyPair::generate(rng))),
        healing,
    }
}
