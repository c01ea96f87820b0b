//! What can go wrong, one enum per operation.
//!
//! None says which cryptographic check failed: to somebody probing, every refusal looks alike. They do
//! say what the caller can do about it.

use crate::codec::Malformed;
use crate::handshake::HeaderError;

/// Why a session could not be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The key pair is not the one our own [`Party`](crate::Party) names. Pass the pair of this device.
    #[error("our identity key pair is not the one our party names")]
    NotOurKey,
    /// Both parties are one device: same identity key, or same address and device id. Sessions with
    /// oneself are refused; other devices of one's own account are fine.
    #[error("a device cannot hold a session with itself")]
    SameDevice,
    /// The signed prekey or the KEM prekey is another device's, or another key signed it. Fetch the bundle again; if it
    /// comes back the same, the server is at fault.
    #[error("a prekey is not the peer's")]
    NotTheirPrekey,
    /// The prekeys passed in are not the ones the initial message names. Look them up by
    /// [`signed_prekey_id`](crate::InitialMessage::signed_prekey_id),
    /// [`one_time_prekey_id`](crate::InitialMessage::one_time_prekey_id) and
    /// [`kem_prekey_id`](crate::InitialMessage::kem_prekey_id).
    #[error("the prekeys are not the ones the initial message names")]
    OtherPrekeys,
    /// The message is of the other suite. Each has its own way in, so that nobody falls back to the weaker
    /// one without knowing: see [`InitialMessage::suite`](crate::InitialMessage::suite).
    #[error("the initial message is of another suite")]
    OtherSuite,
    /// The handshake or its first message does not hold: forged, damaged, or meant for other parties.
    /// Nothing was used up; keep the one-time prekey.
    #[error("the handshake was refused")]
    Refused,
}

/// Why a message could not be encrypted. The session is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// Longer than [`MAX_PLAINTEXT_LEN`](crate::MAX_PLAINTEXT_LEN). Send it as an attachment.
    #[error("a message has at most {} bytes", crate::MAX_PLAINTEXT_LEN)]
    TooLong,
    /// The peer answered none of 2³² − 1 messages, or holds a ratchet key nobody can answer: one that
    /// contributes nothing, or the very one our generator drew. Begin a new session.
    #[error("the session is worn out")]
    Exhausted,
}

/// Why a message could not be decrypted. The session is, byte for byte, as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// Forged, damaged, already decrypted, too far ahead, too old, or of another session. Which of
    /// these is not told; drop the message, and trust nothing it says.
    #[error("the message cannot be decrypted")]
    Undecryptable,
    /// An initial message of another handshake. It is no reason to give up this session; see whether
    /// [`Session::accept`](crate::Session::accept) takes it.
    #[error("the message begins another session")]
    OtherSession,
}

/// Why bytes are not a session message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Written by a version of the format this one does not know.
    #[error("the message is of an unknown version")]
    UnsupportedVersion,
    /// The handshake uses a suite this version does not speak. Nothing falls back to another.
    #[error("the handshake suite is not supported")]
    UnsupportedSuite,
    /// Not the one encoding of any message.
    #[error("the message is malformed")]
    Malformed,
}

/// Why stored bytes are not a session or a prekey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Written by a version of the format this one does not know.
    #[error("the stored state is of an unknown version")]
    UnsupportedVersion,
    /// A session of a suite this version does not speak.
    #[error("the stored session's suite is not supported")]
    UnsupportedSuite,
    /// Not the one encoding of any state.
    #[error("the stored state is malformed")]
    Malformed,
}

/// Why a record could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Longer than [`MAX_RECORD_LEN`](crate::MAX_RECORD_LEN).
    #[error("a sealed record has at most {} bytes", crate::MAX_RECORD_LEN)]
    TooLong,
}

/// Why a sealed record could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Sealed by a version of the format this one does not know.
    #[error("the record is sealed in an unknown version")]
    UnsupportedVersion,
    /// Another key sealed it, for another context, or it was damaged or cut short.
    #[error("the record cannot be opened")]
    Refused,
}

/// Why a passphrase gave no storage key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// There is none.
    #[error("the passphrase is empty")]
    Empty,
    /// Longer than Argon2id takes (2³² − 1 bytes).
    #[error("the passphrase is too long")]
    TooLong,
    /// The 64 MiB that Argon2id works in could not be had.
    #[error("not enough memory to stretch the passphrase")]
    OutOfMemory,
}

impl From<Malformed> for DecodeError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<Malformed> for StateError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<HeaderError> for DecodeError {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::UnsupportedSuite => Self::UnsupportedSuite,
            HeaderError::Malformed => Self::Malformed,
        }
    }
}

impl From<HeaderError> for StateError {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::UnsupportedSuite => Self::UnsupportedSuite,
            HeaderError::Malformed => Self::Malformed,
        }
    }
}
