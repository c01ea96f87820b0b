//! The account's long-term key pair.

use alloc::boxed::Box;

use ed25519_dalek::{Signer, SigningKey};
use rand_core::CryptoRng;
use sottovoce_statements::{AccountKey, DeviceManifest, KeyError, Signed, StatementError};
use zeroize::Zeroizing;

use crate::secret::{Secret32, redacted_debug};

/// The account's Ed25519 key pair (RFC 8032). It signs device manifests and nothing else; its secret
/// lives on the primary device and in the recovery blob.
pub struct AccountKeyPair {
    /// Boxed so that moving it leaves no copy; erased on drop.
    signing_key: Box<SigningKey>,
    public: AccountKey,
}

impl AccountKeyPair {
    /// Draws a new key pair.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        // Every Ed25519 secret has a public key of prime order, so the first draw always serves.
        loop {
            if let Ok(pair) = Self::from_secret_bytes(Secret32::random(rng).as_bytes()) {
                return pair;
            }
        }
    }

    /// Reads a key pair from its 32-byte secret (RFC 8032's private key).
    ///
    /// # Errors
    /// [`KeyError`] if the secret has no proper public key, which no 32 bytes are known to bring about.
    pub fn from_secret_bytes(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let signing_key = Box::new(SigningKey::from_bytes(secret));
        let public = AccountKey::from_slice(signing_key.verifying_key().as_bytes())?;
        Ok(Self { signing_key, public })
    }

    /// The 32-byte secret, to be sealed before it is kept.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing_key.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> AccountKey {
        self.public
    }

    /// Signs a device manifest.
    ///
    /// # Errors
    /// [`StatementError`] when a field of the manifest is out of range.
    pub fn sign_manifest(&self, manifest: DeviceManifest) -> Result<Signed<DeviceManifest>, StatementError> {
        Signed::sign_with(manifest, |bytes| self.signing_key.sign(bytes).to_bytes())
    }
}

redacted_debug!(AccountKeyPair);
