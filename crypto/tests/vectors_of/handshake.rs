//! PQXDH and X3DH with every kind of prekey, and everything about a handshake that must be refused.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{KemPrekey, Signed, SignedPrekey, X25519Key};
use sottovoce_crypto::{IdentityKeyPair, InitialMessage, SessionMessage};

use super::conversation::Conversation;
use super::draws::Draws;
use super::json::{array, bytes, hex, list, refusal, text};
use super::people::{Device, one_time_prekey, party, party_json, signed_json};
use super::replay::{accept, begin, replay};
use super::trace::{Side, Used};

use Side::{Initiator, Responder};

pub(crate) fn generate_x3dh() -> Value {
    let (alice, bob) = people(1);
    let used = |one_time| Used { one_time, kem: None };
    json!([
        case("with a one-time prekey", 11, &alice, &bob, used(true), true),
        case("without a one-time prekey", 12, &alice, &bob, used(false), false),
    ])
}

pub(crate) fn generate_pqxdh() -> Value {
    let (alice, bob) = people(2);
    let used = |one_time, kem| Used {
        one_time,
        kem: Some(kem),
    };
    let (one_time, last_resort) = (&bob.kem_prekey, &bob.last_resort);
    json!([
        case(
            "with one-time prekeys of both kinds",
            21,
            &alice,
            &bob,
            used(true, one_time),
            true
        ),
        case(
            "with a one-time prekey and the KEM prekey of last resort",
            22,
            &alice,
            &bob,
            used(true, last_resort),
            false
        ),
        case(
            "with a one-time KEM prekey only",
            23,
            &alice,
            &bob,
            used(false, one_time),
            false
        ),
        case(
            "without any one-time prekey",
            24,
            &alice,
            &bob,
            used(false, last_resort),
            false
        ),
    ])
}

pub(crate) fn people(seed: u8) -> (Device, Device) {
    let draws = &mut Draws::seeded(seed);
    (
        Device::new(draws, "alice@one.example", 0xa1),
        Device::new(draws, "bob@two.example", 0xb0),
    )
}

fn case(name: &str, seed: u8, alice: &Device, bob: &Device, used: Used<'_>, whole: bool) -> Value {
    let mut talk = Conversation::begin(name, Draws::seeded(seed), alice, bob, used);
    let first = talk.says(Initiator, b"are you there?");
    let second = talk.says(Initiator, b"");
    talk.hears(Responder, second);
    talk.hears(Responder, first);
    let answer = talk.says(Responder, b"always");
    talk.hears(Initiator, answer);
    let last = talk.says(Initiator, b"good night");
    talk.hears(Responder, last);
    let message = talk.message(first).to_vec();
    let header_len = talk.trace.handshake().len();
    let mut json = talk.finish();
    if whole {
        json["refused"] = json!({
            "first messages": refused_messages(&json, &message, header_len),
            "initiators": refused_initiators(&json, &message, alice, bob),
            "prekeys": refused_prekeys(&json, bob),
        });
    }
    json
}

