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
    let mut mac = <Hmac<Sha256> as HmacImpl>::new_from_slice(key);
    for part in parts {
        mac.update(part);
    }
    let mut output = mac.finalize();
    let mut result = Zeroizing::new([0; 32]);
    result.copy_from_slice(&output);
    output.zeroize();
    result
}

/// SHA-256 of the concatenation of `parts`, none of them secret.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}
