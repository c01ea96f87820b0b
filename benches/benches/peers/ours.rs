//! Our side: devices with their prekeys, and sessions between them.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{Address, DeviceId, KemPrekeyRole};
use sottovoce_crypto::{
    AccountKeyPair, Decrypted, IdentityKeyPair, InitialMessage, KemPrekeyPair, OneTimePrekeyPair, Party,
    PrekeyBundle, Prekeys, Session, SessionMessage, SignedPrekeyPair, Suite, X3dhPrekeyBundle, X3dhPrekeys,
};

use crate::PAYLOAD;
use crate::row::Sizes;

/// When this happens, Unix time in milliseconds.
pub(crate) const NOW: u64 = 1_800_000_000_000;

pub(crate) struct Device {
    pub(crate) party: Party,
    identity: IdentityKeyPair,
    signed_prekey: SignedPrekeyPair,
    one_time_prekey: OneTimePrekeyPair,
    kem_prekey: KemPrekeyPair,
}

impl Device {
    fn new(rng: &mut ChaCha20Rng, address: &str, device: u8) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        let device_id = DeviceId::from_bytes([device; 16]);
        Self {
            signed_prekey: SignedPrekeyPair::generate(rng, &identity, device_id, 1, NOW).unwrap(),
            one_time_prekey: OneTimePrekeyPair::generate(rng, 1),
            kem_prekey: KemPrekeyPair::generate(rng, &identity, device_id, KemPrekeyRole::OneTime, 1, NOW)
                .unwrap(),
            party: Party {
                address: Address::parse(address).unwrap(),
                device_id,
                account_key: AccountKeyPair::generate(rng).public(),
                identity_key: identity.public(),
            },
            identity,
        }
    }

    /// Verifies the peer's signed prekeys, begins a session with a one-time prekey, and encrypts.
    pub(crate) fn start(&self, rng: &mut ChaCha20Rng, suite: Suite, them: &Self) -> (Session, Vec<u8>) {
        let mut session = self.initiate(rng, suite, them);
        let message = session.encrypt(rng, NOW, &PAYLOAD).unwrap();
        (session, message)
    }

    fn initiate(&self, rng: &mut ChaCha20Rng, suite: Suite, them: &Self) -> Session {
        let key = &them.party.identity_key;
        let signed_prekey = them.signed_prekey.statement().clone().verify(key).unwrap();
        let one_time_prekey = Some(them.one_time_prekey.public());
        let (identity, us) = (&self.identity, &self.party);
        if suite == Suite::X3dh {
            let bundle = X3dhPrekeyBundle {
                signed_prekey,
                one_time_prekey,
            };
            return Session::initiate_x3dh(rng, NOW, identity, us, &them.party, &bundle).unwrap();
        }
        let bundle = PrekeyBundle {
            signed_prekey,
            one_time_prekey,
            kem_prekey: them.kem_prekey.statement().clone().verify(key).unwrap(),
        };
        Session::initiate(rng, NOW, identity, us, &them.party, &bundle).unwrap()
    }

    /// Reads a first message, and takes up its session.
    pub(crate) fn accept(&self, them: &Party, message: &[u8]) -> (Session, Decrypted) {
        let message = initial(message);
        let (signed_prekey, one_time_prekey) = (&self.signed_prekey, Some(&self.one_time_prekey));
        if message.suite() == Suite::X3dh {
            let prekeys = X3dhPrekeys {
                signed_prekey,
                one_time_prekey,
            };
            return Session::accept_x3dh(NOW, &self.identity, &self.party, them, &prekeys, &message).unwrap();
        }
        let prekeys = Prekeys {
            signed_prekey,
            one_time_prekey,
            kem_prekey: &self.kem_prekey,
        };
        Session::accept(NOW, &self.identity, &self.party, them, &prekeys, &message).unwrap()
    }
}

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([1; 32])
}

pub(crate) fn alice_and_bob(rng: &mut ChaCha20Rng) -> (Device, Device) {
    (
        Device::new(rng, "alice@one.example", 1),
        Device::new(rng, "bob@two.example", 2),
    )
}

/// Two ends of a session by X3DH that have heard each other.
pub(crate) fn established(rng: &mut ChaCha20Rng) -> (Session, Session) {
    let (alice, bob) = alice_and_bob(rng);
    let (mut alices, first) = alice.start(rng, Suite::X3dh, &bob);
    let (mut bobs, _) = bob.accept(&alice.party, &first);
    let answer = send(&mut bobs, rng);
    receive(&mut alices, &answer);
    (alices, bobs)
}

pub(crate) fn send(session: &mut Session, rng: &mut ChaCha20Rng) -> Vec<u8> {
    session.encrypt(rng, NOW, &PAYLOAD).unwrap()
}

pub(crate) fn receive(session: &mut Session, message: &[u8]) -> Decrypted {
    session
        .decrypt(NOW, &SessionMessage::decode(message).unwrap())
        .unwrap()
}

pub(crate) fn sizes(message: &[u8], session: &Session) -> Sizes {
    Sizes {
        wire: message.len(),
        state: session.to_bytes().len(),
    }
}

fn initial(message: &[u8]) -> InitialMessage {
    match SessionMessage::decode(message).unwrap() {
        SessionMessage::Initial(message) => message,
        SessionMessage::Ratchet(_) => unreachable!("the first message is initial"),
    }
}
