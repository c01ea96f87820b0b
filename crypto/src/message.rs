//! Messages as they travel: a version, a kind, headers, and a ciphertext over which all of it is
//! authenticated.

use alloc::vec::Vec;

use crate::codec::{Malformed, Reader, Write};
use crate::error::DecodeError;
use crate::handshake::HandshakeHeader;
use crate::padding::is_padded_len;
use crate::primitives::aead::TAG_LEN;
use crate::ratchet::RatchetHeader;
use crate::suite::Suite;

/// First byte of every message: the version of this encoding.
const VERSION: u8 = 0x01;
/// Second byte of a message that carries a handshake.
const KIND_INITIAL: u8 = 0x01;
/// Second byte of a message that does not.
const KIND_RATCHET: u8 = 0x02;

/// A message of a session, decoded and not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionMessage {
    /// Begins a session, or was sent before the sender heard back.
    Initial(InitialMessage),
    /// Continues a session.
    Ratchet(RatchetMessage),
}

/// A message that carries its handshake along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialMessage {
    pub(crate) handshake: HandshakeHeader,
    pub(crate) ratchet: RatchetMessage,
}

/// A message of a session both sides know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatchetMessage {
    pub(crate) header: RatchetHeader,
    pub(crate) ciphertext: Vec<u8>,
}

impl SessionMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not the one encoding of a message, or of a version or suite
    /// this version does not speak.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(DecodeError::UnsupportedVersion);
        }
        match reader.u8()? {
            KIND_INITIAL => {
                let handshake = HandshakeHeader::read(&mut reader)?;
                let ratchet = RatchetMessage::read(reader)?;
                Ok(Self::Initial(InitialMessage { handshake, ratchet }))
            }
            KIND_RATCHET => Ok(Self::Ratchet(RatchetMessage::read(reader)?)),
            _ => Err(DecodeError::Malformed),
        }
    }

    /// The bytes [`decode`](Self::decode) reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (handshake, ratchet) = match self {
            Self::Initial(initial) => (Some(&initial.handshake), &initial.ratchet),
            Self::Ratchet(ratchet) => (None, ratchet),
        };
        let mut bytes = message_prefix(handshake, &ratchet.header);
        bytes.extend_from_slice(&ratchet.ciphertext);
        bytes
    }
}

impl InitialMessage {
    /// The suite of the handshake.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.handshake.suite
    }

    /// Which signed prekey the sender used.
    #[must_use]
    pub fn signed_prekey_id(&self) -> u32 {
        self.handshake.signed_prekey_id
    }

    /// Which one-time prekey the sender used, if any.
    #[must_use]
    pub fn one_time_prekey_id(&self) -> Option<u32> {
        self.handshake.one_time_prekey_id
    }

    /// The name of the handshake, 32 bytes, equal in all its initial messages. What to remember in
    /// order to refuse its replay.
    #[must_use]
    pub fn handshake_digest(&self) -> [u8; 32] {
        self.handshake.digest()
    }
}

impl RatchetMessage {
    fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let header = RatchetHeader::read(&mut reader)?;
        let ciphertext = reader.rest();
        let whole_bucket = ciphertext.len().checked_sub(TAG_LEN).is_some_and(is_padded_len);
        if !whole_bucket {
            return Err(Malformed);
        }
        Ok(Self {
            header,
            ciphertext: ciphertext.to_vec(),
        })
    }
}

/// Everything of a message that stands before the ciphertext, all of it authenticated with it.
pub(crate) fn message_prefix(handshake: Option<&HandshakeHeader>, header: &RatchetHeader) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + HandshakeHeader::MAX_LEN + RatchetHeader::LEN);
    bytes.put_u8(VERSION);
    match handshake {
        Some(handshake) => {
            bytes.put_u8(KIND_INITIAL);
            handshake.write(&mut bytes);
        }
        None => bytes.put_u8(KIND_RATCHET),
    }
    header.write(&mut bytes);
    bytes
}
