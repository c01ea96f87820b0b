//! What can go wrong with a sealed envelope, one enum per operation.

use crate::codec::Malformed;

/// Why a message could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeSealError {
    /// Longer than [`MAX_SEALED_MESSAGE_LEN`](crate::MAX_SEALED_MESSAGE_LEN), which no session message is.
    #[error("a sealed message has at most {} bytes", crate::MAX_SEALED_MESSAGE_LEN)]
    TooLong,
    /// The sender's manifest has version 0. Versions count from 1; a device on no manifest sends nothing.
    #[error("the sender is on no manifest")]
    NoManifest,
    /// The recipient's identity key agrees on nothing, which no identity key that was read does.
    #[error("the recipient's identity key is unfit")]
    UnfitRecipient,
}

/// Why bytes are not a sealed envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeDecodeError {
    /// Written by a version of the format this one does not know.
    #[error("the envelope is of an unknown version")]
    UnsupportedVersion,
    /// Not the one encoding of any envelope.
    #[error("the envelope is malformed")]
    Malformed,
}

/// Why a sealed envelope could not be opened. Drop it; nothing in it can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeOpenError {
    /// The key pair is not the one our own [`Party`](crate::Party) names. Pass the pair of this device.
    #[error("our identity key pair is not the one our party names")]
    NotOurKey,
    /// Sealed to another device, or another address of this one, or damaged, or not sealed by the rules.
    #[error("the envelope cannot be opened")]
    Refused,
}

/// Why a claimed sender is not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError<E> {
    /// The party is not the one the envelope claims to be from. Look the claimed one up.
    #[error("the envelope claims another sender")]
    OtherSender,
    /// The message in it did not decrypt as one of that party's. Another session with the same party may
    /// still take it; if none does, somebody else wrote it or it is damaged, and nothing in it is true.
    #[error("the message is not the claimed sender's")]
    Undecryptable(E),
}

impl From<Malformed> for EnvelopeDecodeError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
