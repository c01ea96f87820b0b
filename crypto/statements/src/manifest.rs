//! The device manifest: which devices an account has, said by the account key, each version chained to
//! the one before it.

use alloc::vec::Vec;

use crate::codec::{Reader, Writer};
use crate::keys::{AccountKey, IdentityKey};
use crate::signed::{Purpose, Statement, StatementError};
use crate::{Address, DeviceId};

/// Most devices an account may have. Every message is encrypted once for each of them.
pub const MAX_DEVICES: usize = 16;

/// SHA-256 of a manifest statement.
pub type ManifestHash = [u8; 32];

/// An account's devices, at one version of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceManifest {
    /// The account.
    pub address: Address,
    /// 1 for the first, one more for each that follows.
    pub version: u64,
    /// Hash of the version before; all zeros in the first, and only there.
    pub previous: ManifestHash,
    /// 1 to [`MAX_DEVICES`] devices, in ascending order of their ids, no id and no key twice.
    pub devices: Vec<ManifestDevice>,
}

/// One device of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestDevice {
    /// The device's id.
    pub device_id: DeviceId,
    /// The device's identity key.
    pub identity_key: IdentityKey,
}

impl DeviceManifest {
    /// The identity key of one device, if it is on the manifest.
    #[must_use]
    pub fn identity_key(&self, device_id: DeviceId) -> Option<&IdentityKey> {
        self.devices
            .iter()
            .find(|device| device.device_id == device_id)
            .map(|device| &device.identity_key)
    }

    fn check(&self) -> Result<(), StatementError> {
        if self.version == 0 || (self.version == 1) != (self.previous == [0; 32]) {
            return Err(StatementError::FieldRange);
        }
        if self.devices.is_empty() || self.devices.len() > MAX_DEVICES {
            return Err(StatementError::FieldRange);
        }
        let ascending = self.devices.is_sorted_by(|a, b| a.device_id < b.device_id);
        let key_repeats = self.devices.iter().enumerate().any(|(position, device)| {
            self.devices
                .iter()
                .take(position)
                .any(|earlier| earlier.identity_key == device.identity_key)
        });
        if ascending && !key_repeats {
            Ok(())
        } else {
            Err(StatementError::DeviceOrder)
        }
    }
}

impl Statement for DeviceManifest {
    type Signer = AccountKey;
    const PURPOSE: Purpose = Purpose::DeviceManifest;

    fn encode_body(&self, writer: &mut Writer) -> Result<(), StatementError> {
        self.check()?;
        writer.address(&self.address)?;
        writer.u64(self.version);
        writer.fixed(&self.previous);
        writer.u8(u8::try_from(self.devices.len()).map_err(|_| StatementError::FieldRange)?);
        for device in &self.devices {
            writer.device_id(device.device_id);
            writer.identity_key(&device.identity_key);
        }
        Ok(())
    }

    fn decode_body(reader: &mut Reader<'_>) -> Result<Self, StatementError> {
        let address = reader.address()?;
        let version = reader.u64()?;
        let previous = reader.fixed()?;
        let count = usize::from(reader.u8()?);
        if count > MAX_DEVICES {
            return Err(StatementError::FieldRange);
        }
        let devices = (0..count)
            .map(|_| {
                Ok(ManifestDevice {
                    device_id: reader.device_id()?,
                    identity_key: reader.identity_key()?,
                })
            })
            .collect::<Result<_, StatementError>>()?;
        let manifest = Self {
            address,
            version,
            previous,
            devices,
        };
        manifest.check()?;
        Ok(manifest)
    }
}
