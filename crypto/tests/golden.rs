//! Golden vectors: the bytes of a whole conversation, pinned. If this fails, old and new versions no
//! longer understand each other, and the protocol needs a new version.
//!
//! `vectors/session.json` names every random draw, so that another implementation can replay it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::convert::Infallible;

use common::{NOW, initial};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use serde_json::{Map, Value, json};
use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{
    AccountKeyPair, IdentityKeyPair, OneTimePrekeyPair, Party, Session, SessionMessage, SignedPrekeyPair,
    StorageKey, X3dhPrekeyBundle, X3dhPrekeys,
};

const VECTORS: &str = include_str!("vectors/session.json");

/// Draws from a seeded ChaCha20 generator, and remembers what it drew.
struct RecordingRng {
    inner: ChaCha20Rng,
    drawn: Vec<Vec<u8>>,
}

impl TryRng for RecordingRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.inner.fill_bytes(bytes);
        self.drawn.push(bytes.to_vec());
        Ok(())
    }
}

impl TryCryptoRng for RecordingRng {}

/// The script of the conversation, and the record of what came of it.
struct Script {
    rng: RecordingRng,
    draws: Map<String, Value>,
    steps: Vec<Value>,
}

impl Script {
    /// Does something that draws once, and gives the draw its name.
    fn draw<T>(&mut self, name: &str, action: impl FnOnce(&mut RecordingRng) -> T) -> T {
        let result = action(&mut self.rng);
        assert_eq!(self.rng.drawn.len(), 1, "{name}");
        self.draws
            .insert(name.into(), hex::encode(self.rng.drawn.remove(0)).into());
        result
    }

    /// Encrypts, and notes the bytes. A new ratchet key, if one was made, gets the step's name.
    fn send(&mut self, session: &mut Session, from: &str, plaintext: &[u8]) -> Vec<u8> {
        let message = session.encrypt(&mut self.rng, NOW, plaintext).unwrap();
        let step = self.steps.len();
        for secret in self.rng.drawn.drain(..) {
            self.draws.insert(
                format!("ratchet secret of step {step}"),
                hex::encode(secret).into(),
            );
        }
        self.steps.push(json!({
            "step": step,
            "from": from,
            "plaintext": hex::encode(plaintext),
            "message": hex::encode(&message),
            "state after": hex::encode(&*session.to_bytes()),
        }));
        message
    }
}

fn play() -> Value {
    let inner = ChaCha20Rng::from_seed([0x53; 32]);
    let mut script = Script {
        rng: RecordingRng {
            inner,
            drawn: Vec::new(),
        },
        draws: Map::new(),
        steps: Vec::new(),
    };
    let alice_account = script.draw("alice account secret", AccountKeyPair::generate);
    let alice_identity = script.draw("alice identity secret", IdentityKeyPair::generate);
    let bob_account = script.draw("bob account secret", AccountKeyPair::generate);
    let bob_identity = script.draw("bob identity secret", IdentityKeyPair::generate);
    let party = |address, device, account: &AccountKeyPair, identity: &IdentityKeyPair| Party {
        address: Address::parse(address).unwrap(),
        device_id: DeviceId::from_bytes([device; 16]),
        account_key: account.public(),
        identity_key: identity.public(),
    };
    let alice = party("alice@one.example", 0xa1, &alice_account, &alice_identity);
    let bob = party("bob@two.example", 0xb0, &bob_account, &bob_identity);
    let signed_prekey = script.draw("bob signed prekey secret", |rng| {
        SignedPrekeyPair::generate(rng, &bob_identity, bob.device_id, 11, NOW).unwrap()
    });
    let one_time_prekey = script.draw("bob one-time prekey secret", |rng| {
        OneTimePrekeyPair::generate(rng, 22)
    });
    let statement = signed_prekey.statement().clone();
    let bundle = X3dhPrekeyBundle {
        signed_prekey: statement.clone().verify(&bob.identity_key).unwrap(),
        one_time_prekey: Some(one_time_prekey.public()),
    };

    // Alice writes twice; Bob gets the second first. He answers twice, she answers, he answers.
    let mut alices =
        Session::initiate_x3dh(&mut script.rng, NOW, &alice_identity, &alice, &bob, &bundle).unwrap();
    let drawn: Vec<_> = script.rng.drawn.drain(..).map(hex::encode).collect();
    assert_eq!(drawn.len(), 2);
    script
        .draws
        .insert("alice ephemeral secret".into(), drawn[0].clone().into());
    script
        .draws
        .insert("alice first ratchet secret".into(), drawn[1].clone().into());
    let first = script.send(&mut alices, "alice", b"are you there?");
    let second = script.send(&mut alices, "alice", &[0x78; 300]);
    let prekeys = X3dhPrekeys {
        signed_prekey: &signed_prekey,
        one_time_prekey: Some(&one_time_prekey),
    };
    let (mut bobs, accepted) =
        Session::accept_x3dh(NOW, &bob_identity, &bob, &alice, &prekeys, &initial(&second)).unwrap();
    assert_eq!(*accepted.plaintext, [0x78; 300]);
    let accepted = hex::encode(&*bobs.to_bytes());
    let deliver = |session: &mut Session, bytes: &[u8], plaintext: &[u8]| {
        let decrypted = session
            .decrypt(NOW, &SessionMessage::decode(bytes).unwrap())
            .unwrap();
        assert_eq!(*decrypted.plaintext, plaintext);
    };
    deliver(&mut bobs, &first, b"are you there?");
    for _ in 0..2 {
        let answer = script.send(&mut bobs, "bob", b"always");
        deliver(&mut alices, &answer, b"always");
    }
    let third = script.send(&mut alices, "alice", b"");
    deliver(&mut bobs, &third, b"");
    let last = script.send(&mut bobs, "bob", b"good night");
    deliver(&mut alices, &last, b"good night");

    let storage = script.draw("storage key", StorageKey::generate);
    let sealed = script.draw("storage nonce", |rng| {
        storage.seal(rng, b"sessions/1", b"a record").unwrap()
    });
    json!({
        "handshake": {
            "initiator": "alice@one.example",
            "initiator device id": "a1".repeat(16),
            "responder": "bob@two.example",
            "responder device id": "b0".repeat(16),
            "signed prekey id": 11,
            "signed prekey created at, ms": NOW,
            "signed prekey statement": hex::encode(statement.statement_bytes()),
            "signed prekey signature": hex::encode(statement.signature_bytes()),
            "one-time prekey id": 22,
            "handshake digest": hex::encode(alices.handshake_digest()),
        },
        "draws": script.draws,
        "steps": script.steps,
        "bob's state after accepting step 1": accepted,
        "stored signed prekey": hex::encode(&*signed_prekey.to_bytes()),
        "stored one-time prekey": hex::encode(&*one_time_prekey.to_bytes()),
        "storage": {
            "context": hex::encode("sessions/1"),
            "record": hex::encode("a record"),
            "sealed": hex::encode(sealed),
            "blinded name of the context": hex::encode(storage.blind(b"sessions/1")),
        },
    })
}

#[test]
fn the_bytes_of_a_conversation_do_not_change() {
    let expected: Value = serde_json::from_str(VECTORS).unwrap();
    let played = play();
    if played != expected {
        // Where to look for what changed.
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/session.json");
        std::fs::write(path, format!("{played:#}\n")).unwrap();
        panic!("the bytes of the protocol have changed; this version's are in {path}");
    }
}
