//! An account as somebody shows it, with every signature checked.

use alloc::vec::Vec;

use sottovoce_statements::{
    AccountKey, Address, DeviceBinding, DeviceManifest, ManifestDevice, Signed, Verified,
};

use super::error::VerifyAccountError;
use super::view::ManifestView;

/// An account whose parts vouch for each other: its key names the devices, and every device names the
/// account. Whether it is the right account, and not an old state of it, is for
/// [`TrustedAccount`](crate::TrustedAccount) to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedAccount {
    manifest: Verified<DeviceManifest>,
    bindings: Vec<Verified<DeviceBinding>>,
}

impl VerifiedAccount {
    /// Checks what is shown for `address`: an account key, the manifest, and one binding for each device,
    /// in the manifest's order.
    ///
    /// # Errors
    /// [`VerifyAccountError`] when the parts do not vouch for each other. Whoever shows such an account
    /// made it up.
    pub fn verify(
        address: &Address,
        account_key: &AccountKey,
        manifest: Signed<DeviceManifest>,
        bindings: Vec<Signed<DeviceBinding>>,
    ) -> Result<Self, VerifyAccountError> {
        let manifest = manifest
            .verify(account_key)
            .map_err(|_| VerifyAccountError::Manifest)?;
        if manifest.address != *address {
            return Err(VerifyAccountError::Manifest);
        }
        let bindings = verify_bindings(&manifest, &manifest.devices, bindings)?;
        Ok(Self { manifest, bindings })
    }

    /// Puts together what was verified part by part.
    pub(super) fn from_verified(
        manifest: Verified<DeviceManifest>,
        bindings: Vec<Verified<DeviceBinding>>,
    ) -> Self {
        Self { manifest, bindings }
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.manifest.address
    }

    /// The account key.
    #[must_use]
    pub fn account_key(&self) -> &AccountKey {
        self.manifest.signer()
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Verified<DeviceManifest> {
        &self.manifest
    }

    /// The devices' bindings, in the manifest's order.
    #[must_use]
    pub fn bindings(&self) -> &[Verified<DeviceBinding>] {
        &self.bindings
    }

    /// Which manifest it is.
    #[must_use]
    pub fn view(&self) -> ManifestView {
        ManifestView::of(&self.manifest)
    }
}

/// Checks one binding for each of `devices`, in their order.
pub(super) fn verify_bindings(
    manifest: &Verified<DeviceManifest>,
    devices: &[ManifestDevice],
    bindings: Vec<Signed<DeviceBinding>>,
) -> Result<Vec<Verified<DeviceBinding>>, VerifyAccountError> {
    if bindings.len() != devices.len() {
        return Err(VerifyAccountError::Bindings);
    }
    devices
        .iter()
        .zip(bindings)
        .map(|(device, binding)| {
            let binding = binding
                .verify(&device.identity_key)
                .map_err(|_| VerifyAccountError::Bindings)?;
            if binds(&binding, manifest, device) {
                Ok(binding)
            } else {
                Err(VerifyAccountError::Bindings)
            }
        })
        .collect()
}

/// Whether a binding is this device's word on the account of this manifest.
pub(super) fn binds(
    binding: &Verified<DeviceBinding>,
    manifest: &Verified<DeviceManifest>,
    device: &ManifestDevice,
) -> bool {
    *binding.signer() == device.identity_key
        && binding.device_id == device.device_id
        && binding.account_key == *manifest.signer()
        && binding.address == manifest.address
}
