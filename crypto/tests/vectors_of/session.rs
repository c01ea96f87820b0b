//! One conversation by X3DH, the oldest of the vectors: when its bytes change, versions no longer understand
//! each other.

use serde_json::{Map, Value, json};
use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{
    AccountKeyPair, IdentityKeyPair, OneTimePrekeyPair, Party, Session, SessionMessage, SignedPrekeyPair,
    StorageKey, X3dhPrekeyBundle, X3dhPrekeys,
};

use super::draws::Draws;
use super::json::{array, bytes, hex, list, text};
use super::people::NOW;

/// The script of the conversation, and the record of what came of it.
struct Script {
    rng: Draws,
    draws: Map<String, Value>,
    steps: Vec<Value>,
}

impl Script {
    /// Does something that draws once, and gives the draw its name.
    fn draw<T>(&mut self, name: &str, action: impl FnOnce(&mut Draws) -> T) -> T {
        let result = action(&mut self.rng);
        let drawn = self.rng.drawn();
        assert_eq!(drawn.len(), 1, "{name}");
        self.draws.insert(name.into(), hex(&drawn[0]));
        result
    }

    /// Encrypts, and notes the bytes. A new ratchet key, if one was made, gets the step's name.
    fn send(&mut self, session: &mut Session, from: &str, plaintext: &[u8]) -> Vec<u8> {
        let message = session.encrypt(&mut self.rng, NOW, plaintext).unwrap();
        let step = self.steps.len();
        for secret in self.rng.drawn() {
            self.draws
                .insert(format!("ratchet secret of step {step}"), hex(secret));
        }
        self.steps.push(json!({
            "step": step,
            "from": from,
            "plaintext": hex(plaintext),
            "message": hex(&message),
            "state after": hex(&*session.to_bytes()),
        }));
        message
    }
}

pub(crate) fn generate() -> Value {
    let mut script = Script {
        rng: Draws::seeded(0x53),
        draws: Map::new(),
        steps: Vec::new(),
    };
    let alice_account = script.draw("alice account secret", AccountKeyPair::generate);
    let alice_identity = script.draw("alice identity secret", IdentityKeyPair::generate);
    let bob_account = script.draw("bob account secret", AccountKeyPair::generate);
    let bob_identity = script.draw("bob identity secret", IdentityKeyPair::generate);
    let [alice, bob] = parties([(&alice_account, &alice_identity), (&bob_account, &bob_identity)]);
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
    let drawn = script.rng.drawn();
    assert_eq!(drawn.len(), 2);
    script
        .draws
        .insert("alice ephemeral secret".into(), hex(&drawn[0]));
    script
        .draws
        .insert("alice first ratchet secret".into(), hex(&drawn[1]));
    let first = script.send(&mut alices, "alice", b"are you there?");
    let second = script.send(&mut alices, "alice", &[0x78; 300]);
    let prekeys = X3dhPrekeys {
        signed_prekey: &signed_prekey,
        one_time_prekey: Some(&one_time_prekey),
    };
    let mut bobs = accept(&bob_identity, &bob, &alice, &prekeys, &second);
    let accepted = hex(&*bobs.to_bytes());
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
            "signed prekey statement": hex(statement.statement_bytes()),
            "signed prekey signature": hex(statement.signature_bytes()),
            "one-time prekey id": 22,
            "handshake digest": hex(alices.handshake_digest()),
        },
        "draws": script.draws,
        "steps": script.steps,
        "bob's state after accepting step 1": accepted,
        "stored signed prekey": hex(&*signed_prekey.to_bytes()),
        "stored one-time prekey": hex(&*one_time_prekey.to_bytes()),
        "storage": {
            "context": hex("sessions/1"),
            "record": hex("a record"),
            "sealed": hex(sealed),
            "blinded name of the context": hex(storage.blind(b"sessions/1")),
        },
    })
}

/// Bob's end of the conversation, from what the file has of it.
pub(crate) fn check(file: &Value) {
    let secret = |name: &str| array::<32>(&file["draws"][name]);
    let keys = |who: &str| {
        (
            AccountKeyPair::from_secret_bytes(&secret(&format!("{who} account secret"))).unwrap(),
            IdentityKeyPair::from_secret_bytes(&secret(&format!("{who} identity secret"))).unwrap(),
        )
    };
    let (alices, bobs) = (keys("alice"), keys("bob"));
    let [alice, bob] = parties([(&alices.0, &alices.1), (&bobs.0, &bobs.1)]);
    let signed_prekey = SignedPrekeyPair::from_bytes(&bytes(&file["stored signed prekey"])).unwrap();
    let one_time_prekey = OneTimePrekeyPair::from_bytes(&bytes(&file["stored one-time prekey"])).unwrap();
    let prekeys = X3dhPrekeys {
        signed_prekey: &signed_prekey,
        one_time_prekey: Some(&one_time_prekey),
    };
    let steps = list(&file["steps"]);
    let second = bytes(&steps[1]["message"]);
    let mut session = accept(&bobs.1, &bob, &alice, &prekeys, &second);
    assert_eq!(
        hex(&*session.to_bytes()),
        file["bob's state after accepting step 1"]
    );
    for (number, step) in steps.iter().enumerate() {
        let (message, plaintext) = (bytes(&step["message"]), bytes(&step["plaintext"]));
        match (text(&step["from"]), number) {
            ("alice", 1) => {}
            ("alice", _) => deliver(&mut session, &message, &plaintext),
            _ => {
                let drawn = file["draws"].get(format!("ratchet secret of step {number}"));
                let secret = drawn.map(bytes).unwrap_or_default();
                let sent = session.encrypt(&mut Draws::only(&secret), NOW, &plaintext);
                assert_eq!(sent.unwrap(), message);
                assert_eq!(hex(&*session.to_bytes()), step["state after"]);
            }
        }
    }
    let storage = StorageKey::from_bytes(secret("storage key"));
    let (context, sealed) = (
        bytes(&file["storage"]["context"]),
        bytes(&file["storage"]["sealed"]),
    );
    assert_eq!(
        hex(&*storage.open(&context, &sealed).unwrap()),
        file["storage"]["record"]
    );
}

fn parties(keys: [(&AccountKeyPair, &IdentityKeyPair); 2]) -> [Party; 2] {
    let party = |address, device, (account, identity): (&AccountKeyPair, &IdentityKeyPair)| Party {
        address: Address::parse(address).unwrap(),
        device_id: DeviceId::from_bytes([device; 16]),
        account_key: account.public(),
        identity_key: identity.public(),
    };
    [
        party("alice@one.example", 0xa1, keys[0]),
        party("bob@two.example", 0xb0, keys[1]),
    ]
}

/// Bob begins with Alice's second message.
fn accept(
    identity: &IdentityKeyPair,
    us: &Party,
    them: &Party,
    prekeys: &X3dhPrekeys<'_>,
    message: &[u8],
) -> Session {
    let SessionMessage::Initial(message) = SessionMessage::decode(message).unwrap() else {
        panic!("no initial message");
    };
    let (session, accepted) = Session::accept_x3dh(NOW, identity, us, them, prekeys, &message).unwrap();
    assert_eq!(*accepted.plaintext, [0x78; 300]);
    session
}

fn deliver(session: &mut Session, message: &[u8], plaintext: &[u8]) {
    let message = SessionMessage::decode(message).unwrap();
    let decrypted = session.decrypt(NOW, &message).unwrap();
    assert_eq!(*decrypted.plaintext, plaintext);
}
