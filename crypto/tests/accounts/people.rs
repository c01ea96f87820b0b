//! Accounts with their devices, and what a server shows of them.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{
    Account, Address, DeviceBinding, DeviceId, DeviceManifest, ManifestDevice, Signed, Verified,
};
use sottovoce_crypto::{AccountKeyPair, IdentityKeyPair, VerifiedAccount, VerifyAccountError};

pub(crate) const NOW: u64 = 1_800_000_000_000;

pub(crate) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

pub(crate) fn alice() -> Address {
    Address::parse("alice@one.example").unwrap()
}

pub(crate) fn bob() -> Address {
    Address::parse("bob@two.example").unwrap()
}

/// The account with this secret.
pub(crate) fn account(seed: u8) -> AccountKeyPair {
    AccountKeyPair::from_secret_bytes(&[seed; 32]).unwrap()
}

pub(crate) fn who(address: &Address, account: &AccountKeyPair) -> Account {
    Account {
        address: address.clone(),
        account_key: account.public(),
    }
}

/// The identity of the device with this number.
pub(crate) fn identity(device: u8) -> IdentityKeyPair {
    IdentityKeyPair::from_secret_bytes(&[device; 32]).unwrap()
}

pub(crate) fn device_id(device: u8) -> DeviceId {
    DeviceId::from_bytes([device; 16])
}

pub(crate) fn device(number: u8) -> ManifestDevice {
    ManifestDevice {
        device_id: device_id(number),
        identity_key: identity(number).public(),
    }
}

pub(crate) fn first(account: &AccountKeyPair, address: &Address) -> Verified<DeviceManifest> {
    account.first_manifest(address.clone(), device(1)).unwrap()
}

/// A manifest of any version and history, as only the owner of an account key can sign.
pub(crate) fn manifest(
    account: &AccountKeyPair,
    address: &Address,
    version: u64,
    previous: [u8; 32],
    devices: &[u8],
) -> Verified<DeviceManifest> {
    let manifest = DeviceManifest {
        address: address.clone(),
        version,
        previous,
        devices: devices.iter().map(|number| device(*number)).collect(),
    };
    account
        .sign_manifest(manifest)
        .unwrap()
        .verify(&account.public())
        .unwrap()
}

/// The binding of a device, numbered by the first byte of its id.
pub(crate) fn binding(manifest: &Verified<DeviceManifest>, id: DeviceId) -> Signed<DeviceBinding> {
    identity(id.as_bytes()[0])
        .sign_binding(DeviceBinding {
            account_key: *manifest.signer(),
            address: manifest.address.clone(),
            device_id: id,
        })
        .unwrap()
}

pub(crate) fn bindings(manifest: &Verified<DeviceManifest>) -> Vec<Signed<DeviceBinding>> {
    let devices = manifest.devices.iter();
    devices
        .map(|device| binding(manifest, device.device_id))
        .collect()
}

pub(crate) fn verify(
    manifest: &Verified<DeviceManifest>,
    bindings: Vec<Signed<DeviceBinding>>,
) -> Result<VerifiedAccount, VerifyAccountError> {
    let signed = manifest.signed().clone();
    VerifiedAccount::verify(&manifest.address, manifest.signer(), signed, bindings)
}

/// The account as an honest server shows it.
pub(crate) fn shown(manifest: &Verified<DeviceManifest>) -> VerifiedAccount {
    verify(manifest, bindings(manifest)).unwrap()
}
