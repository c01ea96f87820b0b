//! Goes through a conversation as it stands in a file, with nothing but the file: every state is read from it,
//! every draw taken from it, and every byte compared with it.

use std::collections::BTreeMap;

use serde_json::Value;
use sottovoce_crypto::{
    Decrypted, HandshakeError, InitialMessage, KemPrekeyPair, OneTimePrekeyPair, Party, PrekeyBundle,
    Prekeys, Session, SessionMessage, SignedPrekeyPair, X3dhPrekeyBundle, X3dhPrekeys,
};

use super::conversation::{put_long, skipped_json};
use super::draws::Draws;
use super::json::{bytes, hex, list, number, text};
use super::people::{identity, one_time_prekey, party, verified_kem_prekey, verified_signed_prekey};

pub(crate) fn replay(case: &Value) {
    let mut ends = BTreeMap::from([("initiator", initiate(case))]);
    let mut messages = Vec::new();
    for step in list(&case["steps"]) {
        let who = text(&step["who"]);
        let mut message = Vec::new();
        match text(&step["does"]) {
            "encrypts" => message = encrypt(ends.get_mut(who).unwrap(), step),
            "loses" => {
                let end = ends.get_mut(who).unwrap();
                for _ in 0..number(&step["empty messages"]) {
                    let nothing = &mut Draws::given(&Value::Array(Vec::new()));
                    end.session
                        .encrypt(nothing, number(&step["at, ms"]), b"")
                        .unwrap();
                }
            }
            "takes turns with the other" => take_turns(&mut ends, who, step),
            "accepts" => {
                let bytes: &Vec<u8> = &messages[usize::try_from(number(&step["message of step"])).unwrap()];
                let SessionMessage::Initial(message) = SessionMessage::decode(bytes).unwrap() else {
                    panic!("no initial message");
                };
                let (session, decrypted) = accept(case, &message, &party(&case["initiator"])).unwrap();
                let mut end = End::new(session);
                end.compare(&decrypted, step);
                ends.insert("responder", end);
            }
            "decrypts" => {
                let bytes: &Vec<u8> = &messages[usize::try_from(number(&step["message of step"])).unwrap()];
                let message = SessionMessage::decode(bytes).unwrap();
                assert_eq!(message.encode(), *bytes);
                let end = ends.get_mut(who).unwrap();
                let decrypted = end.session.decrypt(number(&step["at, ms"]), &message).unwrap();
                end.compare(&decrypted, step);
            }
            "refuses" => refuse(&mut ends.get_mut(who).unwrap().session, step),
            other => panic!("a step that nobody knows: {other}"),
        }
        messages.push(message);
        ends.get_mut(who).unwrap().restore(&step["state after"]);
    }
}

/// One side's session, and the records of its skipped keys as the steps have said to keep them.
struct End {
    session: Session,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            session,
            records: BTreeMap::new(),
        }
    }

    fn compare(&mut self, decrypted: &Decrypted, step: &Value) {
        let mut expected = serde_json::json!({});
        put_long(&mut expected, "plaintext", &decrypted.plaintext);
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(step[name], *value);
        }
        assert_eq!(step["skipped keys"], skipped_json(&decrypted.skipped));
        for record in list(&step["skipped keys"]["added"]) {
            let record = bytes(record);
            self.records.insert(record[2..38].to_vec(), record);
        }
        for id in list(&step["skipped keys"]["removed"]) {
            self.records.remove(&bytes(id));
        }
    }

    /// Compares the state, and goes on with what the file has.
    fn restore(&mut self, state: &Value) {
        assert_eq!(hex(&*self.session.to_bytes()), *state);
        let kept: Vec<_> = self
            .session
            .skipped_keys()
            .map(|record| record.bytes.to_vec())
            .collect();
        assert_eq!(kept, self.records.values().cloned().collect::<Vec<_>>());
        self.session = Session::from_bytes(&bytes(state), self.records.values()).unwrap();
    }
}

fn initiate(case: &Value) -> End {
    let draws = &mut Draws::given(&case["handshake"]["draws"]);
    let them = party(&case["responder"]);
    let session = begin(case, draws, &them, &case["responder's prekeys"]).unwrap();
    assert!(draws.are_used_up());
    assert_eq!(
        hex(session.handshake_digest()),
        case["handshake"]["handshake digest"]
    );
    let mut end = End::new(session);
    end.restore(&case["handshake"]["initiator's state after"]);
    end
}

