//! What a session costs beside the primitives it cannot do without. Payloads are 1 KiB, single-threaded.
//!
//! - `handshake`: verify the prekeys, begin by plain X3DH, encrypt, accept; against its ten X25519, two key
//!   generations and one Ed25519 verification, and nothing else.
//! - `handshake_pq`: the same by PQXDH; against that, one more verification, and an encapsulation and a
//!   decapsulation of ML-KEM-768 from the key's seed.
//! - `encrypt`, `decrypt`: a message within a chain, encoded and decoded; against ChaCha20-Poly1305 on the
//!   same padded bytes.
//! - `ping_pong`, `ping_pong_pq`: a message each way, a Diffie-Hellman step for each; against four X25519, two
//!   key generations, and the four cipher runs. In PQXDH every fiftieth step has a KEM exchange with it: not
//!   in the median.
//!
//! Run with `cargo bench -p sottovoce-benches --bench session`.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that fails is supposed to stop there"
)]

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use ed25519_dalek::{Signer, SigningKey};
use libcrux_ml_kem::mlkem768;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_benches::{compare, rounds, timed};
use sottovoce_crypto::statements::{Address, DeviceId, KemPrekeyRole};
use sottovoce_crypto::{
    AccountKeyPair, IdentityKeyPair, KemPrekeyPair, OneTimePrekeyPair, Party, PrekeyBundle, Prekeys, Session,
    SessionMessage, SignedPrekeyPair, Suite, X3dhPrekeyBundle, X3dhPrekeys,
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

    for (suite, name, verifications) in [(Suite::X3dh, "handshake", 1), (Suite::Pqxdh, "handshake_pq", 2)] {
        let seeded = || ChaCha20Rng::from_seed([2; 32]);
        compare(
            name,
            rounds(500),
            || timed(|| handshake(&mut seeded(), suite, &alice, &bob)).0,
            || {
                timed(|| {
                    (0..10).for_each(|_| raw.agree());
                    (0..2).for_each(|_| raw.generate());
                    (0..verifications).for_each(|_| raw.verify());
                    if suite == Suite::Pqxdh {
                        raw.encapsulate_and_back();
                    }
                })
                .0
            },
        );
    }

    let (mut alices, mut bobs) = handshake(rng, Suite::Pqxdh, &alice, &bob);
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

    let (mut alices, mut bobs) = handshake(rng, Suite::Pqxdh, &alice, &bob);
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

    for (suite, name) in [(Suite::X3dh, "ping_pong"), (Suite::Pqxdh, "ping_pong_pq")] {
        let (mut alices, mut bobs) = handshake(rng, suite, &alice, &bob);
        compare(
            name,
            rounds(1_000),
            || timed(|| ping_pong(rng, &mut alices, &mut bobs)).0,
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
}

struct Device {
    party: Party,
    identity: IdentityKeyPair,
    signed_prekey: SignedPrekeyPair,
    one_time_prekey: OneTimePrekeyPair,
    kem_prekey: KemPrekeyPair,
}

impl Device {
    fn new(rng: &mut ChaCha20Rng, address: &str, device: u8) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        let id = DeviceId::from_bytes([device; 16]);
        let party = Party {
            address: Address::parse(address).unwrap(),
            device_id: id,
            account_key: AccountKeyPair::generate(rng).public(),
            identity_key: identity.public(),
        };
        let role = KemPrekeyRole::OneTime;
        Self {
            party,
            signed_prekey: SignedPrekeyPair::generate(rng, &identity, id, 1, NOW).unwrap(),
            one_time_prekey: OneTimePrekeyPair::generate(rng, 1),
            kem_prekey: KemPrekeyPair::generate(rng, &identity, id, role, 1, NOW).unwrap(),
            identity,
        }
    }

    /// Begins a session with this device, its prekeys verified as they come from the server.
    fn begin(&self, rng: &mut ChaCha20Rng, suite: Suite, alice: &Self) -> Session {
        let key = &self.party.identity_key;
        let signed_prekey = self.signed_prekey.statement().clone().verify(key).unwrap();
        let one_time_prekey = Some(self.one_time_prekey.public());
        let (identity, us) = (&alice.identity, &alice.party);
        if suite == Suite::X3dh {
            let bundle = X3dhPrekeyBundle {
                signed_prekey,
                one_time_prekey,
            };
            return Session::initiate_x3dh(rng, NOW, identity, us, &self.party, &bundle).unwrap();
        }
        let bundle = PrekeyBundle {
            signed_prekey,
            one_time_prekey,
            kem_prekey: self.kem_prekey.statement().clone().verify(key).unwrap(),
        };
        Session::initiate(rng, NOW, identity, us, &self.party, &bundle).unwrap()
    }

    /// Takes up the session that a message begins.
    fn accept(&self, alice: &Party, first: &[u8]) -> Session {
        let SessionMessage::Initial(message) = SessionMessage::decode(first).unwrap() else {
            unreachable!("the first message is initial")
        };
        let (signed_prekey, one_time_prekey) = (&self.signed_prekey, Some(&self.one_time_prekey));
        let accepted = if message.suite() == Suite::X3dh {
            let prekeys = X3dhPrekeys {
                signed_prekey,
                one_time_prekey,
            };
            Session::accept_x3dh(NOW, &self.identity, &self.party, alice, &prekeys, &message)
        } else {
            let prekeys = Prekeys {
                signed_prekey,
                one_time_prekey,
                kem_prekey: &self.kem_prekey,
            };
            Session::accept(NOW, &self.identity, &self.party, alice, &prekeys, &message)
        };
        accepted.unwrap().0
    }
}

/// Begins a session, sends its first message, and has it accepted.
fn handshake(rng: &mut ChaCha20Rng, suite: Suite, alice: &Device, bob: &Device) -> (Session, Session) {
    let mut alices = bob.begin(rng, suite, alice);
    let first = alices.encrypt(rng, NOW, &PAYLOAD).unwrap();
    let bobs = bob.accept(&alice.party, &first);
    (alices, bobs)
}

/// A message each way.
fn ping_pong(rng: &mut ChaCha20Rng, alices: &mut Session, bobs: &mut Session) {
    let there = alices.encrypt(rng, NOW, &PAYLOAD).unwrap();
    bobs.decrypt(NOW, &SessionMessage::decode(&there).unwrap())
        .unwrap();
    let back = bobs.encrypt(rng, NOW, &PAYLOAD).unwrap();
    alices
        .decrypt(NOW, &SessionMessage::decode(&back).unwrap())
        .unwrap();
}

/// The primitives by themselves.
struct Raw {
    secret: StaticSecret,
    public: PublicKey,
    signer: SigningKey,
    signature: ed25519_dalek::Signature,
    cipher: ChaCha20Poly1305,
    sealed: Vec<u8>,
    kem_seed: [u8; 64],
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
            kem_seed: [5; 64],
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

    /// With a public key as it arrives, and a secret one as it is kept.
    fn encapsulate_and_back(&self) {
        let pair = mlkem768::generate_key_pair(black_box(self.kem_seed));
        let (ciphertext, _) = mlkem768::encapsulate(pair.public_key(), black_box([6; 32]));
        black_box(mlkem768::decapsulate(pair.private_key(), &ciphertext));
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
