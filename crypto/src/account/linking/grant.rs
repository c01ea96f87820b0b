//! The grant: the account, without its secret, sealed for one new device.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use sottovoce_statements::{DeviceBinding, DeviceManifest, ManifestDevice, Verified, X25519Key};
use zeroize::Zeroizing;

use super::offer::LinkingOffer;
use crate::account::error::GrantSealError;
use crate::account::fields::write_signed;
use crate::account::verified::binds;
use crate::codec::Write;
use crate::padding::{pad_onto, padded_len};
use crate::primitives::aead::{NONCE_LEN, TAG_LEN, seal};
use crate::primitives::dh::{SharedSecret, X25519KeyPair};
use crate::primitives::kdf::hkdf_sha256;

impl LinkingOffer {
    /// Seals a grant for this offer: the manifest, which names the new device already, the `bindings` of
    /// all its other devices in the manifest's order, and whatever the app wants the new device to have.
    ///
    /// # Errors
    /// [`GrantSealError`] when it would not be taken.
    pub fn seal_grant<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
        manifest: &Verified<DeviceManifest>,
        bindings: &[Verified<DeviceBinding>],
        app_data: &[u8],
    ) -> Result<Vec<u8>, GrantSealError> {
        let text = self.grant_text(manifest, bindings, app_data)?;
        let ephemeral = X25519KeyPair::generate(rng);
        let shared = ephemeral
            .secret()
            .diffie_hellman(&self.ephemeral)
            .ok_or(GrantSealError::BadOffer)?;
        let key = GrantKey::new(self, ephemeral.public(), &shared);
        let padded_len = padded_len(&text).ok_or(GrantSealError::TooLong)?;
        let mut grant = Zeroizing::new(Vec::with_capacity(GRANT_HEADER_LEN + padded_len + TAG_LEN));
        grant.put_u8(GRANT_VERSION);
        grant.put(ephemeral.public().as_bytes());
        let header = grant.clone();
        pad_onto(&mut grant, &text).ok_or(GrantSealError::TooLong)?;
        seal(&key.key, &key.nonce, &header, &mut grant, GRANT_HEADER_LEN)
            .map_err(|_| GrantSealError::TooLong)?;
        Ok(core::mem::take(&mut *grant))
    }

    fn grant_text(
        &self,
        manifest: &Verified<DeviceManifest>,
        bindings: &[Verified<DeviceBinding>],
        app_data: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, GrantSealError> {
        if manifest.identity_key(self.device.device_id) != Some(&self.device.identity_key) {
            return Err(GrantSealError::DeviceNotListed);
        }
        let others = others(manifest, &self.device);
        let fit = others.len() == bindings.len()
            && others
                .iter()
                .zip(bindings)
                .all(|(device, binding)| binds(binding, manifest, device));
        if !fit {
            return Err(GrantSealError::Bindings);
        }
        if app_data.len() > MAX_LINKING_DATA_LEN {
            return Err(GrantSealError::TooLong);
        }
        // Room for everything at once: what the app adds may be secret.
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_ACCOUNT_PART_LEN + app_data.len()));
        text.put(manifest.signer().as_bytes());
        write_signed(&mut text, manifest.signed());
        for binding in bindings {
            write_signed(&mut text, binding.signed());
        }
        text.put(app_data);
        Ok(text)
    }
}

/// All devices but the new one.
pub(super) fn others(manifest: &DeviceManifest, new: &ManifestDevice) -> Vec<ManifestDevice> {
    manifest
        .devices
        .iter()
        .filter(|device| device.device_id != new.device_id)
        .copied()
        .collect()
}

/// What one grant is sealed under.
pub(super) struct GrantKey {
    pub(super) key: Zeroizing<[u8; 32]>,
    pub(super) nonce: [u8; NONCE_LEN],
}

impl GrantKey {
    /// From the Diffie-Hellman, which takes having one of the ephemeral secrets, and the pairing secret,
    /// which takes having seen the offer. Who lacks either has nothing.
    pub(super) fn new(offer: &LinkingOffer, primary: &X25519Key, shared: &SharedSecret) -> Self {
        let mut input = Zeroizing::new([0; 64]);
        let (front, back) = input.split_at_mut(32);
        front.copy_from_slice(shared.as_bytes());
        back.copy_from_slice(offer.pairing_secret.0.as_bytes());
        let info: [&[u8]; 3] = [LABEL_GRANT, &offer.public_bytes(), primary.as_bytes()];
        let output = hkdf_sha256::<{ 32 + NONCE_LEN }>(&[0; 32], input.as_slice(), &info);
        let mut key = Zeroizing::new([0; 32]);
        let mut nonce = [0; NONCE_LEN];
        let (first, rest) = output.split_at(32);
        key.copy_from_slice(first);
        nonce.copy_from_slice(rest);
        Self { key, nonce }
    }
}

/// Most bytes the app may add to a grant: 32 KiB, so that a grant fits where a message does.
pub const MAX_LINKING_DATA_LEN: usize = 32 * 1_024;

/// First byte of a grant.
pub(super) const GRANT_VERSION: u8 = 0x01;

/// Bytes before the ciphertext.
pub(super) const GRANT_HEADER_LEN: usize = 1 + 32;

/// HKDF info of a grant.
const LABEL_GRANT: &[u8] = b"Sottovoce-v1 linking grant";

/// More than key, manifest and bindings can take up: 16 bindings of at most 291 bytes.
const MAX_ACCOUNT_PART_LEN: usize = 8_192;
