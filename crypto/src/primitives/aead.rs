//! ChaCha20-Poly1305 (RFC 8439) for messages, XChaCha20-Poly1305 for records at rest.

use alloc::vec::Vec;

use chacha20poly1305::aead::{AeadInOut, KeyInit, Nonce};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use zeroize::Zeroizing;

/// Length of an authentication tag, in bytes. Tags are never truncated.
pub(crate) const TAG_LEN: usize = 16;

/// Length of a ChaCha20-Poly1305 nonce, in bytes.
pub(crate) const NONCE_LEN: usize = 12;

/// Length of an XChaCha20-Poly1305 nonce, in bytes: long enough to draw at random.
pub(crate) const X_NONCE_LEN: usize = 24;

/// The cipher refused: the text is too long to encrypt, or does not authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AeadError;

/// Encrypts `message` from `start` on where it stands, and appends the tag.
pub(crate) fn seal(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    associated_data: &[u8],
    message: &mut Vec<u8>,
    start: usize,
) -> Result<(), AeadError> {
    let plaintext = message.get_mut(start..).ok_or(AeadError)?;
    let tag = ChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(nonce.into(), associated_data, plaintext.into())
        .map_err(|_| AeadError)?;
    message.extend_from_slice(&tag);
    Ok(())
}

/// Decrypts a message, if it authenticates.
pub(crate) fn open(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    associated_data: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, AeadError> {
    decrypt(
        &ChaCha20Poly1305::new(key.into()),
        nonce.into(),
        associated_data,
        ciphertext,
    )
}

/// Encrypts a record. Returns ciphertext and tag.
pub(crate) fn seal_x(
    key: &[u8; 32],
    nonce: &[u8; X_NONCE_LEN],
    associated_data: &[u8],
    plaintext: Zeroizing<Vec<u8>>,
) -> Result<Vec<u8>, AeadError> {
    encrypt(
        &XChaCha20Poly1305::new(key.into()),
        nonce.into(),
        associated_data,
        plaintext,
    )
}

/// Decrypts a record, if it authenticates.
pub(crate) fn open_x(
    key: &[u8; 32],
    nonce: &[u8; X_NONCE_LEN],
    associated_data: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, AeadError> {
    decrypt(
        &XChaCha20Poly1305::new(key.into()),
        nonce.into(),
        associated_data,
        ciphertext,
    )
}

fn encrypt<C: AeadInOut>(
    cipher: &C,
    nonce: &Nonce<C>,
    associated_data: &[u8],
    mut plaintext: Zeroizing<Vec<u8>>,
) -> Result<Vec<u8>, AeadError> {
    let buffer: &mut Vec<u8> = &mut plaintext;
    cipher
        .encrypt_in_place(nonce, associated_data, buffer)
        .map_err(|_| AeadError)?;
    Ok(core::mem::take(buffer))
}

fn decrypt<C: AeadInOut>(
    cipher: &C,
    nonce: &Nonce<C>,
    associated_data: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, AeadError> {
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let text: &mut Vec<u8> = &mut buffer;
    cipher
        .decrypt_in_place(nonce, associated_data, text)
        .map_err(|_| AeadError)?;
    Ok(buffer)
}

/// Encrypts a chunk where it lies. Returns the tag.
pub(crate) fn seal_in_place(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    associated_data: &[u8],
    text: &mut [u8],
) -> Result<[u8; TAG_LEN], AeadError> {
    ChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(nonce.into(), associated_data, text.into())
        .map(Into::into)
        .map_err(|_| AeadError)
}

/// Decrypts a chunk where it lies, if it authenticates. Otherwise it is left as it was.
pub(crate) fn open_in_place(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    associated_data: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), AeadError> {
    ChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(nonce.into(), associated_data, text.into(), tag.into())
        .map_err(|_| AeadError)
}
