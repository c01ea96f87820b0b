//! Chain keys and message keys (Double Ratchet section 5.2).

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::primitives::aead::{self, AeadError, NONCE_LEN};
use crate::primitives::kdf::{HmacKey, hkdf_sha256};
use crate::secret::{Secret32, redacted_debug};

/// HMAC input that turns a chain key into a message key.
const MESSAGE_KEY_INPUT: &[u8] = &[0x01];
/// HMAC input that turns a chain key into the next chain key.
const CHAIN_KEY_INPUT: &[u8] = &[0x02];

/// One per message, forgotten as soon as the next is made.
#[derive(Clone)]
pub(crate) struct ChainKey(Secret32);

impl ChainKey {
    pub(crate) fn new(secret: Secret32) -> Self {
        Self(secret)
    }

    /// The key of this message, and the key of the chain from the next message on.
    pub(crate) fn step(&self) -> (MessageKey, Self) {
        // Both come from one keyed state: taking the key in is half the work.
        let hmac = HmacKey::new(self.0.as_bytes());
        let message_key = hmac.over(&[MESSAGE_KEY_INPUT]);
        let chain_key = hmac.finish(&[CHAIN_KEY_INPUT]);
        (
            MessageKey(Secret32::copy_from(&message_key)),
            Self(Secret32::copy_from(&chain_key)),
        )
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

redacted_debug!(ChainKey);

/// Encrypts one message and decrypts it once. Sealing takes it by value; opening borrows it, so that a
/// forgery does not use up a key that was kept for the real message.
pub(crate) struct MessageKey(Secret32);

impl MessageKey {
    pub(crate) fn new(secret: Secret32) -> Self {
        Self(secret)
    }

    /// Encrypts `message` from `start` on where it stands, and appends the tag. `info` is the HKDF label
    /// of what the chain is for.
    pub(crate) fn seal(
        self,
        info: &[&[u8]],
        associated_data: &[u8],
        message: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), AeadError> {
        let (key, nonce) = self.expand(info);
        aead::seal(&key, &nonce, associated_data, message, start)
    }

    pub(crate) fn open(
        &self,
        info: &[&[u8]],
        associated_data: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, AeadError> {
        let (key, nonce) = self.expand(info);
        aead::open(&key, &nonce, associated_data, ciphertext)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    fn expand(&self, info: &[&[u8]]) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; NONCE_LEN]>) {
        let output = hkdf_sha256::<{ 32 + NONCE_LEN }>(&[0; 32], self.0.as_bytes(), info);
        split::<32, NONCE_LEN>(output.as_slice())
    }
}

redacted_debug!(MessageKey);

/// Copies the first `A` and the next `B` bytes to places of their own.
pub(crate) fn split<const A: usize, const B: usize>(
    bytes: &[u8],
) -> (Zeroizing<[u8; A]>, Zeroizing<[u8; B]>) {
    let mut first = Zeroizing::new([0; A]);
    let mut second = Zeroizing::new([0; B]);
    for (to, from) in first.iter_mut().chain(second.iter_mut()).zip(bytes) {
        *to = *from;
    }
    (first, second)
}