/// First messages that the responder must not take up.
fn refused_messages(case: &Value, message: &[u8], header_len: usize) -> Value {
    let (ephemeral, ratchet) = (12, 2 + header_len);
    let with = |position: usize, field: &[u8]| {
        let mut changed = message.to_vec();
        changed[position..position + field.len()].copy_from_slice(field);
        changed
    };
    let flipped = |position: usize| with(position, &[message[position] ^ 1]);
    let mut forms = vec![
        ("nothing", Vec::new()),
        ("another version", with(0, &[2])),
        ("another kind", with(1, &[4])),
        ("a suite that nobody speaks", with(2, &[3])),
        ("a signed prekey numbered 0", with(3, &[0; 4])),
        ("another signed prekey", flipped(6)),
        ("neither with nor without a one-time prekey", with(7, &[2])),
        ("another one-time prekey", flipped(11)),
        ("an ephemeral key of zeros", with(ephemeral, &[0; 32])),
        (
            "an ephemeral key with its top bit set",
            with(ephemeral + 31, &[message[ephemeral + 31] | 0x80]),
        ),
        (
            "an ephemeral key that is not reduced: 2^255 - 19",
            with(ephemeral, &not_reduced()),
        ),
        (
            "an ephemeral key of small order: 1",
            with(ephemeral, &small_order()),
        ),
        ("another ephemeral key", with(ephemeral, &[9; 32])),
        ("a ratchet key of zeros", with(ratchet, &[0; 32])),
        ("a ratchet key of small order: 1", with(ratchet, &small_order())),
        ("another ratchet key", with(ratchet, &[9; 32])),
        ("another previous", flipped(ratchet + 35)),
        ("another number", flipped(ratchet + 39)),
        (
            "a number that passes over too many",
            with(ratchet + 36, &2_001_u32.to_be_bytes()),
        ),
        ("a damaged ciphertext", flipped(ratchet + 40)),
        ("a damaged tag", flipped(message.len() - 1)),
        ("a byte too few", message[..message.len() - 1].to_vec()),
        ("a byte too many", [message, &[0]].concat()),
    ];
    if message[2] == 2 {
        let kem = ephemeral + 32;
        forms.push(("a KEM prekey numbered 0", with(kem, &[0; 4])));
        forms.push(("another KEM prekey", flipped(kem + 3)));
        forms.push(("a damaged KEM ciphertext", flipped(kem + 4)));
        let classical = [&message[..2], &[1], &message[3..kem], &message[ratchet..]].concat();
        forms.push(("turned into one of X3DH", classical));
    } else {
        let pretended = [
            &message[..2],
            &[2],
            &message[3..ratchet],
            &[0, 0, 0, 44],
            &[7; 1_088],
            &message[ratchet..],
        ];
        forms.push(("turned into one of PQXDH", pretended.concat()));
    }
    let them = party(&case["initiator"]);
    forms
        .into_iter()
        .map(|(reason, bytes)| {
            let (at, error) = refusal_of(case, &bytes, &them);
            json!({ "reason": reason, "message": hex(bytes), "refused at": at, "error": error })
        })
        .collect()
}

/// The right message, taken to be somebody else's.
fn refused_initiators(case: &Value, message: &[u8], alice: &Device, bob: &Device) -> Value {
    let other = IdentityKeyPair::from_secret_bytes(&[7; 32]).unwrap().public();
    let mut parties = Vec::new();
    let mut add = |reason: &str, change: &dyn Fn(&mut Value)| {
        let mut json = party_json(&alice.party);
        change(&mut json);
        parties.push((reason.to_owned(), json));
    };
    add("another address", &|party| {
        party["address"] = "alicia@one.example".into()
    });
    add("another device", &|party| party["device id"] = hex([0xa2; 16]));
    add("another account", &|party| {
        party["account key"] = hex(other.as_bytes())
    });
    add("another identity", &|party| {
        party["identity key"] = hex(other.as_bytes())
    });
    add("the responder's own identity", &|party| {
        party["identity key"] = hex(bob.party.identity_key.as_bytes());
    });
    parties
        .into_iter()
        .map(|(reason, initiator)| {
            let (_, error) = refusal_of(case, message, &party(&initiator));
            json!({ "reason": reason, "message": hex(message), "initiator": initiator, "error": error })
        })
        .collect()
}

/// Prekeys that the initiator must not begin a session with.
fn refused_prekeys(case: &Value, bob: &Device) -> Value {
    let mut forms = Vec::new();
    let mut add = |reason: &str, change: &dyn Fn(&mut Value)| {
        let mut prekeys = case["responder's prekeys"].clone();
        change(&mut prekeys);
        forms.push((reason.to_owned(), prekeys));
    };
    let mallory = IdentityKeyPair::from_secret_bytes(&[7; 32]).unwrap();
    let honest = *bob.signed_prekey.statement().claimed();
    let sign = |identity: &IdentityKeyPair, change: &dyn Fn(&mut SignedPrekey)| {
        let mut prekey = honest;
        change(&mut prekey);
        signed_json(&identity.sign_prekey(prekey).unwrap())
    };
    let small = X25519Key::from_slice(&small_order()).unwrap();
    let foreign = sottovoce_crypto::statements::DeviceId::from_bytes([0xb1; 16]);
    add("a signed prekey that somebody else signed", &|prekeys| {
        prekeys["signed prekey"] = sign(&mallory, &|_| {});
    });
    add("a signed prekey of another device", &|prekeys| {
        prekeys["signed prekey"] = sign(&bob.identity, &|prekey| prekey.device_id = foreign);
    });
    add("a signed prekey of small order", &|prekeys| {
        prekeys["signed prekey"] = sign(&bob.identity, &|prekey| prekey.key = small);
    });
    add("a one-time prekey of small order", &|prekeys| {
        prekeys["one-time prekey"]["key"] = hex(small_order());
    });
    add("a one-time prekey of zeros", &|prekeys| {
        prekeys["one-time prekey"]["key"] = hex([0; 32]);
    });
    if !case["responder's prekeys"]["KEM prekey"].is_null() {
        let honest = bob.kem_prekey.statement().claimed().clone();
        add("a KEM prekey that somebody else signed", &|prekeys| {
            prekeys["KEM prekey"] = signed_json(&mallory.sign_kem_prekey(honest.clone()).unwrap());
        });
        add("a KEM prekey of another device", &|prekeys| {
            let mut prekey = honest.clone();
            prekey.device_id = foreign;
            prekeys["KEM prekey"] = signed_json(&bob.identity.sign_kem_prekey(prekey).unwrap());
        });
    }
    forms
        .into_iter()
        .map(|(reason, prekeys)| {
            let error = prekeys_refusal(case, &prekeys);
            json!({ "reason": reason, "prekeys": prekeys, "error": error })
        })
        .collect()
}

