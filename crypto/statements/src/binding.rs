//! The device binding: a device's own word on which account it belongs to. With the manifest it makes
//! the tie two-sided, so that neither an account can claim a stranger's device nor a device a stranger's
//! account.

use crate::codec::{Reader, Writer};
use crate::keys::{AccountKey, IdentityKey};
use crate::signed::{Purpose, Statement, StatementError};
use crate::{Address, DeviceId};

/// "I am this device of this account", signed by the device's identity key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceBinding {
    /// The account's key.
    pub account_key: AccountKey,
    /// The account's address.
    pub address: Address,
    /// The device that signs.
    pub device_id: DeviceId,
}

impl Statement for DeviceBinding {
    type Signer = IdentityKey;
    const PURPOSE: Purpose = Purpose::DeviceBinding;

    fn encode_body(&self, writer: &mut Writer) -> Result<(), StatementError> {
        writer.account_key(&self.account_key);
        writer.address(&self.address)?;
        writer.device_id(self.device_id);
        Ok(())
    }

    fn decode_body(reader: &mut Reader<'_>) -> Result<Self, StatementError> {
        Ok(Self {
            account_key: reader.account_key()?,
            address: reader.address()?,
            device_id: reader.device_id()?,
        })
    }
}
