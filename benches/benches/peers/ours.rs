//! Our side: devices with their prekeys, and sessions between them.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{
    AccountKeyPair, Decrypted, IdentityKeyPair, InitialMessage, OneTimePrekeyPair, Party, Session,
    SessionMessage, SignedPrekeyPair, X3dhPrekeyBundle, X3dhPrekeys,
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
}

impl Device {
    fn new(rng: &mut ChaCha20Rng, address: &str, device: u8) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        let device_id = DeviceId::from_bytes([device; 16]);
        Self {
            signed_prekey: SignedPrekeyPair::generate(rng, &identity, device_id, 1, NOW).unwrap(),
            one_time_prekey: OneTimePrekeyPair::generate(rng, 1),
            party: Party {
                address: Address::parse(address).unwrap(),
                device_id,
                account_key: AccountKeyPair::generate(rng).public(),
                identity_key: identity.public(),
            },
            identity,
        }
    }

    /// Verifies the peer's signed prekey, begins a session by X3DH with a one-time prekey, and encrypts.
    pub(crate) fn start(&self, rng: &mut ChaCha20Rng, them: &Self) -> (Session, Vec<u8>) {
        let statement = them.signed_prekey.statement().clone();
        let bundle = X3dhPrekeyBundle {
            signed_prekey: statement.verify(&them.party.identity_key).unwrap(),
            one_time_prekey: Some(them.one_time_prekey.public()),
        };
        let mut session =
            Session::initiate_x3dh(rng, NOW, &self.identity, &self.party, &them.party, &bundle).unwrap();
        let message = session.encrypt(rng, NOW, &PAYLOAD).unwrap();
        (session, message)
    }

    /// Reads a first message, and takes up its session.
    pub(crate) fn accept(&self, them: &Party, message: &[u8]) -> (Session, Decrypted) {
        let prekeys = X3dhPrekeys {
            signed_prekey: &self.signed_prekey,
            one_time_prekey: Some(&self.one_time_prekey),
        };
        let message = initial(message);
        Session::accept_x3dh(NOW, &self.identity, &self.party, them, &prekeys, &message).unwrap()
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

/// Two ends that have heard each other.
pub(crate) fn established(rng: &mut ChaCha20Rng) -> (Session, Session) {
    let (alice, bob) = alice_and_bob(rng);
    let (mut alices, first) = alice.start(rng, &bob);
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
