//! Access keys: who may send an account what its server cannot see the sender of.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use sottovoce_statements::AccessKeyHash;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::codec::{StateKind, Write, begin_state, read_state};
use crate::error::StateError;
use crate::secret::{Secret32, redacted_debug};

/// An account's access key, 32 random bytes: whoever presents it may send the account's devices sealed
/// envelopes, and fetch the prekeys for it, without saying who they are.
///
/// Ours we draw, and tell our contacts in messages; theirs they tell us. The server keeps the hash of it.
/// To shut somebody out, draw another.
#[derive(Clone)]
pub struct AccessKey(Secret32);

impl AccessKey {
    /// Draws a new key: for a new account, and whenever somebody who has the old one is to be shut out.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(Secret32::random(rng))
    }

    /// Takes the 32 bytes that came in a message.
    #[must_use]
    pub fn from_secret_bytes(bytes: &[u8; 32]) -> Self {
        Self(Secret32::copy_from(bytes))
    }

    /// The 32 bytes, to present to the server of the account, or to tell a contact in a message.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.0.as_bytes())
    }

    /// What the account's server keeps of it.
    #[must_use]
    pub fn hash(&self) -> AccessKeyHash {
        AccessKeyHash::of(self.0.as_bytes())
    }

    /// The key as state to be sealed and kept, 34 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(STATE_LEN));
        begin_state(StateKind::AccessKey, &mut bytes);
        bytes.put(self.0.as_bytes());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`StateError`] when it did not write this.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = read_state(StateKind::AccessKey, bytes)?;
        let key = Self::from_secret_bytes(reader.array()?);
        reader.finish()?;
        Ok(key)
    }
}

impl PartialEq for AccessKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for AccessKey {}

redacted_debug!(AccessKey);

/// Bytes of a stored key: version, kind, key.
const STATE_LEN: usize = 2 + 32;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn a_new_access_key_shuts_out_the_old_one() {
        let rng = &mut ChaCha20Rng::from_seed([1; 32]);
        let (old, new) = (AccessKey::generate(rng), AccessKey::generate(rng));
        assert!(new.hash().admits(new.to_secret_bytes().as_slice()));
        assert!(!new.hash().admits(old.to_secret_bytes().as_slice()));
        assert_ne!(old, new);
        assert_eq!(AccessKey::from_secret_bytes(&old.to_secret_bytes()), old);
    }

    #[test]
    fn a_stored_access_key_is_read_strictly() {
        let key = AccessKey::from_secret_bytes(&[9; 32]);
        let bytes = key.to_bytes();
        assert_eq!(bytes.as_slice(), [&[1, 8], [9; 32].as_slice()].concat());
        assert_eq!(AccessKey::from_bytes(&bytes), Ok(key));
        for length in 0..bytes.len() {
            assert!(AccessKey::from_bytes(&bytes[..length]).is_err());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(AccessKey::from_bytes(&longer), Err(StateError::Malformed));
        let mut other = bytes.to_vec();
        other[1] = 1;
        assert_eq!(AccessKey::from_bytes(&other), Err(StateError::Malformed));
        other[0] = 2;
        assert_eq!(AccessKey::from_bytes(&other), Err(StateError::UnsupportedVersion));
    }

    #[test]
    fn an_access_key_prints_nothing_of_itself() {
        let key = AccessKey::from_secret_bytes(&[9; 32]);
        assert_eq!(format!("{key:?}"), "AccessKey([redacted])");
    }
}
