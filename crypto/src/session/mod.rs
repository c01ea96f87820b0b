//! A session: everything two devices need to talk, from the first message to the last.

mod begin;
mod skipped;
mod state;

pub use skipped::{SkippedChanges, SkippedKeyId, SkippedKeyRecord};
pub use state::MAX_SESSION_LEN;

use alloc::vec::Vec;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::chain::{MessageKey, SkippedKeys};
use crate::error::{DecryptError, EncryptError};
use crate::handshake::HandshakeHeader;
use crate::message::{RatchetMessage, SessionMessage, prefix_len, write_prefix};
use crate::padding::{pad_onto, padded_len, unpad};
use crate::primitives::aead::TAG_LEN;
use crate::ratchet::{Ratchet, Turn};
use crate::secret::redacted_debug;
use crate::suite::{LABEL_MESSAGE, Suite};

/// A session with one device of a peer: PQXDH or X3DH behind it, the Double Ratchet within.
///
/// A session is not a connection: messages may be lost, repeated, delayed and reordered on their way,
/// within the limits named in this package. Save [`to_bytes`](Self::to_bytes), and what
/// [`decrypt`](Self::decrypt) says of skipped keys, sealed, after every message and before acting on it:
///
/// ```
/// # use std::collections::BTreeMap;
/// use sottovoce_crypto::{Session, SessionMessage};
///
/// /// What a device keeps of one session.
/// struct Kept {
///     session: Vec<u8>,
///     skipped: BTreeMap<[u8; 36], Vec<u8>>,
/// }
///
/// fn receive(kept: &mut Kept, now_ms: u64, bytes: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
///     let mut session = Session::from_bytes(&kept.session, kept.skipped.values())?;
///     let decrypted = session.decrypt(now_ms, &SessionMessage::decode(bytes)?)?;
///     for id in decrypted.skipped.removed {
///         kept.skipped.remove(&id.to_bytes());
///     }
///     for record in decrypted.skipped.added {
///         kept.skipped.insert(record.id.to_bytes(), record.bytes.to_vec());
///     }
///     kept.session = session.to_bytes().to_vec();
///     Ok(decrypted.plaintext.to_vec())
/// }
/// # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
/// # use sottovoce_crypto::statements::{Address, DeviceId};
/// # use sottovoce_crypto::{AccountKeyPair, IdentityKeyPair, Party, SignedPrekeyPair, X3dhPrekeyBundle, X3dhPrekeys};
/// # let rng = &mut ChaCha20Rng::from_seed([1; 32]);
/// # let mut device = |address, id| {
/// #     let (account, identity) = (AccountKeyPair::generate(rng), IdentityKeyPair::generate(rng));
/// #     let party = Party {
/// #         address: Address::parse(address).unwrap(),
/// #         device_id: DeviceId::from_bytes([id; 16]),
/// #         account_key: account.public(),
/// #         identity_key: identity.public(),
/// #     };
/// #     let prekey = SignedPrekeyPair::generate(rng, &identity, party.device_id, 1, 0).unwrap();
/// #     (identity, party, prekey)
/// # };
/// # let (alice, bob) = (device("alice@chat.example", 1), device("bob@chat.example", 2));
/// # let signed_prekey = bob.2.statement().clone().verify(&bob.1.identity_key)?;
/// # let bundle = X3dhPrekeyBundle { signed_prekey, one_time_prekey: None };
/// # let mut alices = Session::initiate_x3dh(rng, 0, &alice.0, &alice.1, &bob.1, &bundle)?;
/// # let SessionMessage::Initial(first) = SessionMessage::decode(&alices.encrypt(rng, 0, b"")?)? else { unreachable!() };
/// # let prekeys = X3dhPrekeys { signed_prekey: &bob.2, one_time_prekey: None };
/// # let (bobs, _) = Session::accept_x3dh(0, &bob.0, &bob.1, &alice.1, &prekeys, &first)?;
/// # let mut kept = Kept { session: bobs.to_bytes().to_vec(), skipped: BTreeMap::new() };
/// # let (late, prompt) = (alices.encrypt(rng, 0, b"late")?, alices.encrypt(rng, 0, b"prompt")?);
///
/// // Two messages, in the wrong order.
/// assert_eq!(receive(&mut kept, 0, &prompt)?, b"prompt");
/// assert_eq!(kept.skipped.len(), 1);
/// assert_eq!(receive(&mut kept, 0, &late)?, b"late");
/// assert_eq!(kept.skipped.len(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session {
    handshake_digest: [u8; 32],
    associated_data: [u8; 32],
    /// Repeated until the peer answers; gone after.
    unanswered: Option<HandshakeHeader>,
    ratchet: Ratchet,
    skipped: SkippedKeys<SkippedKeyId>,
}

/// What came out of a message, and what it changed.
#[derive(Debug)]
pub struct Decrypted {
    /// What the peer wrote.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// What became of the session's skipped keys; empty for a message in its turn.
    pub skipped: SkippedChanges,
}

