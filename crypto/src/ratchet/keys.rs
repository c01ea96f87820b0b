//! The three keys of the ratchet, and how each gives birth to the next (Double Ratchet section 5.2).

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::primitives::aead::{self, AeadError, NONCE_LEN};
use crate::primitives::dh::SharedSecret;
use crate::primitives::kdf::{hkdf_sha256, hmac_sha256};
use crate::secret::{Secret32, redacted_debug};
use crate::suite::{LABEL_MESSAGE, LABEL_ROOT, Suite};

/// HMAC input that turns a chain key into a message key.
const MESSAGE_KEY_INPUT: &[u8] = &[0x01];
/// HMAC input that turns a chain key into the next chain key.
const CHAIN_KEY_INPUT: &[u8] = &[0x02];

/// Where both directions meet: one per Diffie-Hellman step.
#[derive(Clone)]
pub(crate) struct RootKey(Secret32);

impl RootKey {
    pub(crate) fn new(secret: Secret32) -> Self {
        Self(secret)
    }

    /// One Diffie-Hellman step: the next root key, and the key of a new chain.
    pub(crate) fn step(&self, suite: Suite, shared: &SharedSecret) -> (Self, ChainKey) {
        let output = hkdf_sha256::<64>(
            self.0.as_bytes(),
            shared.as_bytes(),
            &[LABEL_ROOT, &[suite.byte()]],
        );
        let (root, chain) = split::<32, 32>(output.as_slice());
        (
            Self(Secret32::copy_from(&root)),
            ChainKey(Secret32::copy_from(&chain)),
        )
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

redacted_debug!(RootKey);

/// One per message, forgotten as soon as the next is made.
#[derive(Clone)]
pub(crate) struct ChainKey(Secret32);

impl ChainKey {
    pub(crate) fn new(secret: Secret32) -> Self {
        Self(secret)
    }

    /// The key of this message, and the key of the chain from the next message on.
    pub(crate) fn step(&self) -> (MessageKey, Self) {
        let message_key = hmac_sha256(self.0.as_bytes(), &[MESSAGE_KEY_INPUT]);
        let chain_key = hmac_sha256(self.0.as_bytes(), &[CHAIN_KEY_INPUT]);
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

    pub(crate) fn seal(
        self,
        suite: Suite,
        associated_data: &[u8],
        plaintext: Zeroizing<Vec<u8>>,
    ) -> Result<Vec<u8>, AeadError> {
        let (key, nonce) = self.expand(suite);
        aead::seal(&key, &nonce, associated_data, plaintext)
    }

    pub(crate) fn open(
        &self,
        suite: Suite,
        associated_data: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, AeadError> {
        let (key, nonce) = self.expand(suite);
        aead::open(&key, &nonce, associated_data, ciphertext)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    fn expand(&self, suite: Suite) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; NONCE_LEN]>) {
        let label: &[&[u8]] = &[LABEL_MESSAGE, &[suite.byte()]];
        let output = hkdf_sha256::<{ 32 + NONCE_LEN }>(&[0; 32], self.0.as_bytes(), label);
        split::<32, NONCE_LEN>(output.as_slice())
    }
}

redacted_debug!(MessageKey);

/// Copies the first `A` and the next `B` bytes to places of their own.
fn split<const A: usize, const B: usize>(bytes: &[u8]) -> (Zeroizing<[u8; A]>, Zeroizing<[u8; B]>) {
    let mut first = Zeroizing::new([0; A]);
    let mut second = Zeroizing::new([0; B]);
    for (to, from) in first.iter_mut().chain(second.iter_mut()).zip(bytes) {
        *to = *from;
    }
    (first, second)
}
