//! Envelopes: sealed, decoded, opened, and in the end believed.
//!
//! ```text
//!  seal_envelope ─▶ bytes ─▶ SealedEnvelope ── open ──▶ OpenedEnvelope ── confirm ──▶ ConfirmedSender
//!                           (decoded)        (our key) (claims a sender) (its session)
//! ```

use alloc::vec::Vec;

use rand_core::CryptoRng;
use sottovoce_statements::X25519Key;
use zeroize::Zeroizing;

use super::error::{ConfirmError, EnvelopeDecodeError, EnvelopeOpenError, EnvelopeSealError};
use super::sender::{ClaimedSender, ConfirmedSender, EnvelopeSender};
use crate::codec::{Malformed, Reader, Write};
use crate::handshake::Party;
use crate::keys::IdentityKeyPair;
use crate::primitives::aead::{NONCE_LEN, TAG_LEN, open, seal};
use crate::primitives::dh::{SharedSecret, X25519KeyPair, identity_public};
use crate::primitives::kdf::hkdf_sha256;

/// Longest message in an envelope, in bytes: holds the longest session message, which is a plaintext of
/// 64 KiB and its headers, and leaves room for headers to come.
pub const MAX_SEALED_MESSAGE_LEN: usize = 72 * 1_024;

/// How many bytes longer an envelope is than the message in it, whoever sends it to whomever.
pub const ENVELOPE_OVERHEAD: usize = PREFIX_LEN + EnvelopeSender::LEN + TAG_LEN;

/// Seals a session message to the recipient's device, so that only that device learns who sent it.
///
/// Nothing in the envelope proves who the sender is: `message`, from
/// [`Session::encrypt`](crate::Session::encrypt) in a session with the recipient, does.
///
/// ```
/// # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
/// # let rng = &mut ChaCha20Rng::from_seed([1; 32]);
/// # let message = b"from Session::encrypt";
/// use sottovoce_crypto::statements::{Address, DeviceId};
/// use sottovoce_crypto::{
///     AccountKeyPair, EnvelopeSender, IdentityKeyPair, Party, SealedEnvelope, seal_envelope,
/// };
///
/// let bobs_identity = IdentityKeyPair::generate(rng);
/// let bob = Party {
///     address: Address::parse("bob@chat.example")?,
///     device_id: DeviceId::from_bytes([0xb0; 16]),
///     account_key: AccountKeyPair::generate(rng).public(),
///     identity_key: bobs_identity.public(),
/// };
/// let sender = EnvelopeSender {
///     address: Address::parse("alice@chat.example")?,
///     device_id: DeviceId::from_bytes([0xa1; 16]),
///     manifest_version: 1,
///     manifest_hash: [7; 32],
/// };
/// let bytes = seal_envelope(rng, &sender, &bob, message)?;
///
/// let opened = SealedEnvelope::decode(&bytes)?.open(&bobs_identity, &bob)?;
/// assert_eq!(opened.sender().claimed(), &sender);
/// assert_eq!(opened.message(), message);
/// // Now Bob's session with Alice's device decrypts the message, within `OpenedEnvelope::confirm`.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`EnvelopeSealError`] when the message is too long for an envelope, or the sender on no manifest.
pub fn seal_envelope<R: CryptoRng + ?Sized>(
    rng: &mut R,
    sender: &EnvelopeSender,
    recipient: &Party,
    message: &[u8],
) -> Result<Vec<u8>, EnvelopeSealError> {
    if message.len() > MAX_SEALED_MESSAGE_LEN {
        return Err(EnvelopeSealError::TooLong);
    }
    let ephemeral = X25519KeyPair::generate(rng);
    let shared = identity_public(&recipient.identity_key)
        .and_then(|theirs| ephemeral.secret().diffie_hellman(&theirs))
        .ok_or(EnvelopeSealError::UnfitRecipient)?;
    let prefix = prefix(ephemeral.public());
    let key = sealing_key(&shared, &prefix, recipient);

    let mut envelope = Zeroizing::new(Vec::with_capacity(ENVELOPE_OVERHEAD + message.len()));
    envelope.put(&prefix);
    sender.write(&mut envelope).ok_or(EnvelopeSealError::NoManifest)?;
    envelope.put(message);
    seal(&key, &NONCE, &[], &mut envelope, PREFIX_LEN).map_err(|_| EnvelopeSealError::TooLong)?;
    Ok(core::mem::take(&mut *envelope))
}

/// A sealed envelope, decoded and not yet opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedEnvelope {
    ephemeral: X25519Key,
    ciphertext: Vec<u8>,
}

