//! The signing key of a sender key: made for it, used for nothing else.

use alloc::boxed::Box;

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use rand_core::CryptoRng;
use sottovoce_statements::IdentityKey;

use crate::codec::Malformed;
use crate::primitives::kdf::sha256;
use crate::secret::{Secret32, redacted_debug};
use crate::sender_keys::LABEL_SENDER_KEY_SIGNATURE;
use crate::sender_keys::context::AssociatedData;

/// Length of a signature, in bytes (RFC 8032).
pub(crate) const SIGNATURE_LEN: usize = 64;

/// Our signing key: boxed so that moving it leaves no copy, erased on drop.
pub(crate) struct SenderSigningKey(Box<SigningKey>);

impl SenderSigningKey {
    pub(crate) fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from_secret(&Secret32::random(rng))
    }

    pub(crate) fn from_secret(secret: &Secret32) -> Self {
        Self(Box::new(SigningKey::from_bytes(secret.as_bytes())))
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) fn public(&self) -> SenderVerifyingKey {
        SenderVerifyingKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, digest: &MessageDigest) -> [u8; SIGNATURE_LEN] {
        self.0.sign(&digest.0).to_bytes()
    }
}

redacted_debug!(SenderSigningKey);

/// Their signing key. It is kept as a point, for reading it costs as much as a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderVerifyingKey(VerifyingKey);

impl SenderVerifyingKey {
    /// The canonical encoding of a point of prime order, or nothing.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Malformed> {
        // The rules for Ed25519 keys have their place in the statements; this is no identity.
        let checked = IdentityKey::from_slice(bytes).map_err(|_| Malformed)?;
        Ok(Self(*checked.verifying_key()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// RFC 8032 without the cofactor, and no `R` of small order.
    ///
    /// The check computes `S·B − k·A`, which is of prime order or the identity since `A` is of prime order,
    /// and compares its encoding with `R`. The identity is therefore the only `R` of small order that it
    /// could let pass, and is told by its bytes; a strict check would decompress `R` to find out the same.
    pub(crate) fn verifies(&self, digest: &MessageDigest, signature: &[u8; SIGNATURE_LEN]) -> bool {
        let signature = Signature::from_bytes(signature);
        *signature.r_bytes() != IDENTITY && self.0.verify(&digest.0, &signature).is_ok()
    }
}

/// What a signature covers: the sender, the channel, and every byte of the message before the signature.
///
/// Ed25519 hashes what it signs twice, one time after the other; a hash of the message makes that one short
/// block each. A hash of the whole ciphertext, because its tag would not do: members have the key the
/// tag was made with, and could find another ciphertext for it.
pub(crate) struct MessageDigest([u8; 32]);

impl MessageDigest {
    pub(crate) fn new(associated_data: &AssociatedData, prefix: &[u8], ciphertext: &[u8]) -> Self {
        Self(sha256(&[
            LABEL_SENDER_KEY_SIGNATURE,
            associated_data,
            prefix,
            ciphertext,
        ]))
    }
}

/// The encoding of the identity (RFC 8032 section 5.1.2): x = 0, y = 1.
const IDENTITY: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::Scalar;
    use sha2::{Digest, Sha512};

    #[test]
    fn a_signature_is_good_for_one_key_and_one_message() {
        let key = SenderSigningKey::from_secret(&Secret32::copy_from(&[1; 32]));
        let other = SenderSigningKey::from_secret(&Secret32::copy_from(&[2; 32]));
        let digest = MessageDigest([3; 32]);
        let signature = key.sign(&digest);
        assert!(key.public().verifies(&digest, &signature));
        assert!(!other.public().verifies(&digest, &signature));
        assert!(!key.public().verifies(&MessageDigest([4; 32]), &signature));
        for position in 0..SIGNATURE_LEN {
            let mut damaged = signature;
            damaged[position] ^= 1;
            assert!(!key.public().verifies(&digest, &damaged));
        }
    }

    #[test]
    fn a_signature_whose_point_is_the_identity_is_refused() {
        // With r = 0 the equation holds for R = identity and S = k·a: a plain check lets it pass.
        let key = SenderSigningKey::from_secret(&Secret32::copy_from(&[1; 32]));
        let digest = MessageDigest([3; 32]);
        let hash = Sha512::new()
            .chain_update(IDENTITY)
            .chain_update(key.public().as_bytes())
            .chain_update(digest.0);
        let s = Scalar::from_hash(hash) * key.0.to_scalar();
        let mut signature = [0; SIGNATURE_LEN];
        signature[..32].copy_from_slice(&IDENTITY);
        signature[32..].copy_from_slice(s.as_bytes());
        let parsed = Signature::from_bytes(&signature);
        assert!(key.public().0.verify(&digest.0, &parsed).is_ok());
        assert!(key.public().0.verify_strict(&digest.0, &parsed).is_err());
        assert!(!key.public().verifies(&digest, &signature));
    }

    #[test]
    fn a_sender_keys_signing_key_has_prime_order_and_one_encoding() {
        assert!(SenderVerifyingKey::from_bytes(&[0; 32]).is_err());
        assert!(SenderVerifyingKey::from_bytes(&IDENTITY).is_err());
        assert!(SenderVerifyingKey::from_bytes(&[0xff; 32]).is_err());
        let key = SenderSigningKey::from_secret(&Secret32::copy_from(&[1; 32])).public();
        assert_eq!(SenderVerifyingKey::from_bytes(key.as_bytes()), Ok(key));
    }
}
