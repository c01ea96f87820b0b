//! When the ratchet exchanges a KEM secret, and what a chain carries for it.
//!
//! A chain begun when an exchange is due *offers*: all its messages carry a KEM key. The chain that
//! answers it carries a ciphertext for that key in all its messages, and the secret in it goes into the
//! root key together with the Diffie-Hellman result.
//!
//! ```text
//!           step, not due                      step: wrap a secret for the offer
//!            ┌───────┐                           ┌──────────────────────────┐
//!            │       ▼        step, due          │   the peer's next chain   ▼
//!            │   ┌───────┐ ──────────────▶ ┌───────┐                   ┌────────┐
//!            └── │ plain │                 │ offer │                   │ answer │
//!                └───────┘                 └───────┘                   └────────┘
//!                    ▲                                                      │
//!                    └──────────────────────────────────────────────────────┘
//! ```
//!
//! Chains of the two sides alternate, and both count the same steps: after an offer comes its answer or
//! nothing, and an answer never offers, for it has just reset the count.

use crate::primitives::kem::{KemCiphertext, KemKeyPair};
use crate::ratchet::KemPart;
use crate::secret::redacted_debug;
use crate::suite::Suite;

/// Diffie-Hellman steps after which a KEM exchange is due: 50, so that its 2.3 KB are spread over some
/// fifty chains.
pub const MAX_HEALING_STEPS: u32 = 50;

/// Age of the last KEM exchange after which the next is due, in milliseconds: 7 days, so that two who
/// write rarely heal as well.
pub const MAX_HEALING_AGE_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// How long ago the root key last took in a KEM secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Healing {
    /// Diffie-Hellman steps since; equal on both sides.
    pub(crate) steps: u32,
    /// When, Unix time in milliseconds, by our clock.
    pub(crate) exchanged_at_ms: u64,
}

impl Healing {
    /// The handshake of a suite with a KEM is its first exchange.
    pub(crate) fn begin(suite: Suite, now_ms: u64) -> Option<Self> {
        match suite {
            Suite::X3dh => None,
            Suite::Pqxdh => Some(Self::exchanged(now_ms)),
        }
    }

    /// A KEM secret has gone in, now.
    pub(crate) fn exchanged(now_ms: u64) -> Self {
        Self {
            steps: 0,
            exchanged_at_ms: now_ms,
        }
    }

    /// One more step without a KEM secret.
    pub(crate) fn stepped(self) -> Self {
        Self {
            steps: self.steps.saturating_add(1),
            ..self
        }
    }

    /// Whether a chain that begins now has to offer.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.steps >= MAX_HEALING_STEPS || now_ms.saturating_sub(self.exchanged_at_ms) >= MAX_HEALING_AGE_MS
    }
}

/// What a sending chain carries in every message.
#[derive(Clone)]
pub(crate) enum SendingKem {
    /// A key of ours, whose secret waits for the answer.
    Offer(KemKeyPair),
    /// A secret wrapped for their offer. They cannot derive the chain without it.
    Answer(KemCiphertext),
}

impl SendingKem {
    /// The public half, as it travels.
    pub(crate) fn part(&self) -> KemPart {
        match self {
            Self::Offer(pair) => KemPart::Offer(pair.public().clone()),
            Self::Answer(ciphertext) => KemPart::Answer(ciphertext.clone()),
        }
    }
}

redacted_debug!(SendingKem);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_due_after_fifty_steps_or_seven_days() {
        let mut healing = Healing::exchanged(1_000);
        for _ in 0..49 {
            healing = healing.stepped();
        }
        assert!(!healing.is_due(1_000));
        assert!(!healing.is_due(0), "a clock may go backwards");
        assert!(!healing.is_due(999 + MAX_HEALING_AGE_MS));
        assert!(healing.is_due(1_000 + MAX_HEALING_AGE_MS));
        assert!(healing.stepped().is_due(1_000));
        assert!(!Healing::exchanged(2_000).is_due(1_000 + MAX_HEALING_AGE_MS));
    }
}
