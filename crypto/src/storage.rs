//! Sealing of records at rest, and blinding of the names they are kept under.

use alloc::vec::Vec;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::codec::{Reader, Write};
use crate::error::{OpenError, PassphraseError, SealError};
use crate::primitives::aead::{TAG_LEN, X_NONCE_LEN, open_x, seal_x};
use crate::primitives::kdf::hmac_sha256;
use crate::secret::{Secret32, redacted_debug};

/// Longest record, in bytes: 16 MiB. Records are sealed and opened in one piece; what is larger
/// belongs in a stream of chunks.
pub const MAX_RECORD_LEN: usize = 16 * 1_024 * 1_024;

/// First byte of a sealed record.
const SEAL_VERSION: u8 = 0x01;

/// HMAC input that turns the storage key into the key that seals.
const LABEL_SEAL: &[u8] = b"Sottovoce-v1 storage seal";
/// HMAC input that turns the storage key into the key that blinds.
const LABEL_BLIND: &[u8] = b"Sottovoce-v1 storage blind";

/// Argon2id's memory, in KiB: 64 MiB, with three passes over four lanes the second recommended option
/// of RFC 9106 section 4, which a phone can afford.
const ARGON2_MEMORY_KIB: u32 = 65_536;
/// Argon2id's passes.
const ARGON2_PASSES: u32 = 3;
/// Argon2id's lanes.
const ARGON2_LANES: u32 = 4;

/// The key that seals a device's state: sessions, prekeys, identity, history.
///
/// Each record is encrypted with XChaCha20-Poly1305 under a random nonce, with its context (say, table
/// and row) authenticated, so that records cannot be swapped.
///
/// ```
/// # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
/// use sottovoce_crypto::StorageKey;
///
/// # let rng = &mut ChaCha20Rng::from_seed([1; 32]);
/// let key = StorageKey::generate(rng);
/// let name = key.blind(b"sessions/bob");
/// let sealed = key.seal(rng, &name, b"a session's bytes")?;
/// assert_eq!(key.open(&name, &sealed)?.as_slice(), b"a session's bytes");
/// assert!(key.open(b"another row", &sealed).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StorageKey {
    secret: Secret32,
    sealing: Secret32,
    blinding: Secret32,
}

impl StorageKey {
    /// Draws a new key.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::new(Secret32::random(rng))
    }

    /// Takes 32 secret, uniformly random bytes, such as a platform's key store keeps.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self::new(Secret32::copy_from(&bytes))
    }

    /// Stretches a passphrase with Argon2id (RFC 9106): version 1.3, 3 passes, 4 lanes, 64 MiB, which
    /// takes some tenths of a second. The salt is random, not secret, and kept beside the records.
    ///
    /// # Errors
    /// [`PassphraseError`] when the passphrase is empty or the memory cannot be had.
    pub fn from_passphrase(passphrase: &[u8], salt: &[u8; 16]) -> Result<Self, PassphraseError> {
        if passphrase.is_empty() {
            return Err(PassphraseError::Empty);
        }
        let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, Some(32))
            .map_err(|_| PassphraseError::OutOfMemory)?;
        let mut blocks = Zeroizing::new(Vec::new());
        blocks
            .try_reserve_exact(params.block_count())
            .map_err(|_| PassphraseError::OutOfMemory)?;
        blocks.resize(params.block_count(), Block::new());
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase, salt, key.as_mut_slice(), blocks.as_mut_slice())
            .map_err(|_| PassphraseError::TooLong)?;
        Ok(Self::new(Secret32::copy_from(&key)))
    }

    /// The 32 secret bytes, for a platform's key store.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.secret.as_bytes())
    }

    /// Encrypts a record of at most [`MAX_RECORD_LEN`] bytes. It opens under the same `context` only.
    ///
    /// # Errors
    /// [`SealError`] when it is longer.
    pub fn seal<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
        context: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        if plaintext.len() > MAX_RECORD_LEN {
            return Err(SealError::TooLong);
        }
        let mut nonce = [0; X_NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let mut text = Zeroizing::new(Vec::with_capacity(plaintext.len() + TAG_LEN));
        text.put(plaintext);
        let ciphertext =
            seal_x(self.sealing.as_bytes(), &nonce, &bind(context), text).map_err(|_| SealError::TooLong)?;
        let mut sealed = Vec::with_capacity(1 + X_NONCE_LEN + ciphertext.len());
        sealed.put_u8(SEAL_VERSION);
        sealed.put(&nonce);
        sealed.put(&ciphertext);
        Ok(sealed)
    }

    /// Decrypts what [`seal`](Self::seal) wrote under the same context.
    ///
    /// # Errors
    /// [`OpenError`] when it did not write this.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let mut reader = Reader::new(sealed);
        let version = reader.u8().map_err(|_| OpenError::Refused)?;
        if version != SEAL_VERSION {
            return Err(OpenError::UnsupportedVersion);
        }
        let nonce = reader.array().map_err(|_| OpenError::Refused)?;
        let ciphertext = reader.rest();
        if ciphertext.len() > MAX_RECORD_LEN + TAG_LEN {
            return Err(OpenError::Refused);
        }
        open_x(self.sealing.as_bytes(), nonce, &bind(context), ciphertext).map_err(|_| OpenError::Refused)
    }

    /// A name for a record that tells nothing of `label` to whoever lacks the key: 32 bytes, always the
    /// same for the same label.
    #[must_use]
    pub fn blind(&self, label: &[u8]) -> [u8; 32] {
        *hmac_sha256(self.blinding.as_bytes(), &[label])
    }

    fn new(secret: Secret32) -> Self {
        let sealing = Secret32::copy_from(&hmac_sha256(secret.as_bytes(), &[LABEL_SEAL]));
        let blinding = Secret32::copy_from(&hmac_sha256(secret.as_bytes(), &[LABEL_BLIND]));
        Self {
            secret,
            sealing,
            blinding,
        }
    }
}

