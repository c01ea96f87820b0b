//! The root key: where both directions meet (Double Ratchet section 5.2).

use sottovoce_statements::MlKemKey;
use zeroize::Zeroizing;

use crate::chain::{ChainKey, split};
use crate::primitives::dh::SharedSecret;
use crate::primitives::kdf::{hkdf_sha256, sha256};
use crate::primitives::kem::{KemCiphertext, KemSharedSecret};
use crate::secret::{Secret32, redacted_debug};
use crate::suite::{LABEL_ROOT, LABEL_ROOT_KEM, Suite};

/// One per Diffie-Hellman step.
#[derive(Clone)]
pub(crate) struct RootKey(Secret32);

/// A KEM secret, and the public values it is bound to.
pub(crate) struct KemExchange<'a> {
    pub(crate) shared: KemSharedSecret,
    pub(crate) key: &'a MlKemKey,
    pub(crate) ciphertext: &'a KemCiphertext,
}

impl RootKey {
    pub(crate) fn new(secret: Secret32) -> Self {
        Self(secret)
    }

    /// One Diffie-Hellman step: the next root key, and the key of a new chain.
    pub(crate) fn step(&self, suite: Suite, shared: &SharedSecret) -> (Self, ChainKey) {
        self.derive(shared.as_bytes(), &[LABEL_ROOT, &[suite.byte()]])
    }

    /// The same with a KEM secret beside the Diffie-Hellman result: whoever lacks either learns nothing.
    pub(crate) fn step_with_kem(
        &self,
        suite: Suite,
        shared: &SharedSecret,
        kem: &KemExchange<'_>,
    ) -> (Self, ChainKey) {
        let mut both = Zeroizing::new([0; 64]);
        let parts = shared.as_bytes().iter().chain(kem.shared.as_bytes());
        for (to, from) in both.iter_mut().zip(parts) {
            *to = *from;
        }
        let key = sha256(&[kem.key.as_bytes()]);
        let ciphertext = sha256(&[kem.ciphertext.as_bytes()]);
        self.derive(
            both.as_slice(),
            &[LABEL_ROOT_KEM, &[suite.byte()], &key, &ciphertext],
        )
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    fn derive(&self, secrets: &[u8], info: &[&[u8]]) -> (Self, ChainKey) {
        let output = hkdf_sha256::<64>(self.0.as_bytes(), secrets, info);
        let (root, chain) = split::<32, 32>(output.as_slice());
        (
            Self(Secret32::copy_from(&root)),
            ChainKey::new(Secret32::copy_from(&chain)),
        )
    }
}

redacted_debug!(RootKey);
