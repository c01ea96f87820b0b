//! HKDF-SHA256 (RFC 5869), HMAC-SHA256 (RFC 2104) and SHA-256 (FIPS 180-4).

use hkdf::{Hkdf, HmacImpl};
use hmac::Hmac;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// HKDF extract and expand to `N` bytes. The info is the concatenation of its parts.
pub(crate) fn hkdf_sha256<const N: usize>(salt: &[u8], ikm: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "RFC 5869 section 2.3: at most 255 blocks") };
    let (mut pseudorandom_key, hkdf) = Hkdf::<Sha256>::extract(Some(salt), ikm);
    pseudorandom_key.zeroize();
    let mut output = Zeroizing::new([0; N]);
    // Fails on longer outputs only, and those do not compile.
    let expanded = hkdf.expand_multi_info(info, output.as_mut_slice());
    debug_assert!(expanded.is_ok());
    output
}

/// HMAC with a key of any length, over the concatenation of `parts`.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    HmacKey::new(key).finish(parts)
}

/// An HMAC key taken in once and used more than once. Erased on drop.
#[derive(Clone)]
pub(crate) struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(<Hmac<Sha256> as HmacImpl>::new_from_slice(key))
    }

    /// HMAC over the concatenation of `parts`.
    pub(crate) fn over(&self, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        self.clone().finish(parts)
    }

    /// The same for the last time: there is no copy to make, and none to erase.
    pub(crate) fn finish(mut self, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        for part in parts {
            HmacImpl::update(&mut self.0, part);
        }
        let mut output = HmacImpl::finalize(self.0);
        let mut result = Zeroizing::new([0; 32]);
        result.copy_from_slice(&output);
        output.zeroize();
        result
    }
}

/// SHA-256 of the concatenation of `parts`, none of them secret.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}
