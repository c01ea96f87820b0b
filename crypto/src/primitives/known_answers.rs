//! Known answers from the RFCs, run through the functions the rest of the package calls.

use alloc::vec::Vec;
use std::string::String;

use argon2::{Algorithm, AssociatedData, ParamsBuilder, Version};
use ed25519_dalek::{Signer, SigningKey};
use sottovoce_statements::{IdentityKey, SigningKeyKind, X25519Key};

use crate::StorageKey;
use crate::primitives::aead;
use crate::primitives::dh::{X25519KeyPair, X25519Secret};
use crate::primitives::kdf::{hkdf_sha256, hmac_sha256, sha256};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    hex::decode(digits).unwrap()
}

fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

#[test]
fn x25519_matches_rfc_7748() {
    // Section 5.2, first vector. (The second has the unused bit set, which `X25519Key` refuses.)
    let secret = X25519Secret::copy_from(&array(
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
    ));
    let point = X25519Key::from_slice(&bytes(
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
    ));
    assert_eq!(
        secret.diffie_hellman(&point.unwrap()).unwrap().as_bytes(),
        &array("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
    );

    // Section 6.1.
    let alice = X25519Secret::copy_from(&array(
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    ));
    let bob = X25519Secret::copy_from(&array(
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    ));
    let alice = X25519KeyPair::from_secret(alice).unwrap();
    let bob = X25519KeyPair::from_secret(bob).unwrap();
    assert_eq!(
        alice.public().as_bytes(),
        &array("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    );
    assert_eq!(
        bob.public().as_bytes(),
        &array("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    );
    let shared = array("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(
        alice.secret().diffie_hellman(bob.public()).unwrap().as_bytes(),
        &shared
    );
    assert_eq!(
        bob.secret().diffie_hellman(alice.public()).unwrap().as_bytes(),
        &shared
    );
}

#[test]
fn x25519_matches_rfc_7748_after_a_thousand_rounds() {
    let mut scalar = [0; 32];
    scalar[0] = 9;
    let mut point = scalar;
    for _ in 0..1_000 {
        let product = X25519Secret::copy_from(&scalar)
            .diffie_hellman(&X25519Key::from_slice(&point).unwrap())
            .unwrap();
        point = scalar;
        scalar = *product.as_bytes();
        // Scalars serve as points in the next round, where the unused bit has to go (section 5).
        point[31] &= 0x7f;
    }
    assert_eq!(
        scalar,
        array("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")
    );
}

#[test]
fn ed25519_matches_rfc_8032() {
    // Section 7.1, tests 1 to 3: secret key, public key, message, signature.
    let vectors = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ];
    for [secret, public, message, signature] in vectors {
        let signer = SigningKey::from_bytes(&array(secret));
        assert_eq!(signer.verifying_key().as_bytes(), &array(public));
        assert_eq!(signer.sign(&bytes(message)).to_bytes(), array(signature));
        let key = IdentityKey::from_slice(&bytes(public)).unwrap();
        assert!(key.verifies(&bytes(message), &array(signature)));
    }
}

const SUNSCREEN: &[u8] = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";

#[test]
fn chacha20_poly1305_matches_rfc_8439() {
    // Section 2.8.2.
    let key = array("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let nonce = array("070000004041424344454647");
    let associated_data = bytes("50515253c0c1c2c3c4c5c6c7");
    let expected = bytes(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6
         3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36
         92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
         3ff4def08e4b7a9de576d26586cec64b6116 1ae10b594f09e26a7e902ecbd0600691",
    );
    let mut sealed = SUNSCREEN.to_vec();
    aead::seal(&key, &nonce, &associated_data, &mut sealed, 0).unwrap();
    assert_eq!(sealed, expected);
    let opened = aead::open(&key, &nonce, &associated_data, &sealed).unwrap();
    assert_eq!(opened.as_slice(), SUNSCREEN);
}

#[test]
fn xchacha20_poly1305_matches_the_draft() {
    // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    let key = array("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let nonce = array("404142434445464748494a4b4c4d4e4f5051525354555657");
    let associated_data = bytes("50515253c0c1c2c3c4c5c6c7");
    let expected = bytes(
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb
         731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452
         2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9
         21f9664c97637da9768812f615c68b13b52e c0875924c1c7987947deafd8780acf49",
    );
    let sealed = aead::seal_x(&key, &nonce, &associated_data, SUNSCREEN.to_vec().into()).unwrap();
    assert_eq!(sealed, expected);
    let opened = aead::open_x(&key, &nonce, &associated_data, &sealed).unwrap();
    assert_eq!(opened.as_slice(), SUNSCREEN);
}

#[test]
fn hkdf_sha256_matches_rfc_5869() {
    // Appendix A.1.
    let first = hkdf_sha256::<42>(
        &bytes("000102030405060708090a0b0c"),
        &[0x0b; 22],
        &[&bytes("f0f1f2f3f4f5f6f7f8f9")],
    );
    let expected =
        array("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    assert_eq!(*first, expected);

    // Appendix A.2, the info in two parts.
    let count = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    let second = hkdf_sha256::<82>(
        &count(0x60, 0xaf),
        &count(0x00, 0x4f),
        &[&count(0xb0, 0xc0), &count(0xc1, 0xff)],
    );
    let expected = array(
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c
         59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71
         cc30c58179ec3e87c14c01d5c1f3434f1d87",
    );
    assert_eq!(*second, expected);

    // Appendix A.3.
    let third = hkdf_sha256::<42>(&[], &[0x0b; 22], &[]);
    let expected =
        array("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    assert_eq!(*third, expected);
}

#[test]
fn hmac_sha256_matches_rfc_4231() {
    // Test cases 1, 2 and 6; the second with its data in two parts.
    assert_eq!(
        *hmac_sha256(&[0x0b; 20], &[b"Hi There"]),
        array("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    );
    assert_eq!(
        *hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]),
        array("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    );
    assert_eq!(
        *hmac_sha256(
            &[0xaa; 131],
            &[b"Test Using Larger Than Block-Size Key - Hash Key First"]
        ),
        array("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    );
}

#[test]
fn sha256_matches_fips_180() {
    assert_eq!(
        sha256(&[]),
        array("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
    assert_eq!(
        sha256(&[b"a", b"bc"]),
        array("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    assert_eq!(
        sha256(&[b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"]),
        array("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    );
}

#[test]
fn argon2id_matches_rfc_9106() {
    // Section 5.3.
    let mut params = ParamsBuilder::new();
    params.m_cost(32).t_cost(3).p_cost(4).output_len(32);
    params.data(AssociatedData::new(&[0x04; 12]).unwrap());
    let argon2 = argon2::Argon2::new_with_secret(
        &[0x03; 8],
        Algorithm::Argon2id,
        Version::V0x13,
        params.build().unwrap(),
    );
    let mut tag = [0; 32];
    argon2
        .unwrap()
        .hash_password_into(&[0x01; 32], &[0x02; 16], &mut tag)
        .unwrap();
    assert_eq!(
        tag,
        array("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659")
    );
}

#[test]
fn a_storage_key_is_argon2id_of_the_passphrase() {
    // Computed with the reference implementation in C: t = 3, m = 64 MiB, p = 4, version 1.3.
    let key = StorageKey::from_passphrase(b"correct horse battery staple", b"0123456789abcdef").unwrap();
    assert_eq!(
        *key.to_bytes(),
        array("efb51f9a76584f6dd6a4f7942a1a2f6ae5a6e4ec5142ff674dfd5d27eb45e446")
    );
}
