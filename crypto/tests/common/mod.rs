//! Two devices, and what they need to talk.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, reason = "no test file uses all of it")]

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{Address, DeviceId, KemPrekeyRole};
use sottovoce_crypto::{
    AccountKeyPair, HandshakeError, IdentityKeyPair, InitialMessage, KemPrekeyPair, MAX_HEALING_AGE_MS,
    OneTimePrekeyPair, Party, PrekeyBundle, Prekeys, Session, SessionMessage, SignedPrekeyPair, Suite,
    X3dhPrekeyBundle, X3dhPrekeys,
};

/// When these tests happen, Unix time in milliseconds.
pub(crate) const NOW: u64 = 1_800_000_000_000;

/// No skipped keys.
pub(crate) const NO_KEYS: [&[u8]; 0] = [];

/// Every suite there is.
pub(crate) const SUITES: [Suite; 2] = [Suite::X3dh, Suite::Pqxdh];

/// Length of PQXDH's handshake header with a one-time prekey, in bytes.
pub(crate) const HANDSHAKE_LEN: usize = 1 + 4 + 1 + 4 + 32 + 4 + 1_088;

/// Where a stored session of PQXDH tells whose turn it is.
pub(crate) const TURN: usize = 2 + 1 + 32 + 32 + 32 + 12;

pub(crate) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

/// A device with one prekey of each kind.
pub(crate) struct Device {
    pub(crate) party: Party,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) signed_prekey: SignedPrekeyPair,
    pub(crate) one_time_prekey: OneTimePrekeyPair,
    pub(crate) kem_prekey: KemPrekeyPair,
    pub(crate) last_resort: KemPrekeyPair,
}

impl Device {
    pub(crate) fn new(rng: &mut ChaCha20Rng, address: &str, device: u8) -> Self {
        let account = AccountKeyPair::generate(rng);
        let identity = IdentityKeyPair::generate(rng);
        let device_id = DeviceId::from_bytes([device; 16]);
        let signed_prekey = SignedPrekeyPair::generate(rng, &identity, device_id, 11, NOW).unwrap();
        let one_time_prekey = OneTimePrekeyPair::generate(rng, 22);
        let mut kem_prekey =
            |role, id| KemPrekeyPair::generate(rng, &identity, device_id, role, id, NOW).unwrap();
        let last_resort = kem_prekey(KemPrekeyRole::LastResort, 33);
        let kem_prekey = kem_prekey(KemPrekeyRole::OneTime, 44);
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
            kem_prekey,
            last_resort,
        }
    }

    /// What the server hands out while there are one-time prekeys left.
    pub(crate) fn bundle(&self) -> PrekeyBundle {
        let X3dhPrekeyBundle {
            signed_prekey,
            one_time_prekey,
        } = self.x3dh_bundle();
        let kem_prekey = self.kem_prekey.statement().clone();
        PrekeyBundle {
            signed_prekey,
            one_time_prekey,
            kem_prekey: kem_prekey.verify(&self.party.identity_key).unwrap(),
        }
    }

    /// And when there are none.
    pub(crate) fn bundle_of_last_resort(&self) -> PrekeyBundle {
        let last_resort = self.last_resort.statement().clone();
        PrekeyBundle {
            one_time_prekey: None,
            kem_prekey: last_resort.verify(&self.party.identity_key).unwrap(),
            ..self.bundle()
        }
    }

    pub(crate) fn x3dh_bundle(&self) -> X3dhPrekeyBundle {
        let statement = self.signed_prekey.statement().clone();
        X3dhPrekeyBundle {
            signed_prekey: statement.verify(&self.party.identity_key).unwrap(),
            one_time_prekey: Some(self.one_time_prekey.public()),
        }
    }

    /// Begins a session, with one-time prekeys or without.
    pub(crate) fn begin(&self, rng: &mut ChaCha20Rng, suite: Suite, them: &Self, one_time: bool) -> Session {
        let (identity, us) = (&self.identity, &self.party);
        match suite {
            Suite::X3dh => {
                let mut bundle = them.x3dh_bundle();
                bundle.one_time_prekey = bundle.one_time_prekey.filter(|_| one_time);
                Session::initiate_x3dh(rng, NOW, identity, us, &them.party, &bundle).unwrap()
            }
            _ => {
                let bundle = if one_time {
                    them.bundle()
                } else {
                    them.bundle_of_last_resort()
                };
                Session::initiate(rng, NOW, identity, us, &them.party, &bundle).unwrap()
            }
        }
    }

    /// The prekeys a message of PQXDH names.
    pub(crate) fn prekeys(&self, message: &InitialMessage) -> Prekeys<'_> {
        let one_time = message.kem_prekey_id() == Some(self.kem_prekey.id());
        Prekeys {
            signed_prekey: &self.signed_prekey,
            one_time_prekey: message.one_time_prekey_id().map(|_| &self.one_time_prekey),
            kem_prekey: if one_time {
                &self.kem_prekey
            } else {
                &self.last_resort
            },
        }
    }

    /// The prekeys a message of X3DH names.
    pub(crate) fn x3dh_prekeys(&self, message: &InitialMessage) -> X3dhPrekeys<'_> {
        X3dhPrekeys {
            signed_prekey: &self.signed_prekey,
            one_time_prekey: message.one_time_prekey_id().map(|_| &self.one_time_prekey),
        }
    }

    /// Accepts with the prekeys the message names, as a device does that speaks both suites.
    pub(crate) fn accept(
        &self,
        them: &Party,
        message: &InitialMessage,
    ) -> Result<(Session, Vec<u8>), HandshakeError> {
        let (identity, us) = (&self.identity, &self.party);
        let accepted = match message.suite() {
            Suite::X3dh => {
                Session::accept_x3dh(NOW, identity, us, them, &self.x3dh_prekeys(message), message)
            }
            _ => Session::accept(NOW, identity, us, them, &self.prekeys(message), message),
        };
        accepted.map(|(session, first)| (session, first.plaintext.to_vec()))
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
    session
        .decrypt(NOW, &message)
        .ok()
        .map(|decrypted| decrypted.plaintext.to_vec())
}

