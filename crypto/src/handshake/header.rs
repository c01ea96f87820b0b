//! The handshake header: what the responder needs to find its prekeys and redo the agreement.

use alloc::vec::Vec;

use sottovoce_statements::X25519Key;

use crate::codec::{Malformed, Reader, Write};
use crate::primitives::kdf::sha256;
use crate::primitives::kem::KemCiphertext;
use crate::suite::{LABEL_HANDSHAKE_DIGEST, Suite};

/// Travels in front of every message until the responder has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HandshakeHeader {
    pub(crate) signed_prekey_id: u32,
    pub(crate) one_time_prekey_id: Option<u32>,
    pub(crate) ephemeral_key: X25519Key,
    /// What makes it PQXDH.
    pub(crate) kem: Option<HandshakeKem>,
}

/// A secret wrapped for one of the responder's KEM prekeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HandshakeKem {
    pub(crate) prekey_id: u32,
    pub(crate) ciphertext: KemCiphertext,
}

/// Why a header could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    UnsupportedSuite,
    Malformed,
}

impl From<Malformed> for HeaderError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Says that no one-time prekey was used.
const ONE_TIME_PREKEY_ABSENT: u8 = 0x00;
/// Says that the id of a one-time prekey follows.
const ONE_TIME_PREKEY_PRESENT: u8 = 0x01;

impl HandshakeHeader {
    /// Longest encoding, in bytes.
    pub(crate) const MAX_LEN: usize = 1 + 4 + 1 + 4 + 32 + 4 + KemCiphertext::LEN;

    pub(crate) fn suite(&self) -> Suite {
        match self.kem {
            None => Suite::X3dh,
            Some(_) => Suite::Pqxdh,
        }
    }

    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.put_u8(self.suite().byte());
        bytes.put_u32(self.signed_prekey_id);
        match self.one_time_prekey_id {
            None => bytes.put_u8(ONE_TIME_PREKEY_ABSENT),
            Some(id) => {
                bytes.put_u8(ONE_TIME_PREKEY_PRESENT);
                bytes.put_u32(id);
            }
        }
        bytes.put(self.ephemeral_key.as_bytes());
        if let Some(kem) = &self.kem {
            bytes.put_u32(kem.prekey_id);
            bytes.put(kem.ciphertext.as_bytes());
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, HeaderError> {
        let suite = Suite::from_byte(reader.u8()?).ok_or(HeaderError::UnsupportedSuite)?;
        let signed_prekey_id = read_prekey_id(reader)?;
        let one_time_prekey_id = match reader.u8()? {
            ONE_TIME_PREKEY_ABSENT => None,
            ONE_TIME_PREKEY_PRESENT => Some(reader.u32()?),
            _ => return Err(HeaderError::Malformed),
        };
        let ephemeral_key =
            X25519Key::from_slice(reader.array::<32>()?).map_err(|_| HeaderError::Malformed)?;
        let kem = match suite {
            Suite::X3dh => None,
            Suite::Pqxdh => Some(HandshakeKem {
                prekey_id: read_prekey_id(reader)?,
                ciphertext: KemCiphertext::copy_from(reader.array()?),
            }),
        };
        Ok(Self {
            signed_prekey_id,
            one_time_prekey_id,
            ephemeral_key,
            kem,
        })
    }

    /// The name of this handshake: equal in all its initial messages, and on both sides.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(Self::MAX_LEN);
        self.write(&mut bytes);
        sha256(&[LABEL_HANDSHAKE_DIGEST, &bytes])
    }
}

/// The number of a signed prekey, which counts from 1.
fn read_prekey_id(reader: &mut Reader<'_>) -> Result<u32, HeaderError> {
    match reader.u32()? {
        0 => Err(HeaderError::Malformed),
        id => Ok(id),
    }
}
