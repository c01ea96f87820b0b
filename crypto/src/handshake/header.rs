//! The handshake header: what the responder needs to find its prekeys and redo the agreement.

use alloc::vec::Vec;

use sottovoce_statements::X25519Key;

use crate::codec::{Malformed, Reader, Write};
use crate::primitives::kdf::sha256;
use crate::suite::{LABEL_HANDSHAKE_DIGEST, Suite};

/// Travels in front of every message until the responder has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandshakeHeader {
    pub(crate) suite: Suite,
    pub(crate) signed_prekey_id: u32,
    pub(crate) one_time_prekey_id: Option<u32>,
    pub(crate) ephemeral_key: X25519Key,
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
    pub(crate) const MAX_LEN: usize = 1 + 4 + 1 + 4 + 32;

    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.put_u8(self.suite.byte());
        bytes.put_u32(self.signed_prekey_id);
        match self.one_time_prekey_id {
            None => bytes.put_u8(ONE_TIME_PREKEY_ABSENT),
            Some(id) => {
                bytes.put_u8(ONE_TIME_PREKEY_PRESENT);
                bytes.put_u32(id);
            }
        }
        bytes.put(self.ephemeral_key.as_bytes());
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, HeaderError> {
        let suite = Suite::from_byte(reader.u8()?).ok_or(HeaderError::UnsupportedSuite)?;
        let signed_prekey_id = reader.u32()?;
        // Signed prekeys are numbered from 1.
        if signed_prekey_id == 0 {
            return Err(HeaderError::Malformed);
        }
        let one_time_prekey_id = match reader.u8()? {
            ONE_TIME_PREKEY_ABSENT => None,
            ONE_TIME_PREKEY_PRESENT => Some(reader.u32()?),
            _ => return Err(HeaderError::Malformed),
        };
        let ephemeral_key =
            X25519Key::from_slice(reader.array::<32>()?).map_err(|_| HeaderError::Malformed)?;
        Ok(Self {
            suite,
            signed_prekey_id,
            one_time_prekey_id,
            ephemeral_key,
        })
    }

    /// The name of this handshake: equal in all its initial messages, and on both sides.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(Self::MAX_LEN);
        self.write(&mut bytes);
        sha256(&[LABEL_HANDSHAKE_DIGEST, &bytes])
    }
}
