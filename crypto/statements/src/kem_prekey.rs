//! The KEM prekey: the ML-KEM-768 key that makes a handshake withstand quantum computers (PQXDH section
//! 2.4). Every one of them is signed, one-time ones included.

use crate::DeviceId;
use crate::codec::{Reader, Writer};
use crate::kem_key::MlKemKey;
use crate::keys::IdentityKey;
use crate::signed::{Purpose, Statement, StatementError};

/// An ML-KEM-768 prekey, signed by the identity key of the device that holds its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KemPrekey {
    /// The device that signs.
    pub device_id: DeviceId,
    /// The device's number for this prekey, from 1 upwards, never reused, in either role.
    pub id: u32,
    /// How often it may be used.
    pub role: KemPrekeyRole,
    /// The prekey.
    pub key: MlKemKey,
    /// When it was made, Unix time in milliseconds, by the device's clock.
    pub created_at_ms: u64,
}

/// How often a KEM prekey may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KemPrekeyRole {
    /// For whoever comes when no one-time prekey is left, until it is replaced.
    LastResort = 0x01,
    /// For one handshake.
    OneTime = 0x02,
}

impl Statement for KemPrekey {
    type Signer = IdentityKey;
    const PURPOSE: Purpose = Purpose::KemPrekey;

    fn encode_body(&self, writer: &mut Writer) -> Result<(), StatementError> {
        if self.id == 0 {
            return Err(StatementError::FieldRange);
        }
        writer.device_id(self.device_id);
        writer.u32(self.id);
        writer.u8(self.role as u8);
        writer.ml_kem_key(&self.key);
        writer.u64(self.created_at_ms);
        Ok(())
    }

    fn decode_body(reader: &mut Reader<'_>) -> Result<Self, StatementError> {
        let device_id = reader.device_id()?;
        let id = reader.u32()?;
        if id == 0 {
            return Err(StatementError::FieldRange);
        }
        let role = match reader.u8()? {
            0x01 => KemPrekeyRole::LastResort,
            0x02 => KemPrekeyRole::OneTime,
            _ => return Err(StatementError::FieldRange),
        };
        Ok(Self {
            device_id,
            id,
            role,
            key: reader.ml_kem_key()?,
            created_at_ms: reader.u64()?,
        })
    }
}
