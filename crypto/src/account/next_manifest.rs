//! Our own manifests: the first, and each that follows.

use alloc::vec;
use alloc::vec::Vec;

use sottovoce_statements::{Address, DeviceId, DeviceManifest, MAX_DEVICES, ManifestDevice, Verified};

use super::error::NextManifestError;
use crate::keys::AccountKeyPair;

impl AccountKeyPair {
    /// Signs the first manifest of a new account, with its first device.
    ///
    /// # Errors
    /// [`NextManifestError::Refused`], which no address and device are known to bring about.
    pub fn first_manifest(
        &self,
        address: Address,
        device: ManifestDevice,
    ) -> Result<Verified<DeviceManifest>, NextManifestError> {
        self.sign_own(DeviceManifest {
            address,
            version: 1,
            previous: [0; 32],
            devices: vec![device],
        })
    }

    /// Signs the manifest that follows `current`: without the `revoked` devices, and with the `added`
    /// ones.
    ///
    /// What it returns is the account's manifest from now on, whatever becomes of it: keep it before
    /// anybody sees it, and never sign a second one that follows the same. Two manifests of one version
    /// are a fork, which peers refuse.
    ///
    /// # Errors
    /// [`NextManifestError`] when this is not the account's manifest, or the change cannot be made to it.
    pub fn next_manifest(
        &self,
        current: &Verified<DeviceManifest>,
        added: &[ManifestDevice],
        revoked: &[DeviceId],
    ) -> Result<Verified<DeviceManifest>, NextManifestError> {
        if *current.signer() != self.public() {
            return Err(NextManifestError::NotOurs);
        }
        if revoked.iter().any(|id| current.identity_key(*id).is_none()) {
            return Err(NextManifestError::NoSuchDevice);
        }
        let mut devices: Vec<ManifestDevice> = current
            .devices
            .iter()
            .filter(|device| !revoked.contains(&device.device_id))
            .copied()
            .collect();
        for device in added {
            // An id or a key that was revoked in the same step does not come back in another pairing.
            let taken = |other: &ManifestDevice| {
                other.device_id == device.device_id || other.identity_key == device.identity_key
            };
            if current.devices.iter().any(taken) || devices.iter().any(taken) {
                return Err(NextManifestError::DeviceAlreadyThere);
            }
            if devices.len() == MAX_DEVICES {
                return Err(NextManifestError::TooManyDevices);
            }
            devices.push(*device);
        }
        if devices.is_empty() {
            return Err(NextManifestError::NoDeviceLeft);
        }
        devices.sort_by_key(|device| device.device_id);
        self.sign_own(DeviceManifest {
            address: current.address.clone(),
            version: current.version.checked_add(1).ok_or(NextManifestError::Refused)?,
            previous: current.hash(),
            devices,
        })
    }

    fn sign_own(&self, manifest: DeviceManifest) -> Result<Verified<DeviceManifest>, NextManifestError> {
        self.sign_manifest(manifest)
            .map_err(|_| NextManifestError::Refused)?
            .verify(&self.public())
            .map_err(|_| NextManifestError::Refused)
    }
}
