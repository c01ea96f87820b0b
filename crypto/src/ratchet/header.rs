//! The ratchet header: which key, which chain, which message (Double Ratchet section 3.4), and the KEM part
//! of chains that have one.

use alloc::vec::Vec;

use sottovoce_statements::{MlKemKey, X25519Key};

use crate::codec::{Malformed, Reader, Write};
use crate::primitives::kem::KemCiphertext;

/// In the clear on every message, and authenticated with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RatchetHeader {
    /// The sender's ratchet key.
    pub(crate) ratchet_key: X25519Key,
    /// How many messages the sender's previous chain carried.
    pub(crate) previous: u32,
    /// The message's number in its chain, from 0.
    pub(crate) number: u32,
}

impl RatchetHeader {
    /// Length of the encoding, in bytes.
    pub(crate) const LEN: usize = 32 + 4 + 4;

    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.put(self.ratchet_key.as_bytes());
        bytes.put_u32(self.previous);
        bytes.put_u32(self.number);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            ratchet_key: X25519Key::from_slice(reader.array::<32>()?).map_err(|_| Malformed)?,
            previous: reader.u32()?,
            number: reader.u32()?,
        })
    }
}

/// Stands before a KEM key that is offered.
const KIND_OFFER: u8 = 0x01;
/// Stands before a ciphertext for the KEM key that was offered.
const KIND_ANSWER: u8 = 0x02;

/// What all messages of a chain carry if it offers a KEM key or answers one. As authentic as the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KemPart {
    Offer(MlKemKey),
    Answer(KemCiphertext),
}

impl KemPart {
    /// Longest encoding, in bytes.
    pub(crate) const MAX_LEN: usize = 1 + MlKemKey::LEN;

    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Offer(key) => {
                bytes.put_u8(KIND_OFFER);
                bytes.put(key.as_bytes());
            }
            Self::Answer(ciphertext) => {
                bytes.put_u8(KIND_ANSWER);
                bytes.put(ciphertext.as_bytes());
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.u8()? {
            KIND_OFFER => MlKemKey::from_slice(reader.array::<{ MlKemKey::LEN }>()?)
                .map(Self::Offer)
                .map_err(|_| Malformed),
            KIND_ANSWER => Ok(Self::Answer(KemCiphertext::copy_from(reader.array()?))),
            _ => Err(Malformed),
        }
    }
}
