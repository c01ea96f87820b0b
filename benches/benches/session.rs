//! What a session of X3DH costs beside the primitives it cannot do without. Payloads are 1 KiB, single-threaded.
//!
//! - `handshake`: begin, encrypt, accept; against its ten X25519, two key generations and one Ed25519
//!   verification, and nothing else.
//! - `encrypt`, `decrypt`: a message within a chain, encoded and decoded; against ChaCha20-Poly1305 on the
//!   same padded bytes.
//! - `ping_pong`: a message each way, a Diffie-Hellman step for each; against four X25519, two key
//!   generations, and the four cipher runs.
//!
//! Run with `cargo bench -p sottovoce-benches --bench session`.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that fails is supposed to stop there"
)]

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use ed25519_dalek::{Signer, SigningKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_benches::{compare, rounds, timed};
use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{
    AccountKeyPair, IdentityKeyPair, OneTimePrekeyPair, Party, Session, SessionMessage, SignedPrekeyPair,
    X3dhPrekeyBundle, X3dhPrekeys,
};
use std::hint::black_box;
use x25519_dalek::{PublicKey, StaticSecret};

const NOW: u64 = 1_800_000_000_000;
const PAYLOAD: [u8; 1_024] = [0x6d; 1_024];
/// What the payload is padded to: a length and the 1 KiB bucket.
const PADDED: [u8; 1_028] = [0x6d; 1_028];

fn main() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let rng = &mut rng;
    let (alice, bob) = (
        Device::new(rng, "alice@one.example", 1),
        Device::new(rng, "bob@two.example", 2),
    );
    let raw = Raw::new(rng);

    compare(
        "handshake",
        rounds(500),
        || timed(|| handshake(&mut ChaCha20Rng::from_seed([2; 32]), &alice, &bob)).0,
        || {
            timed(|| {
                (0..10).for_each(|_| raw.agree());
                (0..2).for_each(|_| raw.generate());
                raw.verify();
            })
            .0
        },
    );

    let (mut alices, mut bobs) = handshake(rng, &alice, &bob);
    let answer = bobs.encrypt(rng, NOW, b"").unwrap();
    alices
        .decrypt(NOW, &SessionMessage::decode(&answer).unwrap())
        .unwrap();
    compare(
        "encrypt",
        rounds(5_000),
        || timed(|| alices.encrypt(rng, NOW, &PAYLOAD).unwrap()).0,
        || timed(|| raw.seal()).0,
    );

    let (mut alices, mut bobs) = handshake(rng, &alice, &bob);
    compare(
        "decrypt",
        rounds(5_000),
        || {
            let message = alices.encrypt(rng, NOW, &PAYLOAD).unwrap();
            timed(|| {
                let message = SessionMessage::decode(&message).unwrap();
                bobs.decrypt(NOW, &message).unwrap()
            })
            .0
        },
        || timed(|| raw.open()).0,
    );

    compare(
        "ping_pong",
        rounds(1_000),
        || {
            timed(|| {
                let there = alices.encrypt(rng, NOW, &PAYLOAD).unwrap();
                bobs.decrypt(NOW, &SessionMessage::decode(&there).unwrap())
                    .unwrap();
                let back = bobs.encrypt(rng, NOW, &PAYLOAD).unwrap();
                alices
                    .decrypt(NOW, &SessionMessage::decode(&back).unwrap())
                    .unwrap();
            })
            .0
        },
        || {
            timed(|| {
                (0..4).for_each(|_| raw.agree());
                (0..2).for_each(|_| raw.generate());
                for _ in 0..2 {
                    black_box(raw.seal());
                    black_box(raw.open());
                }
            })
            .0
        },
    );
}

struct Device {
    party: Party,
    identity: IdentityKeyPair,
    signed_prekey: SignedPrekeyPair,
    one_time_prekey: OneTimePrekeyPair,
    bundle: X3dhPrekeyBundle,
}

impl Device {
    fn new(rng: &mut ChaCha20Rng, address: &str, device: u8) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        let device_id = DeviceId::from_bytes([device; 16]);
        let signed_prekey = SignedPrekeyPair::generate(rng, &identity, device_id, 1, NOW).unwrap();
        let one_time_prekey = OneTimePrekeyPair::generate(rng, 1);
        let bundle = X3dhPrekeyBundle {
            signed_prekey: signed_prekey
                .statement()
                .clone()
                .verify(&identity.public())
                .unwrap(),
            one_time_prekey: Some(one_time_prekey.public()),
        };
        let party = Party {
            address: Address::parse(address).unwrap(),
            device_id,
            account_key: AccountKeyPair::generate(rng).public(),
            identity_key: identity.public(),
        };
        Self {
            party,
            identity,
            signed_prekey,
            one_time_prekey,
            bundle,
        }
    }
}

/// Begins a session, sends its first message, and has it accepted.
fn handshake(rng: &mut ChaCha20Rng, alice: &Device, bob: &Device) -> (Session, Session) {
    let mut alices =
        Session::initiate_x3dh(rng, NOW, &alice.identity, &alice.party, &bob.party, &bob.bundle).unwrap();
    let first = alices.encrypt(rng, NOW, &PAYLOAD).unwrap();
    let SessionMessage::Initial(message) = SessionMessage::decode(&first).unwrap() else {
        unreachable!("the first message is initial")
    };
    let prekeys = X3dhPrekeys {
        signed_prekey: &bob.signed_prekey,
        one_time_prekey: Some(&bob.one_time_prekey),
    };
    let (bobs, _) =
        Session::accept_x3dh(NOW, &bob.identity, &bob.party, &alice.party, &prekeys, &message).unwrap();
    (alices, bobs)
}

/// The primitives by themselves.
struct Raw {
    secret: StaticSecret,
    public: PublicKey,
    signer: SigningKey,
    signature: ed25519_dalek::Signature,
    cipher: ChaCha20Poly1305,
    sealed: Vec<u8>,
}

impl Raw {
    fn new(rng: &mut ChaCha20Rng) -> Self {
        let secret = StaticSecret::random_from_rng(rng);
        let signer = SigningKey::from_bytes(&[3; 32]);
        let cipher = ChaCha20Poly1305::new(&[4; 32].into());
        Self {
            public: PublicKey::from(&secret),
            secret,
            signature: signer.sign(&PAYLOAD[..75]),
            signer,
            sealed: cipher.encrypt(&Nonce::default(), PADDED.as_slice()).unwrap(),
            cipher,
        }
    }

    fn agree(&self) {
        black_box(self.secret.diffie_hellman(black_box(&self.public)).as_bytes());
    }

    fn generate(&self) {
        black_box(PublicKey::from(black_box(&self.secret)));
    }

    fn verify(&self) {
        let key = self.signer.verifying_key();
        black_box(key.verify_strict(&PAYLOAD[..75], &self.signature)).unwrap();
    }

    fn seal(&self) -> Vec<u8> {
        self.cipher
            .encrypt(&Nonce::default(), black_box(PADDED.as_slice()))
            .unwrap()
    }

    fn open(&self) -> Vec<u8> {
        self.cipher
            .decrypt(&Nonce::default(), black_box(self.sealed.as_slice()))
            .unwrap()
    }
}
