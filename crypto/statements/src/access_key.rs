//! The hash of an access key: what a server keeps in order to know the key when it is presented.

use core::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// First bytes under the hash.
const LABEL_ACCESS_KEY: &[u8] = b"Sottovoce-v1 access key";

/// SHA-256 of an access key, the capability to send sealed envelopes to an account. The key itself is
/// known to the account and those it trusts with it, and to the server only while it is presented.
#[derive(Clone, Copy)]
pub struct AccessKeyHash([u8; 32]);

impl AccessKeyHash {
    /// Hashes a key, which is 32 bytes long and secret.
    #[must_use]
    pub fn of(key: &[u8; 32]) -> Self {
        let hash = Sha256::new().chain_update(LABEL_ACCESS_KEY).chain_update(key);
        Self(hash.finalize().into())
    }

    /// Reads a hash from its 32 bytes.
    ///
    /// # Errors
    /// [`AccessKeyHashError`] unless it is 32 bytes long.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, AccessKeyHashError> {
        bytes.try_into().map(Self).map_err(|_| AccessKeyHashError)
    }

    /// The 32 bytes, to be kept.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the key that somebody presented is the one. Takes the same time for every key of the
    /// right length.
    #[must_use]
    pub fn admits(&self, presented: &[u8]) -> bool {
        presented.try_into().is_ok_and(|key| *self == Self::of(key))
    }
}

impl PartialEq for AccessKeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for AccessKeyHash {}

impl fmt::Debug for AccessKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It would name the account to whoever reads a log and has the database.
        f.write_str("AccessKeyHash([redacted])")
    }
}

/// Bytes are no hash of an access key: not 32 bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hash of an access key has 32 bytes")]
pub struct AccessKeyHashError;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn an_access_key_is_known_by_its_hash() {
        let hash = AccessKeyHash::of(&[7; 32]);
        assert_eq!(
            hex::encode(hash.as_bytes()),
            "7367524f1197743125b61ed82e73d1bd90a3d05443b1c3ee078011cbc8722537"
        );
        assert_eq!(AccessKeyHash::from_slice(hash.as_bytes()), Ok(hash));
        assert_eq!(AccessKeyHash::from_slice(&[0; 31]), Err(AccessKeyHashError));
        assert_eq!(format!("{hash:?}"), "AccessKeyHash([redacted])");
    }

    #[test]
    fn no_other_key_is_admitted() {
        let key = [7; 32];
        let hash = AccessKeyHash::of(&key);
        assert!(hash.admits(&key));
        assert!(!hash.admits(&[]) && !hash.admits(&key[..31]) && !hash.admits(&[7; 33]));
        assert!(
            !hash.admits(hash.as_bytes()),
            "what the server keeps opens nothing"
        );
        for position in 0..32 {
            for bit in 0..8 {
                let mut other = key;
                other[position] ^= 1 << bit;
                assert!(!hash.admits(&other));
            }
        }
    }
}
