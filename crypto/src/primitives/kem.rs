//! ML-KEM-768 (FIPS 203).

use alloc::boxed::Box;
use core::fmt;
use core::ops::IndexMut;

use libcrux_ml_kem::mlkem768;
use rand_core::CryptoRng;
use sottovoce_statements::MlKemKey;
use zeroize::{Zeroize, Zeroizing};

use crate::secret::{Secret32, redacted_debug};

/// Length of the seed a key pair is made from, in bytes: `d`, then `z` (FIPS 203 section 7.1).
pub(crate) const KEM_SEED_LEN: usize = 64;

/// An ML-KEM-768 key pair of ours, stored as its seed.
#[derive(Clone)]
pub(crate) struct KemKeyPair {
    seed: Box<Zeroizing<[u8; KEM_SEED_LEN]>>,
    secret: ExpandedSecret,
    public: MlKemKey,
}

impl KemKeyPair {
    pub(crate) fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        // Every key that is generated has reduced coefficients, so the first draw always serves.
        loop {
            let mut seed = Box::new(Zeroizing::new([0; KEM_SEED_LEN]));
            rng.fill_bytes(seed.as_mut_slice());
            if let Some(pair) = Self::from_seed(seed) {
                return pair;
            }
        }
    }

    pub(crate) fn copy_from_seed(seed: &[u8; KEM_SEED_LEN]) -> Option<Self> {
        Self::from_seed(Box::new(Zeroizing::new(*seed)))
    }

    pub(crate) fn seed(&self) -> &[u8; KEM_SEED_LEN] {
        &self.seed
    }

    pub(crate) fn public(&self) -> &MlKemKey {
        &self.public
    }

    /// The shared secret in `ciphertext`. One that was not made for this key gives a secret that nobody
    /// else has (FIPS 203's implicit rejection).
    pub(crate) fn decapsulate(&self, ciphertext: &KemCiphertext) -> KemSharedSecret {
        let mut shared = mlkem768::decapsulate(&self.secret.0, &(&*ciphertext.0).into());
        KemSharedSecret::take(&mut shared)
    }

    fn from_seed(seed: Box<Zeroizing<[u8; KEM_SEED_LEN]>>) -> Option<Self> {
        let (secret, public) = mlkem768::generate_key_pair(**seed).into_parts();
        Some(Self {
            seed,
            secret: ExpandedSecret(Box::new(secret)),
            public: MlKemKey::from_slice(public.as_slice()).ok()?,
        })
    }
}

redacted_debug!(KemKeyPair);

/// What the seed expands to. The library does not erase it.
#[derive(Clone)]
struct ExpandedSecret(Box<mlkem768::MlKem768PrivateKey>);

impl Drop for ExpandedSecret {
    fn drop(&mut self) {
        let whole = 0..mlkem768::MlKem768PrivateKey::len();
        self.0.index_mut(whole).zeroize();
    }
}

/// Draws a secret and wraps it for `key`.
pub(crate) fn encapsulate<R: CryptoRng + ?Sized>(
    rng: &mut R,
    key: &MlKemKey,
) -> (KemCiphertext, KemSharedSecret) {
    let drawn = Secret32::random(rng);
    let (ciphertext, mut shared) = mlkem768::encapsulate(&key.as_bytes().into(), *drawn.as_bytes());
    let ciphertext = KemCiphertext(Box::new(*ciphertext.as_slice()));
    (ciphertext, KemSharedSecret::take(&mut shared))
}

/// What two sides share after a key encapsulation.
pub(crate) struct KemSharedSecret(Secret32);

impl KemSharedSecret {
    fn take(bytes: &mut [u8; 32]) -> Self {
        let secret = Secret32::copy_from(bytes);
        bytes.zeroize();
        Self(secret)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

redacted_debug!(KemSharedSecret);

/// A wrapped secret. Any bytes of the right length are one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KemCiphertext(Box<[u8; KemCiphertext::LEN]>);

impl KemCiphertext {
    /// Length of a ciphertext, in bytes.
    pub(crate) const LEN: usize = 1_088;

    pub(crate) fn copy_from(bytes: &[u8; Self::LEN]) -> Self {
        Self(Box::new(*bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for KemCiphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemCiphertext")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    #[test]
    fn both_sides_of_an_encapsulation_share_a_secret() {
        let rng = &mut ChaCha20Rng::from_seed([1; 32]);
        let pair = KemKeyPair::generate(rng);
        let (ciphertext, shared) = encapsulate(rng, pair.public());
        assert_eq!(pair.decapsulate(&ciphertext).as_bytes(), shared.as_bytes());
        let again = KemKeyPair::copy_from_seed(pair.seed()).unwrap();
        assert_eq!(again.decapsulate(&ciphertext).as_bytes(), shared.as_bytes());
    }

    #[test]
    fn another_key_or_ciphertext_gives_another_secret() {
        let rng = &mut ChaCha20Rng::from_seed([2; 32]);
        let (pair, other) = (KemKeyPair::generate(rng), KemKeyPair::generate(rng));
        let (ciphertext, shared) = encapsulate(rng, pair.public());
        assert_ne!(other.decapsulate(&ciphertext).as_bytes(), shared.as_bytes());
        let mut bytes = *ciphertext.as_bytes();
        bytes[500] ^= 1;
        let damaged = KemCiphertext::copy_from(&bytes);
        assert_ne!(pair.decapsulate(&damaged).as_bytes(), shared.as_bytes());
    }

    #[test]
    fn we_refuse_the_keys_that_the_library_refuses() {
        let rng = &mut ChaCha20Rng::from_seed([3; 32]);
        let pair = KemKeyPair::generate(rng);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..2_000 {
            let mut bytes = *pair.public().as_bytes();
            let position = usize::from(rng.next_u32() as u16) % bytes.len();
            bytes[position] = rng.next_u32() as u8;
            let ours = MlKemKey::from_slice(&bytes).is_ok();
            assert_eq!(ours, mlkem768::validate_public_key(&bytes.into()));
            if ours { taken += 1 } else { refused += 1 }
        }
        assert!(taken > 100 && refused > 100, "both happened: {taken}, {refused}");
    }

    #[test]
    fn kem_secrets_print_nothing_of_themselves() {
        let rng = &mut ChaCha20Rng::from_seed([4; 32]);
        let pair = KemKeyPair::generate(rng);
        assert_eq!(format!("{pair:?}"), "KemKeyPair([redacted])");
        let (_, shared) = encapsulate(rng, pair.public());
        assert_eq!(format!("{shared:?}"), "KemSharedSecret([redacted])");
    }
}
