//! What makes an account ours: its secret, with the manifest it last signed.

use alloc::vec::Vec;

use sottovoce_statements::{Address, DeviceManifest, Verified};

use super::fields::{MAX_SIGNED_LEN, read_signed, write_signed};
use crate::codec::{Malformed, Reader, Write};
use crate::keys::AccountKeyPair;
use crate::secret::redacted_debug;

/// An account's key pair, and the newest manifest it signed: what a recovery blob and a backup bring
/// back.
///
/// The manifest may have been replaced since. Before the next one is signed, hold it against what the
/// server and the contacts have: a [`TrustedAccount`](crate::TrustedAccount) of it judges that.
pub struct AccountMaterial {
    account: AccountKeyPair,
    manifest: Verified<DeviceManifest>,
}

impl AccountMaterial {
    /// Takes the two together; `None` if another key signed the manifest.
    #[must_use]
    pub fn new(account: AccountKeyPair, manifest: Verified<DeviceManifest>) -> Option<Self> {
        (*manifest.signer() == account.public()).then_some(Self { account, manifest })
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.manifest.address
    }

    /// The key pair.
    #[must_use]
    pub fn account(&self) -> &AccountKeyPair {
        &self.account
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Verified<DeviceManifest> {
        &self.manifest
    }

    /// Takes the two apart.
    #[must_use]
    pub fn into_parts(self) -> (AccountKeyPair, Verified<DeviceManifest>) {
        (self.account, self.manifest)
    }

    /// Appends it. The caller has made room for [`MAX_MATERIAL_LEN`] bytes.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.put(self.account.to_secret_bytes().as_slice());
        write_signed(bytes, self.manifest.signed());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let account = AccountKeyPair::from_secret_bytes(reader.array()?).map_err(|_| Malformed)?;
        let manifest = read_signed::<DeviceManifest>(reader)?
            .verify(&account.public())
            .map_err(|_| Malformed)?;
        Ok(Self { account, manifest })
    }
}

redacted_debug!(AccountMaterial);

/// Longest [`AccountMaterial::write`].
pub(super) const MAX_MATERIAL_LEN: usize = 32 + MAX_SIGNED_LEN;
