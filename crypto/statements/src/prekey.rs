//! The signed prekey: the medium-term X25519 key others begin sessions with (X3DH section 3.2).

use crate::DeviceId;
use crate::codec::{Reader, Writer};
use crate::keys::{IdentityKey, X25519Key};
use crate::signed::{Purpose, Statement, StatementError};

/// A prekey, signed by the identity key of the device that holds its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedPrekey {
    /// The device that signs.
    pub device_id: DeviceId,
    /// The device's number for this prekey, from 1 upwards, never reused.
    pub id: u32,
    /// The prekey.
    pub key: X25519Key,
    /// When it was made, Unix time in milliseconds, by the device's clock.
    pub created_at_ms: u64,
}

impl Statement for SignedPrekey {
    type Signer = IdentityKey;
    const PURPOSE: Purpose = Purpose::SignedPrekey;

    fn encode_body(&self, writer: &mut Writer) -> Result<(), StatementError> {
        if self.id == 0 {
            return Err(StatementError::FieldRange);
        }
        writer.device_id(self.device_id);
        writer.u32(self.id);
        writer.x25519_key(&self.key);
        writer.u64(self.created_at_ms);
        Ok(())
    }

    fn decode_body(reader: &mut Reader<'_>) -> Result<Self, StatementError> {
        let device_id = reader.device_id()?;
        let id = reader.u32()?;
        if id == 0 {
            return Err(StatementError::FieldRange);
        }
        Ok(Self {
            device_id,
            id,
            key: reader.x25519_key()?,
            created_at_ms: reader.u64()?,
        })
    }
}
