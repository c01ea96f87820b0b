//! Public keys, each of its own type, each in the only encoding it has.

use core::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

/// An account's long-term Ed25519 public key (RFC 8032). Signs device manifests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccountKey(VerifyingKey);

/// A device's Ed25519 identity key (RFC 8032). Signs prekeys, bindings and challenges; its X25519 form
/// takes part in the handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IdentityKey(VerifyingKey);

/// An X25519 public key (RFC 7748), reduced: a prekey or a ratchet key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct X25519Key([u8; 32]);

/// A kind of public key that signs statements.
pub trait SigningKeyKind: Copy + fmt::Debug + PartialEq + Eq {
    /// The byte that stands for this kind of signer in a statement's header.
    const SIGNER: u8;
    /// Whether `signature` is this key's over `message`, with RFC 8032's strict checks.
    fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool;
}

macro_rules! ed25519_key {
    ($name:ident, $signer:expr) => {
        impl $name {
            /// Reads a key from its 32 bytes.
            ///
            /// # Errors
            /// [`KeyError`] unless it is the canonical encoding of a point of prime order, so that one
            /// key has one encoding and no key verifies what nobody signed.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
                ed25519_point(bytes).map(Self)
            }

            /// The 32 bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }

            /// The key as the signature library holds it.
            #[must_use]
            pub fn verifying_key(&self) -> &VerifyingKey {
                &self.0
            }
        }

        impl SigningKeyKind for $name {
            const SIGNER: u8 = $signer;

            fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
                self.0
                    .verify_strict(message, &Signature::from_bytes(signature))
                    .is_ok()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "("))?;
                self.as_bytes()
                    .iter()
                    .try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(")")
            }
        }
    };
}

ed25519_key!(AccountKey, 0x01);
ed25519_key!(IdentityKey, 0x02);

impl X25519Key {
    /// Reads a key from its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] unless it is the reduced encoding of a u-coordinate other than zero. Other points
    /// of small order show only when the Diffie-Hellman result is zero, which the handshake refuses.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Length)?;
        let reduced = bytes.iter().rev().lt(FIELD_PRIME.iter().rev());
        if !reduced {
            return Err(KeyError::NotCanonical);
        }
        if bytes == [0; 32] {
            return Err(KeyError::SmallOrder);
        }
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for X25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("X25519Key(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// Why bytes are not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes long.
    #[error("a public key has 32 bytes")]
    Length,
    /// Not 1184 bytes long, where an ML-KEM-768 key was expected.
    #[error("an ML-KEM-768 key has 1184 bytes")]
    KemLength,
    /// Not a point of the curve or not coefficients below the modulus, or not written in the one canonical form.
    #[error("not the canonical encoding of a key")]
    NotCanonical,
    /// A point of small order, or with a part of small order.
    #[error("not a point of prime order")]
    SmallOrder,
}

fn ed25519_point(bytes: &[u8]) -> Result<VerifyingKey, KeyError> {
    let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Length)?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotCanonical)?;
    let point = key.to_edwards();
    if point.compress().as_bytes() != bytes {
        return Err(KeyError::NotCanonical);
    }
    if key.is_weak() || !point.is_torsion_free() {
        return Err(KeyError::SmallOrder);
    }
    Ok(key)
}

/// 2^255 − 19, little-endian: coordinates are below it (RFC 7748 section 4.1).
const FIELD_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    #[test]
    fn an_ed25519_key_of_small_order_is_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(
            IdentityKey::from_slice(&identity).unwrap_err(),
            KeyError::SmallOrder
        );
        assert_eq!(
            IdentityKey::from_slice(&[0; 32]).unwrap_err(),
            KeyError::SmallOrder
        );
    }

    #[test]
    fn an_ed25519_key_with_a_torsion_part_is_refused() {
        let honest = SigningKey::from_bytes(&[3; 32]).verifying_key().to_edwards();
        let order_two = {
            let mut bytes = FIELD_PRIME;
            bytes[0] = 0xec;
            VerifyingKey::from_bytes(&bytes).unwrap().to_edwards()
        };
        let mixed = (honest + order_two).compress();
        assert_eq!(
            AccountKey::from_slice(mixed.as_bytes()).unwrap_err(),
            KeyError::SmallOrder
        );
    }

    #[test]
    fn a_second_encoding_of_a_key_is_refused() {
        // y = 1 + p encodes the same point as y = 1.
        let mut bytes = FIELD_PRIME;
        bytes[0] = 0xee;
        assert_eq!(
            IdentityKey::from_slice(&bytes).unwrap_err(),
            KeyError::NotCanonical
        );
        assert_eq!(X25519Key::from_slice(&bytes).unwrap_err(), KeyError::NotCanonical);
        assert_eq!(
            X25519Key::from_slice(&FIELD_PRIME).unwrap_err(),
            KeyError::NotCanonical
        );
        assert_eq!(
            X25519Key::from_slice(&[0xff; 32]).unwrap_err(),
            KeyError::NotCanonical
        );
        assert_eq!(X25519Key::from_slice(&[0; 32]).unwrap_err(), KeyError::SmallOrder);
        let mut largest = FIELD_PRIME;
        largest[0] = 0xec;
        assert!(X25519Key::from_slice(&largest).is_ok());
    }

    #[test]
    fn a_key_verifies_its_own_signatures_only() {
        let signer = SigningKey::from_bytes(&[3; 32]);
        let key = IdentityKey::from_slice(signer.verifying_key().as_bytes()).unwrap();
        let signature = signer.sign(b"words").to_bytes();
        assert!(key.verifies(b"words", &signature));
        assert!(!key.verifies(b"other words", &signature));
    }
}
