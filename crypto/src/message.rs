//! Messages as they travel: a version, a kind, headers, and a ciphertext over which all of it is
//! authenticated.

use alloc::vec::Vec;

use crate::codec::{Malformed, Reader, Write};
use crate::error::DecodeError;
use crate::handshake::HandshakeHeader;
use crate::padding::is_padded_len;
use crate::primitives::aead::TAG_LEN;
use crate::ratchet::{KemPart, RatchetHeader};
use crate::suite::Suite;

/// First byte of every message: the version of this encoding.
const VERSION: u8 = 0x01;
/// Second byte of a message that carries a handshake.
const KIND_INITIAL: u8 = 0x01;
/// Second byte of a message that does not.
const KIND_RATCHET: u8 = 0x02;
/// Second byte of a message that carries a KEM part. The first chain of a session has none.
const KIND_KEM: u8 = 0x03;

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
    pub(crate) kem: Option<KemPart>,
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
                let header = RatchetHeader::read(&mut reader)?;
                let ratchet = RatchetMessage::read(header, None, reader)?;
                Ok(Self::Initial(InitialMessage { handshake, ratchet }))
            }
            KIND_RATCHET => {
                let header = RatchetHeader::read(&mut reader)?;
                Ok(Self::Ratchet(RatchetMessage::read(header, None, reader)?))
            }
            KIND_KEM => {
                let header = RatchetHeader::read(&mut reader)?;
                let kem = KemPart::read(&mut reader)?;
                Ok(Self::Ratchet(RatchetMessage::read(header, Some(kem), reader)?))
            }
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
        let prefix_len = prefix_len(handshake, ratchet.kem.as_ref());
        let mut bytes = Vec::with_capacity(prefix_len + ratchet.ciphertext.len());
        ratchet.write_prefix(handshake, &mut bytes);
        bytes.put(&ratchet.ciphertext);
        bytes
    }
}

impl InitialMessage {
    /// The suite of the handshake: which of [`Session::accept`](crate::Session::accept) and
    /// [`Session::accept_x3dh`](crate::Session::accept_x3dh) takes it.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.handshake.suite()
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

    /// Which KEM prekey the sender used; `None` in [`Suite::X3dh`].
    #[must_use]
    pub fn kem_prekey_id(&self) -> Option<u32> {
        self.handshake.kem.as_ref().map(|kem| kem.prekey_id)
    }

    /// The name of the handshake, 32 bytes, equal in all its initial messages. What to remember in
    /// order to refuse its replay.
    #[must_use]
    pub fn handshake_digest(&self) -> [u8; 32] {
        self.handshake.digest()
    }
}

impl RatchetMessage {
    fn read(header: RatchetHeader, kem: Option<KemPart>, reader: Reader<'_>) -> Result<Self, Malformed> {
        let ciphertext = reader.rest();
        let whole_bucket = ciphertext.len().checked_sub(TAG_LEN).is_some_and(is_padded_len);
        if !whole_bucket {
            return Err(Malformed);
        }
        Ok(Self {
            header,
            kem,
            ciphertext: ciphertext.to_vec(),
        })
    }

    /// Appends everything that stands before the ciphertext, all of it authenticated with it.
    pub(crate) fn write_prefix(&self, handshake: Option<&HandshakeHeader>, bytes: &mut Vec<u8>) {
        write_prefix(handshake, &self.header, self.kem.as_ref(), bytes);
    }
}

/// Room for all of a message that stands before the ciphertext, in bytes. Most messages have neither a handshake
/// nor a KEM part, and small blocks of memory are the fast ones.
pub(crate) fn prefix_len(handshake: Option<&HandshakeHeader>, kem: Option<&KemPart>) -> usize {
    let handshake_len = handshake.map_or(0, |_| HandshakeHeader::MAX_LEN);
    2 + RatchetHeader::LEN + handshake_len + kem.map_or(0, |_| KemPart::MAX_LEN)
}

/// Appends everything of a message that stands before the ciphertext.
pub(crate) fn write_prefix(
    handshake: Option<&HandshakeHeader>,
    header: &RatchetHeader,
    kem: Option<&KemPart>,
    bytes: &mut Vec<u8>,
) {
    bytes.put_u8(VERSION);
    match (handshake, kem) {
        (Some(handshake), _) => {
            bytes.put_u8(KIND_INITIAL);
            handshake.write(bytes);
            header.write(bytes);
        }
        (None, None) => {
            bytes.put_u8(KIND_RATCHET);
            header.write(bytes);
        }
        (None, Some(kem)) => {
            bytes.put_u8(KIND_KEM);
            header.write(bytes);
            kem.write(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::kem::KemCiphertext;
    use alloc::vec;
    use sottovoce_statements::{MlKemKey, X25519Key};

    #[test]
    fn there_is_room_for_every_prefix_and_little_to_spare() {
        let x25519_key = X25519Key::from_slice(&[9; 32]).unwrap();
        let header = RatchetHeader {
            ratchet_key: x25519_key,
            previous: 1,
            number: 2,
        };
        // With all it can have: both prekeys of Curve25519, and one of ML-KEM.
        let mut bytes = vec![Suite::Pqxdh.byte(), 0, 0, 0, 1, 1, 0, 0, 0, 2];
        bytes.extend_from_slice(&[9; 32]);
        bytes.extend_from_slice(&[3; 4 + KemCiphertext::LEN]);
        let handshake = HandshakeHeader::read(&mut Reader::new(&bytes)).unwrap();
        let offer = KemPart::Offer(MlKemKey::from_slice(&[0; MlKemKey::LEN]).unwrap());
        let answer = KemPart::Answer(KemCiphertext::copy_from(&[7; KemCiphertext::LEN]));
        let spare = |handshake: Option<&HandshakeHeader>, kem: Option<&KemPart>| {
            let mut bytes = Vec::new();
            write_prefix(handshake, &header, kem, &mut bytes);
            prefix_len(handshake, kem) - bytes.len()
        };
        assert_eq!(bytes.len(), HandshakeHeader::MAX_LEN);
        assert_eq!(spare(None, None), 0);
        assert_eq!(spare(Some(&handshake), None), 0);
        assert_eq!(spare(None, Some(&offer)), 0);
        assert_eq!(spare(None, Some(&answer)), MlKemKey::LEN - KemCiphertext::LEN);
    }
}
