//! The handshake's input key material and what is derived from it (X3DH section 3.3, PQXDH section 3.3).

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::primitives::kdf::hkdf_sha256;
use crate::ratchet::RootKey;
use crate::secret::{Secret32, redacted_debug};
use crate::suite::{LABEL_HANDSHAKE, Suite};

/// X3DH's `F` for X25519: 32 bytes no X25519 public key or signature scalar begins with, so that the
/// key material is unlike anything XEdDSA hashes.
const PREFIX: [u8; 32] = [0xff; 32];

/// HKDF salt: as many zeros as SHA-256 has output bytes.
const SALT: [u8; 32] = [0; 32];

/// Room for the prefix, four Diffie-Hellman results and one KEM shared secret, so that no growth leaves
/// a copy behind.
const CAPACITY: usize = 32 * (1 + 4 + 1);

/// Collects shared secrets in the order the suite lays down. A suite with a KEM appends its shared
/// secret after the last Diffie-Hellman result; the suite byte in the label keeps the two apart.
pub(crate) struct HandshakeSecrets(Zeroizing<Vec<u8>>);

impl HandshakeSecrets {
    pub(crate) fn new() -> Self {
        let mut ikm = Vec::with_capacity(CAPACITY);
        ikm.extend_from_slice(&PREFIX);
        Self(Zeroizing::new(ikm))
    }

    /// Appends the result of one Diffie-Hellman or of the key encapsulation.
    pub(crate) fn append(mut self, shared: &[u8; 32]) -> Self {
        self.0.extend_from_slice(shared);
        self
    }

    /// Derives the first root key and forgets what it was made from.
    pub(crate) fn into_root_key(self, suite: Suite) -> RootKey {
        let key = hkdf_sha256::<32>(&SALT, &self.0, &[LABEL_HANDSHAKE, &[suite.byte()]]);
        RootKey::new(Secret32::copy_from(&key))
    }
}

redacted_debug!(HandshakeSecrets);
