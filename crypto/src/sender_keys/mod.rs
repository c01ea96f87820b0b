//! Sender keys: a message to a channel is encrypted once, for all members. Each sending device has a key
//! per channel, which members get over their pairwise sessions.
//!
//! ```text
//!  the sender                                                         a member
//!  SendingSenderKey ─ distribution ─▶ (pairwise session) ─▶ accept ─▶ ReceivingSenderKey
//!     │   ▲      └─── encrypt ──────▶ (the server) ───────▶ decrypt ─────┘
//!     │   └ replace, once rotation is due: a departure, a revoked device, wear
//!     └ encrypt refuses from then on
//! ```
//!
//! The chain hides a message from whoever lacks the key, its signature tells members apart from the
//! sender. SPEC section 13.

mod claims;
mod context;
mod distribution;
mod error;
mod message;
mod receiving;
mod roster;
mod sending;
mod signature;
mod skipped;
mod state;

pub use claims::{RosterClaim, RosterClaims, RosterDoubt, TraceError};
pub use context::{SenderKeyContext, SenderKeyId};
pub use distribution::SenderKeyDistribution;
pub use error::{DistributionError, RotationReason, SenderKeyDecryptError, SenderKeySendError};
pub use message::SenderKeyMessage;
pub use receiving::{DecryptedSenderKeyMessage, ReceivingSenderKey};
pub use roster::{RosterFork, RosterHistory, RosterStanding, SendingRoster};
pub use sending::{MAX_SENDER_KEY_AGE_MS, MAX_SENDER_KEY_MESSAGES, SendingSenderKey};
pub use skipped::{SkippedMessageChanges, SkippedMessageId, SkippedMessageRecord};

/// First bytes under the hash that becomes a sender key's associated data.
const LABEL_SENDER_KEY: &[u8] = b"Sottovoce-v1 sender key associated data";

/// HKDF info of a channel message: message key to cipher key and nonce.
const LABEL_SENDER_KEY_MESSAGE: &[u8] = b"Sottovoce-v1 sender key message";

/// First bytes under the hash that a channel message's signature covers.
const LABEL_SENDER_KEY_SIGNATURE: &[u8] = b"Sottovoce-v1 sender key signature";
