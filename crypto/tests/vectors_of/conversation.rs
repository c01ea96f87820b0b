//! A conversation of two devices, written down step by step, each with the bytes it came to.

use serde_json::{Value, json};
use sottovoce_crypto::{
    InitialMessage, PrekeyBundle, Prekeys, Session, SessionMessage, SkippedChanges, X3dhPrekeyBundle,
    X3dhPrekeys,
};

use super::by_hand::padded;
use super::draws::Draws;
use super::json::hex;
use super::people::{Device, NOW, kem_prekey_json, one_time_prekey_json, signed_prekey_json};
use super::trace::{Kem, Side, Trace, Used};

/// Lengths from which on the file has a text's or message's SHA-256 and length in place of its bytes.
pub(crate) const LONG: usize = 4_096;

pub(crate) struct Conversation<'a> {
    pub(crate) draws: Draws,
    pub(crate) trace: Trace,
    pub(crate) now_ms: u64,
    alice: &'a Device,
    bob: &'a Device,
    used: Used<'a>,
    alices: Session,
    bobs: Option<Session>,
    json: Value,
    steps: Vec<Value>,
    messages: Vec<Vec<u8>>,
}

impl<'a> Conversation<'a> {
    /// Alice begins it.
    pub(crate) fn begin(
        name: &str,
        mut draws: Draws,
        alice: &'a Device,
        bob: &'a Device,
        used: Used<'a>,
    ) -> Self {
        let signed_prekey = bob.signed_prekey.statement().clone();
        let signed_prekey = signed_prekey.verify(&bob.party.identity_key).unwrap();
        let one_time_prekey = used.one_time.then(|| bob.one_time_prekey.public());
        let (identity, us, them) = (&alice.identity, &alice.party, &bob.party);
        let alices = match used.kem {
            None => {
                let bundle = X3dhPrekeyBundle {
                    signed_prekey,
                    one_time_prekey,
                };
                Session::initiate_x3dh(&mut draws, NOW, identity, us, them, &bundle)
            }
            Some(kem) => {
                let kem_prekey = kem.statement().clone();
                let bundle = PrekeyBundle {
                    signed_prekey,
                    one_time_prekey,
                    kem_prekey: kem_prekey.verify(&bob.party.identity_key).unwrap(),
                };
                Session::initiate(&mut draws, NOW, identity, us, them, &bundle)
            }
        }
        .unwrap();
        let drawn = draws.drawn();
        let (trace, mut handshake) = Trace::begin(alice, bob, used, &drawn);
        trace.check_state(&alices.to_bytes());
        assert_eq!(handshake["handshake digest"], hex(alices.handshake_digest()));
        let names: &[&str] = match used.kem {
            None => &["ephemeral secret", "first ratchet secret"],
            Some(_) => &[
                "ephemeral secret",
                "randomness of the encapsulation",
                "first ratchet secret",
            ],
        };
        assert_eq!(drawn.len(), names.len());
        handshake["draws"] = drawn
            .iter()
            .zip(names)
            .map(|(draw, name)| json!({ "what": name, "bytes": hex(draw) }))
            .collect();
        handshake["initiator's state after"] = hex(&*alices.to_bytes());
        let json = json!({
            "name": name,
            "suite": if used.kem.is_some() { "PQXDH" } else { "X3DH" },
            "at, ms": NOW,
            "initiator": alice.json(),
            "responder": bob.json(),
            "responder's prekeys": {
                "signed prekey": signed_prekey_json(&bob.signed_prekey),
                "one-time prekey": used.one_time.then(|| one_time_prekey_json(&bob.one_time_prekey)),
                "KEM prekey": used.kem.map(kem_prekey_json),
            },
            "handshake": handshake,
        });
        Self {
            draws,
            trace,
            now_ms: NOW,
            alice,
            bob,
            used,
            alices,
            bobs: None,
            json,
            steps: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Somebody writes. Returns the number of the step.
    pub(crate) fn says(&mut self, who: Side, plaintext: &[u8]) -> usize {
        let (message, draws, chain) = self.encrypt(who, plaintext);
        let (expected, keys) = self.trace.seal_next(who, &padded(plaintext));
        assert_eq!(message, expected, "by hand it is another message");
        self.trace.advance(who);
        let mut step = json!({
            "who": who.name(),
            "does": "encrypts",
            "draws": draws,
            "chain begun": chain,
            "keys": keys,
        });
        put_long(&mut step, "plaintext", plaintext);
        put_long(&mut step, "message", &message);
        self.note(who, step, message)
    }

    /// Somebody writes empty messages that nobody will ever get.
    pub(crate) fn loses(&mut self, who: Side, messages: u64) {
        for _ in 0..messages {
            let (_, draws, _) = self.encrypt(who, b"");
            assert_eq!(draws, json!([]), "a chain that goes on draws nothing");
            self.trace.advance(who);
        }
        let step = json!({ "who": who.name(), "does": "loses", "empty messages": messages });
        self.note(who, step, Vec::new());
    }

    /// Both write an empty message in turn and read the other's, as often as said, one chain each time.
    pub(crate) fn takes_turns(&mut self, first: Side, chains: usize) {
        let second = other(first);
        let mut draws = Vec::new();
        for turn in 0..chains {
            let (from, to) = if turn % 2 == 0 {
                (first, second)
            } else {
                (second, first)
            };
            let (message, drawn, _) = self.encrypt(from, b"");
            draws.extend(drawn.as_array().unwrap().clone());
            assert_eq!(message, self.trace.seal_next(from, &padded(b"")).0);
            self.trace.advance(from);
            let now_ms = self.now_ms;
            let message = SessionMessage::decode(&message).unwrap();
            self.session(to).decrypt(now_ms, &message).unwrap();
        }
        let step = json!({
            "who": first.name(),
            "does": "takes turns with the other",
            "empty messages": chains,
            "draws": draws,
            "other's state after": hex(&*self.session(second).to_bytes()),
        });
        self.note(first, step, Vec::new());
    }

    /// Somebody gets what was written in an earlier step.
    pub(crate) fn hears(&mut self, who: Side, step: usize) {
        let bytes = self.messages[step].clone();
        let message = SessionMessage::decode(&bytes).unwrap();
        let (does, decrypted) = match (&message, &mut self.bobs) {
            (SessionMessage::Initial(message), None) => {
                let (session, decrypted) = self.accept(message);
                self.bobs = Some(session);
                ("accepts", decrypted)
            }
            _ => {
                let now_ms = self.now_ms;
                ("decrypts", self.session(who).decrypt(now_ms, &message).unwrap())
            }
        };
        let mut json = json!({
            "who": who.name(),
            "does": does,
            "message of step": step,
            "skipped keys": skipped_json(&decrypted.skipped),
        });
        put_long(&mut json, "plaintext", &decrypted.plaintext);
        self.note(who, json, Vec::new());
    }

    /// Somebody gets what must be refused, and leave no trace.
    pub(crate) fn refuses(&mut self, who: Side, reason: &str, bytes: &[u8]) {
        let now_ms = self.now_ms;
        let before = self.session(who).to_bytes();
        let (at, error) = match SessionMessage::decode(bytes) {
            Err(error) => ("decoding", format!("{error:?}")),
            Ok(message) => match self.session(who).decrypt(now_ms, &message) {
                Err(error) => ("decrypting", format!("{error:?}")),
                Ok(_) => panic!("{reason}: taken"),
            },
        };
        assert_eq!(*self.session(who).to_bytes(), *before);
        let step = json!({
            "who": who.name(),
            "does": "refuses",
            "reason": reason,
            "message": hex(bytes),
            "refused at": at,
            "error": error,
        });
        self.note(who, step, Vec::new());
    }

    /// The bytes of an earlier step.
    pub(crate) fn message(&self, step: usize) -> &[u8] {
        &self.messages[step]
    }

    pub(crate) fn finish(self) -> Value {
        let mut json = self.json;
        json["steps"] = self.steps.into();
        json
    }

    fn encrypt(&mut self, who: Side, plaintext: &[u8]) -> (Vec<u8>, Value, Option<Value>) {
        let now_ms = self.now_ms;
        let session = match who {
            Side::Initiator => &mut self.alices,
            Side::Responder => self.bobs.as_mut().unwrap(),
        };
        let message = session.encrypt(&mut self.draws, now_ms, plaintext).unwrap();
        let drawn = self.draws.drawn();
        let kem = match drawn.get(1).map(Vec::as_slice) {
            None => Kem::None,
            Some(draw) if draw.len() == 64 => Kem::Offer(draw.try_into().unwrap()),
            Some(draw) => Kem::Answer(draw.try_into().unwrap()),
        };
        let second = match kem {
            Kem::Answer(_) => "randomness of the encapsulation",
            _ => "seed d, z of the KEM key",
        };
        let draws = drawn
            .iter()
            .zip(["ratchet secret", second])
            .map(|(draw, name)| json!({ "what": name, "bytes": hex(draw) }))
            .collect();
        let chain = drawn.first().map(|secret| {
            self.trace
                .begin_chain(who, secret.as_slice().try_into().unwrap(), kem)
        });
        let state = self.session(who).to_bytes();
        self.trace.check_state(&state);
        (message, draws, chain)
    }

    fn accept(&self, message: &InitialMessage) -> (Session, sottovoce_crypto::Decrypted) {
        let (identity, us, them) = (&self.bob.identity, &self.bob.party, &self.alice.party);
        let signed_prekey = &self.bob.signed_prekey;
        let one_time_prekey = self.used.one_time.then_some(&self.bob.one_time_prekey);
        match self.used.kem {
            None => {
                let prekeys = X3dhPrekeys {
                    signed_prekey,
                    one_time_prekey,
                };
                Session::accept_x3dh(self.now_ms, identity, us, them, &prekeys, message)
            }
            Some(kem_prekey) => {
                let prekeys = Prekeys {
                    signed_prekey,
                    one_time_prekey,
                    kem_prekey,
                };
                Session::accept(self.now_ms, identity, us, them, &prekeys, message)
            }
        }
        .unwrap()
    }

    fn session(&mut self, who: Side) -> &mut Session {
        match who {
            Side::Initiator => &mut self.alices,
            Side::Responder => self.bobs.as_mut().unwrap(),
        }
    }

    fn note(&mut self, who: Side, mut step: Value, message: Vec<u8>) -> usize {
        let number = self.steps.len();
        step["step"] = number.into();
        step["at, ms"] = self.now_ms.into();
        step["state after"] = hex(&*self.session(who).to_bytes());
        self.steps.push(step);
        self.messages.push(message);
        number
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Initiator => Side::Responder,
        Side::Responder => Side::Initiator,
    }
}

/// Bytes, or what they are known by if they are many.
pub(crate) fn put_long(json: &mut Value, name: &str, bytes: &[u8]) {
    if bytes.len() < LONG {
        json[name] = hex(bytes);
    } else {
        json[format!("{name}, length")] = bytes.len().into();
        json[format!("{name}, SHA-256")] = hex(super::by_hand::sha256(bytes));
    }
}

/// What became of a session's skipped keys: records to keep, names of records to erase.
pub(crate) fn skipped_json(changes: &SkippedChanges) -> Value {
    json!({
        "added": changes.added.iter().map(|record| hex(&*record.bytes)).collect::<Vec<_>>(),
        "removed": changes.removed.iter().map(|id| hex(id.to_bytes())).collect::<Vec<_>>(),
    })
}
