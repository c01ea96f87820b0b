//! The Double Ratchet (Signal specification, revision 4), with new ratchet keys made when they are first
//! needed (section 6, "deferring new ratchet key generation").
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
mod keys;
mod skipped;
mod step;

pub(crate) use chain::{ReceivingChain, SendingChain};
pub(crate) use header::RatchetHeader;
pub(crate) use keys::{ChainKey, MessageKey, RootKey};
pub(crate) use skipped::{SkippedKey, SkippedKeys, StoredKey};

pub use chain::MAX_FORWARD_JUMP;
pub use skipped::{MAX_SKIPPED_AGE_MS, MAX_SKIPPED_KEYS};

use crate::suite::Suite;

/// The ratchet itself. Keys of skipped messages are kept elsewhere, in [`SkippedKeys`].
pub(crate) struct Ratchet {
    pub(crate) suite: Suite,
    pub(crate) root_key: RootKey,
    pub(crate) turn: Turn,
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
    /// Theirs; `previous` is how many messages our last chain carried.
    Following {
        receiving: ReceivingChain,
        previous: u32,
    },
}
