//! Taking a grant: the account is checked as if a stranger had sent it, and then it is still for the user
//! to say that it is theirs.

use alloc::vec::Vec;

use sottovoce_statements::{
    AccountKey, Address, DeviceBinding, DeviceManifest, ManifestDevice, Verified, X25519Key,
};
use zeroize::Zeroizing;

use super::grant::{GRANT_HEADER_LEN, GRANT_VERSION, GrantKey, others};
use super::offer::LinkingOffer;
use crate::account::error::GrantOpenError;
use crate::account::fields::{read_account_key, read_signed};
use crate::account::verified::{VerifiedAccount, verify_bindings};
use crate::codec::Reader;
use crate::keys::IdentityKeyPair;
use crate::padding::{is_padded_len, unpad};
use crate::primitives::aead::{TAG_LEN, open};
use crate::primitives::dh::X25519Secret;
use crate::secret::redacted_debug;

/// An account that a primary device took this device into, until the user has confirmed that it is theirs:
/// whoever saw the offer could have sent it.
pub struct GrantedAccount {
    manifest: Verified<DeviceManifest>,
    other_bindings: Vec<Verified<DeviceBinding>>,
    device: ManifestDevice,
    app_data: Zeroizing<Vec<u8>>,
}

impl GrantedAccount {
    /// The account's address. Show it, and ask.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.manifest.address
    }

    /// The account key.
    #[must_use]
    pub fn account_key(&self) -> &AccountKey {
        self.manifest.signer()
    }

    /// The manifest, which names this device.
    #[must_use]
    pub fn manifest(&self) -> &Verified<DeviceManifest> {
        &self.manifest
    }

    /// What the app on the primary device added.
    #[must_use]
    pub fn app_data(&self) -> &[u8] {
        &self.app_data
    }

    /// Signs this device's binding, once the user has confirmed the account. The account is now complete,
    /// bindings and all: publish it, and trust it on first use.
    ///
    /// # Errors
    /// [`GrantOpenError::NotThisDevice`] when the key pair is not the one that was offered.
    pub fn join(&self, identity: &IdentityKeyPair) -> Result<VerifiedAccount, GrantOpenError> {
        if identity.public() != self.device.identity_key {
            return Err(GrantOpenError::NotThisDevice);
        }
        let own = identity
            .sign_binding(DeviceBinding {
                account_key: *self.account_key(),
                address: self.address().clone(),
                device_id: self.device.device_id,
            })
            .map_err(|_| GrantOpenError::NotThisDevice)?
            .verify(&self.device.identity_key)
            .map_err(|_| GrantOpenError::NotThisDevice)?;
        let mut bindings = self.other_bindings.clone();
        // The others are in order of their ids, as all of them are to be.
        let place = bindings.partition_point(|other| other.device_id < own.device_id);
        bindings.insert(place, own);
        Ok(VerifiedAccount::from_verified(self.manifest.clone(), bindings))
    }
}

redacted_debug!(GrantedAccount);

pub(super) fn open_grant(
    offer: &LinkingOffer,
    ephemeral: &X25519Secret,
    grant: &[u8],
) -> Result<GrantedAccount, GrantOpenError> {
    let (header, ciphertext) = grant
        .split_at_checked(GRANT_HEADER_LEN)
        .ok_or(GrantOpenError::Refused)?;
    let (version, primary) = header.split_first().ok_or(GrantOpenError::Refused)?;
    if *version != GRANT_VERSION {
        return Err(GrantOpenError::UnsupportedVersion);
    }
    // Nothing longer is decrypted, nor copied.
    if !ciphertext.len().checked_sub(TAG_LEN).is_some_and(is_padded_len) {
        return Err(GrantOpenError::Refused);
    }
    let primary = X25519Key::from_slice(primary).map_err(|_| GrantOpenError::Refused)?;
    let shared = ephemeral
        .diffie_hellman(&primary)
        .ok_or(GrantOpenError::Refused)?;
    let key = GrantKey::new(offer, &primary, &shared);
    let padded = open(&key.key, &key.nonce, header, ciphertext).map_err(|_| GrantOpenError::Refused)?;
    let text = unpad(padded).ok_or(GrantOpenError::Refused)?;
    read_account(&offer.device, &text)
}

