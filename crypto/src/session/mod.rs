//! A session: everything two devices need to talk, from the first message to the last.

mod state;

use alloc::vec::Vec;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::error::{DecryptError, EncryptError, HandshakeError};
use crate::handshake::{Agreement, HandshakeHeader, Party, PrekeyBundle};
use crate::keys::{IdentityKeyPair, OneTimePrekeyPair, SignedPrekeyPair};
use crate::message::{InitialMessage, RatchetMessage, SessionMessage, message_prefix};
use crate::padding::{pad, unpad};
use crate::ratchet::{MessageKey, Ratchet, SkippedKeys, Turn};
use crate::secret::redacted_debug;
use crate::suite::Suite;

/// A session with one device of a peer: X3DH behind it, the Double Ratchet within.
///
/// A session is not a connection: messages may be lost, repeated, delayed and reordered on their way,
/// within the limits named in this package. Save [`to_bytes`](Self::to_bytes), sealed, after every
/// message and before acting on it.
pub struct Session {
    handshake: HandshakeHeader,
    associated_data: [u8; 32],
    ratchet: Ratchet,
    skipped: SkippedKeys,
}

impl Session {
    /// Begins a session with a peer that may be away, from the prekeys it left with the server.
    ///
    /// # Errors
    /// [`HandshakeError`], and no session.
    pub fn initiate<R: CryptoRng + ?Sized>(
        rng: &mut R,
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        bundle: &PrekeyBundle,
    ) -> Result<Self, HandshakeError> {
        let agreement = Agreement::initiate(rng, identity, us, them, bundle)?;
        let ratchet = Ratchet::initiate(
            rng,
            agreement.header.suite,
            &agreement.root_key,
            &bundle.signed_prekey.key,
        )
        .ok_or(HandshakeError::Refused)?;
        Ok(Self {
            handshake: agreement.header,
            associated_data: agreement.associated_data,
            ratchet,
            skipped: SkippedKeys::default(),
        })
    }

    /// Takes up a session that a peer began, and decrypts the message that came with it. `now_ms` is
    /// Unix time in milliseconds.
    ///
    /// Any initial message of the handshake will do, not only the first. The caller looks up the
    /// prekeys the message names, deletes the one-time prekey once this has succeeded, and refuses a
    /// [`handshake_digest`](InitialMessage::handshake_digest) it has accepted before.
    ///
    /// # Errors
    /// [`HandshakeError`], and no session.
    pub fn accept(
        now_ms: u64,
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        signed_prekey: &SignedPrekeyPair,
        one_time_prekey: Option<&OneTimePrekeyPair>,
        message: &InitialMessage,
    ) -> Result<(Self, Zeroizing<Vec<u8>>), HandshakeError> {
        let agreement = Agreement::accept(
            identity,
            us,
            them,
            signed_prekey,
            one_time_prekey,
            &message.handshake,
        )?;
        let suite = agreement.header.suite;
        let received = Ratchet::respond(
            suite,
            &agreement.root_key,
            signed_prekey.pair(),
            &message.ratchet.header,
        )
        .ok_or(HandshakeError::Refused)?;
        let bound = bind(
            &agreement.associated_data,
            Some(&agreement.header),
            &message.ratchet,
        );
        let plaintext =
            open(suite, &received.key, &bound, &message.ratchet).ok_or(HandshakeError::Refused)?;

        let mut skipped = SkippedKeys::default();
        skipped.keep(received.skipped, now_ms);
        let session = Self {
            handshake: agreement.header,
            associated_data: agreement.associated_data,
            ratchet: received.ratchet,
            skipped,
        };
        Ok((session, plaintext))
    }

    /// Encrypts a message of at most [`MAX_PLAINTEXT_LEN`](crate::MAX_PLAINTEXT_LEN) bytes. Returns an
    /// encoded [`SessionMessage`], padded to a bucket; it carries the handshake until the peer answers.
    ///
    /// # Errors
    /// [`EncryptError`], and the session is as it was.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        rng: &mut R,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, EncryptError> {
        let padded = pad(plaintext).ok_or(EncryptError::TooLong)?;
        let (header, message_key) = self.ratchet.send(rng)?;
        let handshake = match self.ratchet.turn {
            Turn::Opening { .. } => Some(&self.handshake),
            Turn::Leading { .. } | Turn::Following { .. } => None,
        };
        let mut message = message_prefix(handshake, &header);
        let bound = [self.associated_data.as_slice(), &message].concat();
        let ciphertext = message_key
            .seal(self.ratchet.suite, &bound, padded)
            .map_err(|_| EncryptError::TooLong)?;
        message.extend_from_slice(&ciphertext);
        Ok(message)
    }

    /// Decrypts a message. `now_ms` is Unix time in milliseconds, by which keys kept for late messages
    /// grow old.
    ///
    /// # Errors
    /// [`DecryptError`], and the session is, byte for byte, as it was.
    pub fn decrypt(
        &mut self,
        now_ms: u64,
        message: &SessionMessage,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        match message {
            SessionMessage::Initial(initial) if initial.handshake != self.handshake => {
                Err(DecryptError::OtherSession)
            }
            SessionMessage::Initial(initial) => {
                self.decrypt_ratchet(now_ms, Some(&initial.handshake), &initial.ratchet)
            }
            SessionMessage::Ratchet(ratchet) => self.decrypt_ratchet(now_ms, None, ratchet),
        }
    }

    /// The name of the handshake this session began with, 32 bytes, the same on both sides.
    #[must_use]
    pub fn handshake_digest(&self) -> [u8; 32] {
        self.handshake.digest()
    }

    /// The suite this session speaks.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.ratchet.suite
    }

    fn decrypt_ratchet(
        &mut self,
        now_ms: u64,
        handshake: Option<&HandshakeHeader>,
        message: &RatchetMessage,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let suite = self.ratchet.suite;
        let bound = bind(&self.associated_data, handshake, message);
        if let Some((position, key)) = self.skipped.find(&message.header, now_ms) {
            let plaintext = open(suite, key, &bound, message).ok_or(DecryptError::Undecryptable)?;
            self.skipped.take(position, now_ms);
            return Ok(plaintext);
        }
        // A key that comes back would put two messages under one number; honest peers draw new ones.
        let key = &message.header.ratchet_key;
        if !self.ratchet.receives_under(key) && self.skipped.has_chain(key) {
            return Err(DecryptError::Undecryptable);
        }
        let received = self
            .ratchet
            .receive(&message.header)
            .ok_or(DecryptError::Undecryptable)?;
        let plaintext = open(suite, &received.key, &bound, message).ok_or(DecryptError::Undecryptable)?;
        self.ratchet = received.ratchet;
        self.skipped.keep(received.skipped, now_ms);
        Ok(plaintext)
    }
}

/// What a message's tag covers besides the ciphertext: the session's associated data, then everything
/// in front of the ciphertext.
fn bind(
    associated_data: &[u8; 32],
    handshake: Option<&HandshakeHeader>,
    message: &RatchetMessage,
) -> Vec<u8> {
    [
        associated_data.as_slice(),
        &message_prefix(handshake, &message.header),
    ]
    .concat()
}

/// Authenticates, decrypts, unpads. A peer that pads wrongly is told apart from a forger by nobody.
fn open(
    suite: Suite,
    key: &MessageKey,
    bound: &[u8],
    message: &RatchetMessage,
) -> Option<Zeroizing<Vec<u8>>> {
    let padded = key.open(suite, bound, &message.ciphertext).ok()?;
    unpad(&padded)
}

redacted_debug!(Session);
