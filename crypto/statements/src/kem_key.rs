//! ML-KEM-768 encapsulation keys (FIPS 203), in their one encoding.

use alloc::boxed::Box;
use core::fmt;

use crate::keys::KeyError;

/// An ML-KEM-768 encapsulation key: 1184 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct MlKemKey(Box<[u8; MlKemKey::LEN]>);

/// The modulus of ML-KEM; every coefficient of a key is less (FIPS 203 section 2.4.1).
const MODULUS: u16 = 3_329;
/// Bytes of a key before the 32-byte seed at its end: 3 polynomials of 256 coefficients of 12 bits.
const COEFFICIENTS_LEN: usize = 3 * 256 * 12 / 8;

impl MlKemKey {
    /// Length of a key, in bytes.
    pub const LEN: usize = COEFFICIENTS_LEN + 32;

    /// Reads a key from its 1184 bytes.
    ///
    /// # Errors
    /// [`KeyError`] unless every coefficient is reduced (the modulus check of FIPS 203 section 7.2), so
    /// that one key has one encoding.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().map_err(|_| KeyError::KemLength)?;
        let (coefficients, _seed) = bytes.split_at(COEFFICIENTS_LEN);
        let (triples, _) = coefficients.as_chunks::<3>();
        let reduced = triples.iter().all(|&[low, middle, high]| {
            let first = u16::from(low) | u16::from(middle & 0x0f) << 8;
            let second = u16::from(middle >> 4) | u16::from(high) << 4;
            first < MODULUS && second < MODULUS
        });
        if reduced {
            Ok(Self(Box::new(*bytes)))
        } else {
            Err(KeyError::NotCanonical)
        }
    }

    /// The 1184 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for MlKemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MlKemKey(")?;
        // Enough to tell keys apart; all of it fills a page.
        self.0
            .iter()
            .take(8)
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kem_key_whose_coefficients_are_not_reduced_is_refused() {
        assert!(MlKemKey::from_slice(&[0; MlKemKey::LEN]).is_ok());
        // 3328 and 3329, in the low and in the high half of a triple.
        for (triple, good) in [
            ([0x00, 0x0d, 0x00], true),
            ([0x01, 0x0d, 0x00], false),
            ([0x00, 0x00, 0xd0], true),
            ([0x00, 0x10, 0xd0], false),
        ] {
            for position in [0, COEFFICIENTS_LEN - 3] {
                let mut bytes = [0; MlKemKey::LEN];
                bytes[position..position + 3].copy_from_slice(&triple);
                assert_eq!(MlKemKey::from_slice(&bytes).is_ok(), good, "{triple:x?}");
            }
        }
        let mut seed = [0; MlKemKey::LEN];
        seed[COEFFICIENTS_LEN..].fill(0xff);
        assert!(MlKemKey::from_slice(&seed).is_ok(), "the seed may be anything");
    }

    #[test]
    fn a_kem_key_of_another_length_is_refused() {
        for length in [0, 32, MlKemKey::LEN - 1, MlKemKey::LEN + 1] {
            assert_eq!(
                MlKemKey::from_slice(&alloc::vec![0; length]).unwrap_err(),
                KeyError::KemLength
            );
        }
    }
}
