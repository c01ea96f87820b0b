//! A symmetric chain: one key per message, each forgotten as the next is made, and a bounded place for the
//! keys of messages that are late. The Double Ratchet and the Sender Keys both run on these.

mod keys;
mod skipped;

pub(crate) use keys::{ChainKey, MessageKey, split};
pub(crate) use skipped::{Change, SkippedKeys};

pub use skipped::{MAX_FORWARD_JUMP, MAX_SKIPPED_AGE_MS, MAX_SKIPPED_KEYS};