impl Session {
    /// Encrypts a message of at most [`MAX_PLAINTEXT_LEN`](crate::MAX_PLAINTEXT_LEN) bytes. Returns an
    /// encoded [`SessionMessage`], padded to a bucket; it carries the handshake until the peer answers.
    /// `now_ms` is Unix time in milliseconds, by which a KEM exchange falls due.
    ///
    /// # Errors
    /// [`EncryptError`], and the session is as it was.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        rng: &mut R,
        now_ms: u64,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, EncryptError> {
        let padded_len = padded_len(plaintext).ok_or(EncryptError::TooLong)?;
        let (header, message_key) = self.ratchet.send(rng, now_ms)?;
        let kem = self.ratchet.sending_kem();
        // Room for all of it from the start: the plaintext is encrypted where it is written.
        let prefix_len = prefix_len(self.unanswered.as_ref(), kem.as_ref());
        let mut message = Zeroizing::new(Vec::with_capacity(prefix_len + padded_len + TAG_LEN));
        write_prefix(self.unanswered.as_ref(), &header, kem.as_ref(), &mut message);
        let start = message.len();
        let bound = [self.associated_data.as_slice(), &message].concat();
        pad_onto(&mut message, plaintext).ok_or(EncryptError::TooLong)?;
        message_key
            .seal(&message_info(self.suite()), &bound, &mut message, start)
            .map_err(|_| EncryptError::TooLong)?;
        Ok(core::mem::take(&mut *message))
    }

    /// Decrypts a message. `now_ms` is Unix time in milliseconds, by which keys kept for late messages
    /// grow old.
    ///
    /// # Errors
    /// [`DecryptError`], and the session is, byte for byte, as it was.
    pub fn decrypt(&mut self, now_ms: u64, message: &SessionMessage) -> Result<Decrypted, DecryptError> {
        match message {
            SessionMessage::Initial(initial) => {
                if initial.handshake.digest() != self.handshake_digest {
                    return Err(DecryptError::OtherSession);
                }
                self.decrypt_ratchet(now_ms, Some(&initial.handshake), &initial.ratchet)
            }
            SessionMessage::Ratchet(ratchet) => self.decrypt_ratchet(now_ms, None, ratchet),
        }
    }

    /// The name of the handshake this session began with, 32 bytes, the same on both sides.
    #[must_use]
    pub fn handshake_digest(&self) -> [u8; 32] {
        self.handshake_digest
    }

    /// The suite this session speaks.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.ratchet.suite()
    }

    fn decrypt_ratchet(
        &mut self,
        now_ms: u64,
        handshake: Option<&HandshakeHeader>,
        message: &RatchetMessage,
    ) -> Result<Decrypted, DecryptError> {
        let suite = self.suite();
        // Without healing there is nothing to exchange, on any chain.
        if suite == Suite::X3dh && message.kem.is_some() {
            return Err(DecryptError::Undecryptable);
        }
        let bound = self.bound_to(handshake, message);
        let id = SkippedKeyId {
            ratchet_key: message.header.ratchet_key,
            number: message.header.number,
        };
        if let Some(key) = self.skipped.get(&id, now_ms) {
            let plaintext = open(suite, key, &bound, message).ok_or(DecryptError::Undecryptable)?;
            return Ok(self.decrypted(plaintext, Some(id), Vec::new(), now_ms));
        }
        // A key that comes back would put two messages under one number; honest peers draw new ones.
        let ratchet_key = id.ratchet_key;
        if !self.ratchet.receives_under(&ratchet_key)
            && self.skipped.has_any(SkippedKeyId::all_under(ratchet_key))
        {
            return Err(DecryptError::Undecryptable);
        }
        let received = self
            .ratchet
            .receive(now_ms, &message.header, message.kem.as_ref())
            .ok_or(DecryptError::Undecryptable)?;
        let plaintext = open(suite, &received.key, &bound, message).ok_or(DecryptError::Undecryptable)?;
        self.ratchet.commit(received.next);
        if !matches!(self.ratchet.turn, Turn::Opening { .. }) {
            self.unanswered = None;
        }
        Ok(self.decrypted(plaintext, None, received.skipped, now_ms))
    }

    /// After a message has authenticated: what it did to the skipped keys.
    fn decrypted(
        &mut self,
        plaintext: Zeroizing<Vec<u8>>,
        used: Option<SkippedKeyId>,
        new: Vec<(SkippedKeyId, MessageKey)>,
        now_ms: u64,
    ) -> Decrypted {
        let change = self.skipped.commit(used, new, now_ms);
        Decrypted {
            plaintext,
            skipped: SkippedChanges::new(change, &self.skipped),
        }
    }

    /// What a message's tag covers besides the ciphertext: the session's associated data, then everything
    /// in front of the ciphertext.
    fn bound_to(&self, handshake: Option<&HandshakeHeader>, message: &RatchetMessage) -> Vec<u8> {
        let prefix_len = prefix_len(handshake, message.kem.as_ref());
        let mut bound = Vec::with_capacity(self.associated_data.len() + prefix_len);
        bound.extend_from_slice(&self.associated_data);
        message.write_prefix(handshake, &mut bound);
        bound
    }
}

redacted_debug!(Session);

/// HKDF info of a session's messages.
fn message_info(suite: Suite) -> [&'static [u8]; 2] {
    match suite {
        Suite::X3dh => [LABEL_MESSAGE, &[Suite::X3dh as u8]],
        Suite::Pqxdh => [LABEL_MESSAGE, &[Suite::Pqxdh as u8]],
    }
}

/// Authenticates, decrypts, unpads. A peer that pads wrongly is told apart from a forger by nobody.
fn open(
    suite: Suite,
    key: &MessageKey,
    bound: &[u8],
    message: &RatchetMessage,
) -> Option<Zeroizing<Vec<u8>>> {
    unpad(key.open(&message_info(suite), bound, &message.ciphertext).ok()?)
}