impl SealedEnvelope {
    /// Reads an envelope.
    ///
    /// # Errors
    /// [`EnvelopeDecodeError`] when the bytes are not the one encoding of an envelope.
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeDecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != ENVELOPE_VERSION {
            return Err(EnvelopeDecodeError::UnsupportedVersion);
        }
        let ephemeral = X25519Key::from_slice(reader.bytes(32)?).map_err(|_| Malformed)?;
        let ciphertext = reader.rest();
        let shortest = EnvelopeSender::LEN + TAG_LEN;
        if !(shortest..=shortest + MAX_SEALED_MESSAGE_LEN).contains(&ciphertext.len()) {
            return Err(EnvelopeDecodeError::Malformed);
        }
        Ok(Self {
            ephemeral,
            ciphertext: ciphertext.to_vec(),
        })
    }

    /// The bytes [`decode`](Self::decode) reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [prefix(&self.ephemeral).as_slice(), &self.ciphertext].concat()
    }

    /// Opens an envelope that was sealed to us.
    ///
    /// # Errors
    /// [`EnvelopeOpenError`] when it was not, or when it is damaged.
    pub fn open(&self, identity: &IdentityKeyPair, us: &Party) -> Result<OpenedEnvelope, EnvelopeOpenError> {
        if identity.public() != us.identity_key {
            return Err(EnvelopeOpenError::NotOurKey);
        }
        let shared = identity
            .x25519_secret()
            .diffie_hellman(&self.ephemeral)
            .ok_or(EnvelopeOpenError::Refused)?;
        let key = sealing_key(&shared, &prefix(&self.ephemeral), us);
        let inside = open(&key, &NONCE, &[], &self.ciphertext).map_err(|_| EnvelopeOpenError::Refused)?;
        let mut reader = Reader::new(&inside);
        let sender = EnvelopeSender::read(&mut reader).map_err(|_| EnvelopeOpenError::Refused)?;
        Ok(OpenedEnvelope {
            sender: ClaimedSender(sender),
            message: reader.rest().to_vec(),
        })
    }
}

/// An opened envelope: a message, and somebody's word on who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedEnvelope {
    sender: ClaimedSender,
    message: Vec<u8>,
}

impl OpenedEnvelope {
    /// Who is claimed to have sent it.
    #[must_use]
    pub fn sender(&self) -> &ClaimedSender {
        &self.sender
    }

    /// The session message in it, to be decoded.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Decrypts the message, and with it makes sure of the sender.
    ///
    /// `them` is the claimed device as the newest manifest of its account has it. `decrypt` takes the
    /// message bytes and must decrypt them in a session that was begun with exactly `them`, or accept a
    /// session with `them` by them: that it succeeds is the proof, because both parties are bound into
    /// every message of a session. After a failure another session with the same party can be tried.
    ///
    /// # Errors
    /// [`ConfirmError`] when `them` is not who is claimed, which is found before `decrypt` is called, or
    /// when `decrypt` fails.
    pub fn confirm<T, E>(
        &self,
        them: &Party,
        decrypt: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<(ConfirmedSender, T), ConfirmError<E>> {
        if !self.sender.is(them) {
            return Err(ConfirmError::OtherSender);
        }
        let decrypted = decrypt(&self.message).map_err(ConfirmError::Undecryptable)?;
        Ok((ConfirmedSender(them.clone()), decrypted))
    }
}

/// First byte of every envelope: the version of this encoding, and of the cryptography in it.
const ENVELOPE_VERSION: u8 = 0x01;

/// HKDF info of an envelope: what ephemeral and identity key agree on, to the cipher's key.
const LABEL_SEALED_SENDER: &[u8] = b"Sottovoce-v1 sealed sender";

/// HKDF salt: as many zeros as SHA-256 has output bytes.
const SALT: [u8; 32] = [0; 32];

/// The cipher's nonce: a key seals one envelope only, so there is nothing to tell apart.
const NONCE: [u8; NONCE_LEN] = [0; NONCE_LEN];

/// Bytes before the ciphertext: version and ephemeral key.
const PREFIX_LEN: usize = 1 + 32;

/// Everything of an envelope that stands before the ciphertext, authenticated with it.
fn prefix(ephemeral: &X25519Key) -> [u8; PREFIX_LEN] {
    let mut prefix = [ENVELOPE_VERSION; PREFIX_LEN];
    if let Some((_, key)) = prefix.split_first_mut() {
        key.copy_from_slice(ephemeral.as_bytes());
    }
    prefix
}

/// The cipher's key: of one ephemeral key, one recipient and one version, and so of one envelope. What
/// stands before the ciphertext is in it, and needs no authenticating besides.
fn sealing_key(shared: &SharedSecret, prefix: &[u8; PREFIX_LEN], recipient: &Party) -> Zeroizing<[u8; 32]> {
    // Only the address varies in length. It comes last, so that the parts cannot be told apart wrongly.
    let info: &[&[u8]] = &[
        LABEL_SEALED_SENDER,
        prefix,
        recipient.identity_key.as_bytes(),
        recipient.device_id.as_bytes(),
        recipient.address.as_str().as_bytes(),
    ];
    hkdf_sha256(&SALT, shared.as_bytes(), info)
}
