//! The ways into a session: begin one or take one up, in PQXDH or, by explicit choice, in plain X3DH.

use rand_core::CryptoRng;

use crate::chain::SkippedKeys;
use crate::error::HandshakeError;
use crate::handshake::{
    Agreement, Ours, Party, PrekeyBundle, Prekeys, Theirs, X3dhPrekeyBundle, X3dhPrekeys,
};
use crate::keys::IdentityKeyPair;
use crate::message::InitialMessage;
use crate::ratchet::Ratchet;
use crate::session::{Decrypted, Session, SkippedChanges, open};
use crate::suite::Suite;

impl Session {
    /// Begins a session with a peer that may be away, by PQXDH, from the prekeys it left with the server.
    /// `now_ms` is Unix time in milliseconds.
    ///
    /// # Errors
    /// [`HandshakeError`], and no session.
    pub fn initiate<R: CryptoRng + ?Sized>(
        rng: &mut R,
        now_ms: u64,
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        bundle: &PrekeyBundle,
    ) -> Result<Self, HandshakeError> {
        begin(rng, now_ms, identity, us, them, &bundle.into())
    }

    /// The same by plain X3DH, for peers that speak nothing else. A session begun so never withstands a
    /// quantum computer.
    ///
    /// # Errors
    /// [`HandshakeError`], and no session.
    pub fn initiate_x3dh<R: CryptoRng + ?Sized>(
        rng: &mut R,
        now_ms: u64,
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        bundle: &X3dhPrekeyBundle,
    ) -> Result<Self, HandshakeError> {
        begin(rng, now_ms, identity, us, them, &bundle.into())
    }

    /// Takes up a session that a peer began by PQXDH, and decrypts the message that came with it.
    /// `now_ms` is Unix time in milliseconds.
    ///
    /// Any initial message of the handshake will do, not only the first. The caller looks up the
    /// prekeys the message names, deletes the one-time ones once this has succeeded, and refuses a
    /// [`handshake_digest`](InitialMessage::handshake_digest) it has accepted before.
    ///
    /// # Errors
    /// [`HandshakeError`], and no session.
    pub fn accept(
        now_ms: u64,
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        prekeys: &Prekeys<'_>,
        message: &InitialMessage,
    ) -> Result<(Self, Decrypted), HandshakeError> {
        match message.suite() {
            Suite::Pqxdh => take_up(now_ms, identity, us, them, (*prekeys).into(), message),
            Suite::X3dh => Err(HandshakeError::OtherSuite),
        }
    }

    /// The same for a session that a peer began by plain X3DH. Whoever calls this lets a peer, or somebody
    /// who has broken the peer's classical keys, choose the weaker suite.
    ///
    /// # Errors
    /// [`HandshakeError`], and no session.
    pub fn accept_x3dh(
        now_ms: u64,
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        prekeys: &X3dhPrekeys<'_>,
        message: &InitialMessage,
    ) -> Result<(Self, Decrypted), HandshakeError> {
        match message.suite() {
            Suite::X3dh => take_up(now_ms, identity, us, them, (*prekeys).into(), message),
            Suite::Pqxdh => Err(HandshakeError::OtherSuite),
        }
    }
}

fn begin<R: CryptoRng + ?Sized>(
    rng: &mut R,
    now_ms: u64,
    identity: &IdentityKeyPair,
    us: &Party,
    them: &Party,
    prekeys: &Theirs<'_>,
) -> Result<Session, HandshakeError> {
    let agreement = Agreement::initiate(rng, identity, us, them, prekeys)?;
    let their_prekey = &prekeys.signed_prekey.key;
    let suite = agreement.header.suite();
    let ratchet = Ratchet::initiate(rng, now_ms, suite, &agreement.root_key, their_prekey)
        .ok_or(HandshakeError::Refused)?;
    Ok(Session {
        handshake_digest: agreement.header.digest(),
        associated_data: agreement.associated_data,
        unanswered: Some(agreement.header),
        ratchet,
        skipped: SkippedKeys::default(),
    })
}

fn take_up(
    now_ms: u64,
    identity: &IdentityKeyPair,
    us: &Party,
    them: &Party,
    prekeys: Ours<'_>,
    message: &InitialMessage,
) -> Result<(Session, Decrypted), HandshakeError> {
    let agreement = Agreement::accept(identity, us, them, prekeys, &message.handshake)?;
    let suite = agreement.header.suite();
    let our_prekey = prekeys.signed_prekey.pair();
    let header = &message.ratchet.header;
    let turned = Ratchet::respond(now_ms, suite, &agreement.root_key, our_prekey, header)
        .ok_or(HandshakeError::Refused)?;

    let mut session = Session {
        handshake_digest: agreement.header.digest(),
        associated_data: agreement.associated_data,
        unanswered: None,
        ratchet: turned.ratchet,
        skipped: SkippedKeys::default(),
    };
    let bound = session.bound_to(Some(&message.handshake), &message.ratchet);
    let plaintext = open(suite, &turned.key, &bound, &message.ratchet).ok_or(HandshakeError::Refused)?;
    let change = session.skipped.commit(None, turned.skipped, now_ms);
    let skipped = SkippedChanges::new(change, &session.skipped);
    Ok((session, Decrypted { plaintext, skipped }))
}