/// Begins a session with what a server hands out.
pub(crate) fn begin(
    case: &Value,
    draws: &mut Draws,
    them: &Party,
    prekeys: &Value,
) -> Result<Session, HandshakeError> {
    let (ours, us) = (identity(&case["initiator"]), party(&case["initiator"]));
    let (now_ms, key) = (number(&case["at, ms"]), party(&case["responder"]).identity_key);
    let signed_prekey = verified_signed_prekey(&prekeys["signed prekey"], &key);
    let one_time = &prekeys["one-time prekey"];
    let one_time_prekey = (!one_time.is_null()).then(|| one_time_prekey(one_time));
    match text(&case["suite"]) {
        "X3DH" => {
            let bundle = X3dhPrekeyBundle {
                signed_prekey,
                one_time_prekey,
            };
            Session::initiate_x3dh(draws, now_ms, &ours, &us, them, &bundle)
        }
        _ => {
            let bundle = PrekeyBundle {
                signed_prekey,
                one_time_prekey,
                kem_prekey: verified_kem_prekey(&prekeys["KEM prekey"], &key),
            };
            Session::initiate(draws, now_ms, &ours, &us, them, &bundle)
        }
    }
}

/// Takes up a session with the prekeys as they are stored.
pub(crate) fn accept(
    case: &Value,
    message: &InitialMessage,
    them: &Party,
) -> Result<(Session, Decrypted), HandshakeError> {
    let (ours, us) = (identity(&case["responder"]), party(&case["responder"]));
    let stored = |kind: &str| {
        let prekey = &case["responder's prekeys"][kind]["stored"];
        (!prekey.is_null()).then(|| bytes(prekey))
    };
    let signed = SignedPrekeyPair::from_bytes(&stored("signed prekey").unwrap()).unwrap();
    let one_time = stored("one-time prekey").map(|bytes| OneTimePrekeyPair::from_bytes(&bytes).unwrap());
    let kem = stored("KEM prekey").map(|bytes| KemPrekeyPair::from_bytes(&bytes).unwrap());
    let now_ms = number(&case["at, ms"]);
    let (signed_prekey, one_time_prekey) = (&signed, one_time.as_ref());
    match &kem {
        None => {
            let prekeys = X3dhPrekeys {
                signed_prekey,
                one_time_prekey,
            };
            Session::accept_x3dh(now_ms, &ours, &us, them, &prekeys, message)
        }
        Some(kem_prekey) => {
            let prekeys = Prekeys {
                signed_prekey,
                one_time_prekey,
                kem_prekey,
            };
            Session::accept(now_ms, &ours, &us, them, &prekeys, message)
        }
    }
}

fn encrypt(end: &mut End, step: &Value) -> Vec<u8> {
    let draws = &mut Draws::given(&step["draws"]);
    let plaintext = match step.get("plaintext") {
        Some(plaintext) => bytes(plaintext),
        // Long ones are one byte repeated.
        None => vec![b'x'; usize::try_from(number(&step["plaintext, length"])).unwrap()],
    };
    let message = end
        .session
        .encrypt(draws, number(&step["at, ms"]), &plaintext)
        .unwrap();
    assert!(draws.are_used_up());
    let mut expected = serde_json::json!({});
    put_long(&mut expected, "plaintext", &plaintext);
    put_long(&mut expected, "message", &message);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(step[name], *value);
    }
    message
}

fn take_turns(ends: &mut BTreeMap<&str, End>, first: &str, step: &Value) {
    let second = if first == "initiator" {
        "responder"
    } else {
        "initiator"
    };
    let now_ms = number(&step["at, ms"]);
    let draws = &mut Draws::given(&step["draws"]);
    for turn in 0..number(&step["empty messages"]) {
        let (from, to) = if turn % 2 == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let message = ends
            .get_mut(from)
            .unwrap()
            .session
            .encrypt(draws, now_ms, b"")
            .unwrap();
        let message = SessionMessage::decode(&message).unwrap();
        let decrypted = ends
            .get_mut(to)
            .unwrap()
            .session
            .decrypt(now_ms, &message)
            .unwrap();
        assert!(decrypted.plaintext.is_empty());
    }
    assert!(draws.are_used_up());
    ends.get_mut(second)
        .unwrap()
        .restore(&step["other's state after"]);
}

fn refuse(session: &mut Session, step: &Value) {
    let reason = text(&step["reason"]);
    let (at, error) = match SessionMessage::decode(&bytes(&step["message"])) {
        Err(error) => ("decoding", format!("{error:?}")),
        Ok(message) => match session.decrypt(number(&step["at, ms"]), &message) {
            Err(error) => ("decrypting", format!("{error:?}")),
            Ok(_) => panic!("{reason}: taken"),
        },
    };
    assert_eq!(
        (at, error.as_str()),
        (text(&step["refused at"]), text(&step["error"])),
        "{reason}"
    );
}
