//! The Double Ratchet (Signal specification, revision 4), with new ratchet keys made when they are first
//! needed (section 6, "deferring new ratchet key generation"), and with a KEM exchange mixed into some of
//! its Diffie-Hellman steps.
//!
//! ```text
//!   initiator begins                      responder begins
//!        │                                      │
//!        ▼            receive a new key         ▼
//!   ┌─────────┐   ┌────────────────────▶ ┌───────────┐
//!   │ Opening │───┘                      │ Following │ ◀──┐
//!   └─────────┘   ┌───────────────────── └───────────┘    │ receive a new key
//!                 │ send: make a new key                  │
//!                 ▼                                       │
//!            ┌─────────┐                                  │
//!            │ Leading │ ─────────────────────────────────┘
//!            └─────────┘
//! ```
//!
//! `Opening` sends and has heard nothing; `Following` has heard their newest key and holds none of its
//! own; `Leading` holds a key they have not answered yet.

mod chain;
mod header;
mod healing;
mod receive;
mod root;
mod send;

pub(crate) use chain::{ReceivingChain, SendingChain};
pub(crate) use header::{KemPart, RatchetHeader};
pub(crate) use healing::{Healing, SendingKem};
pub(crate) use root::RootKey;

pub use healing::{MAX_HEALING_AGE_MS, MAX_HEALING_STEPS};

use sottovoce_statements::{MlKemKey, X25519Key};

use crate::primitives::dh::{SharedSecret, X25519KeyPair};
use crate::suite::Suite;

/// The ratchet itself. Keys of skipped messages are kept elsewhere, in
/// [`SkippedKeys`](crate::chain::SkippedKeys).
pub(crate) struct Ratchet {
    pub(crate) root_key: RootKey,
    pub(crate) turn: Turn,
    /// When KEM exchanges are due; absent in suites without any.
    pub(crate) healing: Option<Healing>,
}

impl Ratchet {
    pub(crate) fn suite(&self) -> Suite {
        match self.healing {
            None => Suite::X3dh,
            Some(_) => Suite::Pqxdh,
        }
    }
}

/// Whose key is the newest.
pub(crate) enum Turn {
    /// Ours, and they have sent nothing yet.
    Opening { sending: SendingChain },
    /// Ours; their previous one is still good for late messages.
    Leading {
        sending: SendingChain,
        receiving: ReceivingChain,
    },
    /// Theirs; `previous` is how many messages our last chain carried, `offer` the KEM key that came with
    /// theirs, to be answered with our next.
    Following {
        receiving: ReceivingChain,
        previous: u32,
        offer: Option<MlKemKey>,
    },
}

/// Diffie-Hellman of ratchet keys. `None` if theirs contributes nothing, or is ours come back to us: the
/// two directions never share a key.
fn agree(ours: &X25519KeyPair, theirs: &X25519Key) -> Option<SharedSecret> {
    if ours.public() == theirs {
        return None;
    }
    ours.secret().diffie_hellman(theirs)
}
