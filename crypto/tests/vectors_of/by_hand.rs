//! The cryptography once more, written from the specification and not from the library: what it comes to is
//! noted beside what the library did, and must be the same.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use libcrux_ml_kem::mlkem768;
use sha2::{Digest, Sha256, Sha512};
use x25519_dalek::{PublicKey, StaticSecret};

pub(crate) fn hkdf<const N: usize>(salt: &[u8], ikm: &[u8], info: &[u8]) -> [u8; N] {
    let mut output = [0; N];
    Hkdf::<Sha256>::new(Some(salt), ikm)
        .expand(info, &mut output)
        .unwrap();
    output
}

pub(crate) fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().into()
}

pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

pub(crate) fn dh(secret: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
    *StaticSecret::from(*secret)
        .diffie_hellman(&PublicKey::from(*public))
        .as_bytes()
}

pub(crate) fn x25519_public(secret: &[u8; 32]) -> [u8; 32] {
    *PublicKey::from(&StaticSecret::from(*secret)).as_bytes()
}

/// The X25519 form of an identity's secret (2.4), clamped.
pub(crate) fn identity_x25519(secret: &[u8; 32]) -> [u8; 32] {
    let hash = Sha512::digest(secret);
    let mut scalar: [u8; 32] = hash[..32].try_into().unwrap();
    scalar[0] &= 0xf8;
    scalar[31] &= 0x7f;
    scalar[31] |= 0x40;
    scalar
}

/// The public key of an ML-KEM-768 seed `d ‖ z`.
pub(crate) fn kem_public(seed: &[u8; 64]) -> [u8; 1_184] {
    *mlkem768::generate_key_pair(*seed).public_key().as_slice()
}

pub(crate) fn encapsulate(key: &[u8; 1_184], randomness: &[u8; 32]) -> ([u8; 1_088], [u8; 32]) {
    let (ciphertext, secret) = mlkem768::encapsulate(&key.into(), *randomness);
    (*ciphertext.as_slice(), secret)
}

pub(crate) fn decapsulate(seed: &[u8; 64], ciphertext: &[u8; 1_088]) -> [u8; 32] {
    mlkem768::decapsulate(
        mlkem768::generate_key_pair(*seed).private_key(),
        &ciphertext.into(),
    )
}

/// ChaCha20-Poly1305. Returns ciphertext and tag.
pub(crate) fn seal(key: &[u8; 32], nonce: &[u8; 12], associated_data: &[u8], text: &[u8]) -> Vec<u8> {
    let mut buffer = text.to_vec();
    ChaCha20Poly1305::new(key.into())
        .encrypt_in_place(nonce.into(), associated_data, &mut buffer)
        .unwrap();
    buffer
}

/// XChaCha20-Poly1305. Returns ciphertext and tag.
pub(crate) fn seal_x(key: &[u8; 32], nonce: &[u8; 24], associated_data: &[u8], text: &[u8]) -> Vec<u8> {
    let mut buffer = text.to_vec();
    XChaCha20Poly1305::new(key.into())
        .encrypt_in_place(nonce.into(), associated_data, &mut buffer)
        .unwrap();
    buffer
}

/// The padded form of a plaintext (9).
pub(crate) fn padded(plaintext: &[u8]) -> Vec<u8> {
    let mut bucket = 256;
    while bucket < plaintext.len() {
        bucket *= 2;
    }
    let length = u32::try_from(plaintext.len()).unwrap().to_be_bytes();
    let mut padded = [length.as_slice(), plaintext].concat();
    padded.resize(4 + bucket, 0);
    padded
}