redacted_debug!(StorageKey);

/// What a record's tag covers besides the ciphertext.
fn bind(context: &[u8]) -> Vec<u8> {
    [&[SEAL_VERSION], context].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn key() -> StorageKey {
        StorageKey::from_bytes([0x33; 32])
    }

    #[test]
    fn a_record_opens_under_its_key_and_context_only() {
        let rng = &mut ChaCha20Rng::from_seed([1; 32]);
        let sealed = key().seal(rng, b"sessions/1", b"words").unwrap();
        assert_eq!(key().open(b"sessions/1", &sealed).unwrap().as_slice(), b"words");
        assert_eq!(key().open(b"sessions/2", &sealed), Err(OpenError::Refused));
        let other = StorageKey::from_bytes([0x34; 32]);
        assert_eq!(other.open(b"sessions/1", &sealed), Err(OpenError::Refused));
    }

    #[test]
    fn a_damaged_record_is_refused() {
        let rng = &mut ChaCha20Rng::from_seed([1; 32]);
        let sealed = key().seal(rng, b"context", b"words").unwrap();
        for length in 0..sealed.len() {
            assert!(key().open(b"context", &sealed[..length]).is_err());
        }
        for position in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1;
            assert!(key().open(b"context", &damaged).is_err());
        }
        let mut newer = sealed;
        newer[0] = 2;
        assert_eq!(key().open(b"context", &newer), Err(OpenError::UnsupportedVersion));
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        let rng = &mut ChaCha20Rng::from_seed([1; 32]);
        let first = key().seal(rng, b"context", b"words").unwrap();
        assert_ne!(first, key().seal(rng, b"context", b"words").unwrap());
    }

    #[test]
    fn a_record_over_the_limit_is_refused() {
        let rng = &mut ChaCha20Rng::from_seed([1; 32]);
        let largest = vec![0; MAX_RECORD_LEN];
        let sealed = key().seal(rng, b"", &largest).unwrap();
        assert_eq!(key().open(b"", &sealed).unwrap().len(), MAX_RECORD_LEN);
        let larger = vec![0; MAX_RECORD_LEN + 1];
        assert_eq!(key().seal(rng, b"", &larger), Err(SealError::TooLong));
        drop(sealed);

        // One that another implementation sealed all the same.
        let nonce = [0; X_NONCE_LEN];
        let ciphertext = seal_x(key().sealing.as_bytes(), &nonce, &bind(b""), larger.into()).unwrap();
        let sealed = [&[SEAL_VERSION], nonce.as_slice(), &ciphertext].concat();
        assert_eq!(key().open(b"", &sealed), Err(OpenError::Refused));
    }

    #[test]
    fn a_blinded_name_depends_on_key_and_label() {
        assert_eq!(key().blind(b"alice"), key().blind(b"alice"));
        assert_ne!(key().blind(b"alice"), key().blind(b"bob"));
        assert_ne!(
            key().blind(b"alice"),
            StorageKey::from_bytes([0x34; 32]).blind(b"alice")
        );
    }

    #[test]
    fn a_passphrase_and_its_salt_make_the_key() {
        let salt = [7; 16];
        let key = StorageKey::from_passphrase(b"correct horse", &salt).unwrap();
        let again = StorageKey::from_passphrase(b"correct horse", &salt).unwrap();
        assert_eq!(key.to_bytes(), again.to_bytes());
        let salted = StorageKey::from_passphrase(b"correct horse", &[8; 16]).unwrap();
        assert_ne!(key.to_bytes(), salted.to_bytes());
        assert_eq!(
            StorageKey::from_passphrase(b"", &salt).unwrap_err(),
            PassphraseError::Empty
        );
    }

    #[test]
    fn a_storage_key_prints_no_secret() {
        assert_eq!(format!("{:?}", key()), "StorageKey([redacted])");
    }
}
