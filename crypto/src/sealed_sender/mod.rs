//! Sealed sender: envelopes that only the recipient's device sees the sender of, and the keys that say
//! who may send them.

mod access_key;
mod envelope;
mod error;
mod sender;

pub use access_key::AccessKey;
pub use envelope::{
    ENVELOPE_OVERHEAD, MAX_SEALED_MESSAGE_LEN, OpenedEnvelope, SealedEnvelope, seal_envelope,
};
pub use error::{ConfirmError, EnvelopeDecodeError, EnvelopeOpenError, EnvelopeSealError};
pub use sender::{ClaimedSender, ConfirmedSender, EnvelopeSender};
