//! Two devices, and what they need to talk.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, reason = "no test file uses all of it")]

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{
    AccountKeyPair, HandshakeError, IdentityKeyPair, InitialMessage, OneTimePrekeyPair, Party, PrekeyBundle,
    Session, SessionMessage, SignedPrekeyPair,
};

/// When these tests happen, Unix time in milliseconds.
pub(crate) const NOW: u64 = 1_800_000_000_000;

pub(crate) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

/// A device with one prekey of each kind.
pub(crate) struct Device {
    pub(crate) party: Party,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) signed_prekey: SignedPrekeyPair,
    pub(crate) one_time_prekey: OneTimePrekeyPair,
}

impl Device {
    /// Draws, in this order: account, identity, signed prekey, one-time prekey.
    pub(crate) fn new(rng: &mut ChaCha20Rng, address: &str, device: u8) -> Self {
        let account = AccountKeyPair::generate(rng);
        let identity = IdentityKeyPair::generate(rng);
        let device_id = DeviceId::from_bytes([device; 16]);
        let signed_prekey = SignedPrekeyPair::generate(rng, &identity, device_id, 11, NOW).unwrap();
        let one_time_prekey = OneTimePrekeyPair::generate(rng, 22);
        let party = Party {
            address: Address::parse(address).unwrap(),
            device_id,
            account_key: account.public(),
            identity_key: identity.public(),
        };
        Self {
            party,
            identity,
            signed_prekey,
            one_time_prekey,
        }
    }

    pub(crate) fn bundle(&self) -> PrekeyBundle {
        PrekeyBundle {
            one_time_prekey: Some(self.one_time_prekey.public()),
            ..self.bundle_without_one_time_prekey()
        }
    }

    pub(crate) fn bundle_without_one_time_prekey(&self) -> PrekeyBundle {
        let statement = self.signed_prekey.statement().clone();
        PrekeyBundle {
            signed_prekey: statement.verify(&self.party.identity_key).unwrap(),
            one_time_prekey: None,
        }
    }

    /// Accepts with the prekeys the message names, as an honest device does.
    pub(crate) fn accept(
        &self,
        them: &Party,
        message: &InitialMessage,
    ) -> Result<(Session, Vec<u8>), HandshakeError> {
        let one_time_prekey = message.one_time_prekey_id().map(|_| &self.one_time_prekey);
        Session::accept(
            NOW,
            &self.identity,
            &self.party,
            them,
            &self.signed_prekey,
            one_time_prekey,
            message,
        )
        .map(|(session, plaintext)| (session, plaintext.to_vec()))
    }
}

pub(crate) fn alice_and_bob(rng: &mut ChaCha20Rng) -> (Device, Device) {
    (
        Device::new(rng, "alice@one.example", 0xa1),
        Device::new(rng, "bob@two.example", 0xb0),
    )
}

pub(crate) fn initial(bytes: &[u8]) -> InitialMessage {
    match SessionMessage::decode(bytes).unwrap() {
        SessionMessage::Initial(message) => message,
        SessionMessage::Ratchet(_) => panic!("not an initial message"),
    }
}

pub(crate) fn is_initial(bytes: &[u8]) -> bool {
    matches!(SessionMessage::decode(bytes).unwrap(), SessionMessage::Initial(_))
}

pub(crate) fn decrypt(session: &mut Session, bytes: &[u8]) -> Option<Vec<u8>> {
    let message = SessionMessage::decode(bytes).ok()?;
    session.decrypt(NOW, &message).ok().map(|text| text.to_vec())
}

/// A session after its first message, before the first answer: Alice's end and Bob's.
pub(crate) fn begun(rng: &mut ChaCha20Rng) -> (Session, Session) {
    let (alice, bob) = alice_and_bob(rng);
    let mut alices =
        Session::initiate(rng, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
    let hello = alices.encrypt(rng, b"hello").unwrap();
    let (bobs, _) = bob.accept(&alice.party, &initial(&hello)).unwrap();
    (alices, bobs)
}

/// A session in which each has heard the other.
pub(crate) fn established(rng: &mut ChaCha20Rng) -> (Session, Session) {
    let (mut alices, mut bobs) = begun(rng);
    let answer = bobs.encrypt(rng, b"hello yourself").unwrap();
    decrypt(&mut alices, &answer).unwrap();
    (alices, bobs)
}

/// The same session, by way of storage.
pub(crate) fn restored(session: &Session) -> Session {
    Session::from_bytes(&session.to_bytes()).unwrap()
}

/// Decrypts what must not decrypt, and checks that the session is as it was.
pub(crate) fn refused(session: &mut Session, bytes: &[u8]) {
    let before = session.to_bytes();
    if let Ok(message) = SessionMessage::decode(bytes) {
        assert!(session.decrypt(NOW, &message).is_err());
    }
    assert_eq!(session.to_bytes(), before);
}
