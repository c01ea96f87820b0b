//! X25519 (RFC 7748): key pairs, and a Diffie-Hellman that refuses to agree on nothing.

use rand_core::CryptoRng;
use sottovoce_statements::X25519Key;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::secret::{Secret32, redacted_debug};

/// An X25519 secret of ours.
#[derive(Clone)]
pub(crate) struct X25519Secret(Secret32);

impl X25519Secret {
    pub(crate) fn copy_from(bytes: &[u8; 32]) -> Self {
        Self(Secret32::copy_from(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// X25519 with their key, or `None` if the result is all zeros: their key was of small order and
    /// contributed nothing (RFC 7748 section 6.1).
    pub(crate) fn diffie_hellman(&self, theirs: &X25519Key) -> Option<SharedSecret> {
        let shared =
            StaticSecret::from(*self.as_bytes()).diffie_hellman(&PublicKey::from(*theirs.as_bytes()));
        shared
            .was_contributory()
            .then(|| SharedSecret(Secret32::copy_from(shared.as_bytes())))
    }
}

redacted_debug!(X25519Secret);

/// What two X25519 keys agree on.
pub(crate) struct SharedSecret(Secret32);

impl SharedSecret {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

redacted_debug!(SharedSecret);

/// An X25519 key pair of ours: an ephemeral key, a prekey or a ratchet key.
#[derive(Clone)]
pub(crate) struct X25519KeyPair {
    secret: X25519Secret,
    public: X25519Key,
}

impl X25519KeyPair {
    pub(crate) fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        // A clamped secret is never a multiple of the group order, so its public key is never zero and
        // the first draw always serves.
        loop {
            if let Some(pair) = Self::from_secret(X25519Secret(Secret32::random(rng))) {
                return pair;
            }
        }
    }

    pub(crate) fn from_secret(secret: X25519Secret) -> Option<Self> {
        let public = PublicKey::from(&StaticSecret::from(*secret.as_bytes()));
        X25519Key::from_slice(public.as_bytes())
            .ok()
            .map(|public| Self { secret, public })
    }

    pub(crate) fn secret(&self) -> &X25519Secret {
        &self.secret
    }

    pub(crate) fn public(&self) -> &X25519Key {
        &self.public
    }
}

redacted_debug!(X25519KeyPair);

/// The X25519 secret that belongs to an Ed25519 signing key: the scalar of RFC 8032 section 5.1.5, whose
/// public key is the birational image of the Ed25519 one (RFC 7748 section 4.1).
pub(crate) fn identity_secret(signing_key: &ed25519_dalek::SigningKey) -> X25519Secret {
    let scalar = Zeroizing::new(signing_key.to_scalar_bytes());
    X25519Secret::copy_from(&scalar)
}

/// The X25519 form of an identity key. `None` cannot happen to a key of prime order.
pub(crate) fn identity_public(key: &sottovoce_statements::IdentityKey) -> Option<X25519Key> {
    X25519Key::from_slice(key.verifying_key().to_montgomery().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use sottovoce_statements::IdentityKey;

    #[test]
    fn the_x25519_form_of_an_identity_matches_on_both_sides() {
        for seed in 0..32 {
            let signing_key = SigningKey::from_bytes(&[seed; 32]);
            let public = IdentityKey::from_slice(signing_key.verifying_key().as_bytes()).unwrap();
            let pair = X25519KeyPair::from_secret(identity_secret(&signing_key)).unwrap();
            assert_eq!(pair.public(), &identity_public(&public).unwrap());
        }
    }

    #[test]
    fn a_key_of_small_order_contributes_nothing_and_is_refused() {
        let ours = X25519Secret::copy_from(&[9; 32]);
        // The canonical u-coordinates of small order, other than 0 which is no X25519Key at all.
        let small = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        ];
        for point in small {
            let theirs = X25519Key::from_slice(&hex::decode(point).unwrap()).unwrap();
            assert!(ours.diffie_hellman(&theirs).is_none());
        }
    }
}