pub(crate) fn check(cases: &Value) {
    for case in list(cases) {
        replay(case);
        let Some(refused) = case.get("refused") else {
            continue;
        };
        let them = party(&case["initiator"]);
        for form in list(&refused["first messages"]) {
            let (at, error) = refusal_of(case, &bytes(&form["message"]), &them);
            assert_eq!(at, text(&form["refused at"]), "{}", form["reason"]);
            assert_eq!(error, text(&form["error"]), "{}", form["reason"]);
        }
        for form in list(&refused["initiators"]) {
            let (_, error) = refusal_of(case, &bytes(&form["message"]), &party(&form["initiator"]));
            assert_eq!(error, text(&form["error"]), "{}", form["reason"]);
        }
        for form in list(&refused["prekeys"]) {
            assert_eq!(
                prekeys_refusal(case, &form["prekeys"]),
                text(&form["error"]),
                "{}",
                form["reason"]
            );
        }
    }
}

/// Where and why a first message is refused.
fn refusal_of(case: &Value, bytes: &[u8], them: &sottovoce_crypto::Party) -> (&'static str, String) {
    match SessionMessage::decode(bytes) {
        Err(error) => ("decoding", format!("{error:?}")),
        Ok(SessionMessage::Ratchet(_)) => panic!("no initial message"),
        Ok(SessionMessage::Initial(message)) => {
            let message: InitialMessage = message;
            ("accepting", refusal(accept(case, &message, them).map(|_| ())))
        }
    }
}

/// Why a bundle is refused: what is said of it is not true, or nothing can be begun with it.
fn prekeys_refusal(case: &Value, prekeys: &Value) -> String {
    let them = party(&case["responder"]);
    let read = |value: &Value| (bytes(&value["statement"]), bytes(&value["signature"]));
    let (statement, signature) = read(&prekeys["signed prekey"]);
    let signed = Signed::<SignedPrekey>::from_parts(&statement, &signature).unwrap();
    if let Err(error) = signed.verify(&them.identity_key) {
        return format!("{error:?}");
    }
    if !prekeys["KEM prekey"].is_null() {
        let (statement, signature) = read(&prekeys["KEM prekey"]);
        let signed = Signed::<KemPrekey>::from_parts(&statement, &signature).unwrap();
        if let Err(error) = signed.verify(&them.identity_key) {
            return format!("{error:?}");
        }
    }
    if let Err(error) = X25519Key::from_slice(&array::<32>(&prekeys["one-time prekey"]["key"])) {
        return format!("{error:?}");
    }
    one_time_prekey(&prekeys["one-time prekey"]);
    let draws = &mut Draws::given(&case["handshake"]["draws"]);
    refusal(begin(case, draws, &them, prekeys).map(|_| ()))
}

/// A canonical key that contributes nothing to any Diffie-Hellman.
pub(crate) fn small_order() -> [u8; 32] {
    let mut key = [0; 32];
    key[0] = 1;
    key
}

/// The field's prime, a second spelling of zero.
fn not_reduced() -> [u8; 32] {
    let mut key = [0xff; 32];
    key[0] = 0xed;
    key[31] = 0x7f;
    key
}