fn read_account(device: &ManifestDevice, text: &[u8]) -> Result<GrantedAccount, GrantOpenError> {
    let mut reader = Reader::new(text);
    let account_key = read_account_key(&mut reader).map_err(|_| GrantOpenError::NotThisDevice)?;
    let manifest = read_signed::<DeviceManifest>(&mut reader)
        .map_err(|_| GrantOpenError::NotThisDevice)?
        .verify(&account_key)
        .map_err(|_| GrantOpenError::NotThisDevice)?;
    if manifest.identity_key(device.device_id) != Some(&device.identity_key) {
        return Err(GrantOpenError::NotThisDevice);
    }
    let others = others(&manifest, device);
    let bindings = others
        .iter()
        .map(|_| read_signed(&mut reader).map_err(|_| GrantOpenError::NotThisDevice))
        .collect::<Result<Vec<_>, _>>()?;
    let other_bindings =
        verify_bindings(&manifest, &others, bindings).map_err(|_| GrantOpenError::NotThisDevice)?;
    Ok(GrantedAccount {
        other_bindings,
        device: *device,
        app_data: Zeroizing::new(reader.rest().to_vec()),
        manifest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::fields::write_signed;
    use crate::codec::Write;
    use crate::keys::AccountKeyPair;
    use sottovoce_statements::{DeviceId, Signed};

    fn device(number: u8) -> ManifestDevice {
        ManifestDevice {
            device_id: DeviceId::from_bytes([number; 16]),
            identity_key: identity(number).public(),
        }
    }

    fn identity(number: u8) -> IdentityKeyPair {
        IdentityKeyPair::from_secret_bytes(&[number; 32]).unwrap()
    }

    fn binding(account: &AccountKeyPair, number: u8, signer: u8) -> Signed<DeviceBinding> {
        identity(signer)
            .sign_binding(DeviceBinding {
                account_key: account.public(),
                address: Address::parse("alice@one.example").unwrap(),
                device_id: DeviceId::from_bytes([number; 16]),
            })
            .unwrap()
    }

    /// Whether device 2 takes what the primary put together.
    fn takes(key: &AccountKeyPair, devices: &[ManifestDevice], bindings: &[Signed<DeviceBinding>]) -> bool {
        let signer = AccountKeyPair::from_secret_bytes(&[1; 32]).unwrap();
        let manifest = signer
            .sign_manifest(DeviceManifest {
                address: Address::parse("alice@one.example").unwrap(),
                version: 2,
                previous: [7; 32],
                devices: devices.to_vec(),
            })
            .unwrap();
        let mut text = Vec::new();
        text.put(key.public().as_bytes());
        write_signed(&mut text, &manifest);
        for binding in bindings {
            write_signed(&mut text, binding);
        }
        read_account(&device(2), &text).is_ok()
    }

    #[test]
    fn a_grant_whose_account_does_not_hold_is_refused() {
        let account = AccountKeyPair::from_secret_bytes(&[1; 32]).unwrap();
        let other = AccountKeyPair::from_secret_bytes(&[9; 32]).unwrap();
        let both = [device(1), device(2)];
        let good = binding(&account, 1, 1);
        assert!(takes(&account, &both, core::slice::from_ref(&good)));
        // A manifest that another key signed, or that does not name this device, or under another key.
        assert!(!takes(&other, &both, core::slice::from_ref(&good)));
        assert!(!takes(
            &account,
            &[device(1), device(3)],
            core::slice::from_ref(&good)
        ));
        let stolen = ManifestDevice {
            identity_key: identity(3).public(),
            ..device(2)
        };
        assert!(!takes(&account, &[device(1), stolen], &[good]));
        // A binding that is missing, of another account, of another device, or signed by another.
        for bad in [
            binding(&other, 1, 1),
            binding(&account, 3, 1),
            binding(&account, 1, 3),
        ] {
            assert!(!takes(&account, &both, &[bad]));
        }
        assert!(!takes(&account, &both, &[]));
    }
}