/// A session after its first message, before the first answer: Alice's end and Bob's.
pub(crate) fn begun(rng: &mut ChaCha20Rng) -> (Session, Session) {
    begun_in(rng, Suite::Pqxdh)
}

pub(crate) fn begun_in(rng: &mut ChaCha20Rng, suite: Suite) -> (Session, Session) {
    let (alice, bob) = alice_and_bob(rng);
    let mut alices = alice.begin(rng, suite, &bob, true);
    let hello = alices.encrypt(rng, NOW, b"hello").unwrap();
    let (bobs, _) = bob.accept(&alice.party, &initial(&hello)).unwrap();
    (alices, bobs)
}

/// A session in which each has heard the other.
pub(crate) fn established(rng: &mut ChaCha20Rng) -> (Session, Session) {
    established_in(rng, Suite::Pqxdh)
}

pub(crate) fn established_in(rng: &mut ChaCha20Rng, suite: Suite) -> (Session, Session) {
    let (mut alices, mut bobs) = begun_in(rng, suite);
    let answer = bobs.encrypt(rng, NOW, b"hello yourself").unwrap();
    decrypt(&mut alices, &answer).unwrap();
    (alices, bobs)
}

/// A session in which Alice has just offered a KEM key and Bob received it.
pub(crate) fn exchanging(rng: &mut ChaCha20Rng) -> (Session, Session) {
    let (mut alices, mut bobs) = established(rng);
    let later = NOW + MAX_HEALING_AGE_MS;
    let offer = alices.encrypt(rng, later, b"offer").unwrap();
    assert_eq!(offer[1], KIND_KEM);
    decrypt(&mut bobs, &offer).unwrap();
    (alices, bobs)
}

/// The second byte of a message with a KEM part.
pub(crate) const KIND_KEM: u8 = 0x03;

/// The same session, by way of storage.
pub(crate) fn restored(session: &Session) -> Session {
    let skipped = session.skipped_keys().map(|record| record.bytes);
    Session::from_bytes(&session.to_bytes(), skipped).unwrap()
}

/// All that is stored of a session: its state, then the records of its skipped keys.
pub(crate) fn stored(session: &Session) -> Vec<Vec<u8>> {
    let skipped = session.skipped_keys().map(|record| record.bytes.to_vec());
    std::iter::once(session.to_bytes().to_vec())
        .chain(skipped)
        .collect()
}

/// Decrypts what must not decrypt, and checks that the session is as it was.
pub(crate) fn refused(session: &mut Session, bytes: &[u8]) {
    let before = stored(session);
    if let Ok(message) = SessionMessage::decode(bytes) {
        assert!(session.decrypt(NOW, &message).is_err());
    }
    assert_eq!(stored(session), before);
}
