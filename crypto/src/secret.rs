//! Thirty-two secret bytes: boxed so that moving them leaves no copy, erased on drop, never printed.

use alloc::boxed::Box;
use core::fmt;

use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A 256-bit secret. Every key of this package that must stay secret is one of these inside a type of
/// its own.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret32(Box<[u8; 32]>);

impl Secret32 {
    pub(crate) fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut secret = Self(Box::new([0; 32]));
        rng.fill_bytes(secret.0.as_mut_slice());
        secret
    }

    pub(crate) fn copy_from(bytes: &[u8; 32]) -> Self {
        Self(Box::new(*bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl ConstantTimeEq for Secret32 {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// What every secret prints.
pub(crate) const REDACTED: &str = "[redacted]";

/// Gives a type that holds secrets a `Debug` that tells its name and nothing else.
macro_rules! redacted_debug {
    ($name:ident) => {
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                f.write_str($crate::secret::REDACTED)?;
                f.write_str(")")
            }
        }
    };
}

pub(crate) use redacted_debug;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let secret = Secret32::copy_from(&[0xab; 32]);
        assert_eq!(format!("{secret:?}"), "[redacted]");
    }

    #[test]
    fn secrets_compare_by_value() {
        let one = Secret32::copy_from(&[1; 32]);
        assert!(bool::from(one.ct_eq(&one.clone())));
        assert!(!bool::from(one.ct_eq(&Secret32::copy_from(&[2; 32]))));
    }

    #[test]
    fn zeroizing_a_secret_erases_it() {
        let mut secret = Secret32::copy_from(&[7; 32]);
        secret.zeroize();
        assert_eq!(secret.as_bytes(), &[0; 32]);
    }
}
