//! Envelopes that hide their sender, and the keys that let somebody send them.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{AccessKeyHash, Address, DeviceId};
use sottovoce_crypto::{AccessKey, EnvelopeSender, SealedEnvelope, seal_envelope};

use super::by_hand::{dh, hkdf, identity_x25519, seal, x25519_public};
use super::draws::Draws;
use super::handshake::small_order;
use super::json::{array, bytes, hex, list, number, refusal, text};
use super::people::{Device, identity, party, party_json};

pub(crate) fn generate() -> Value {
    let draws = &mut Draws::seeded(10);
    let bob = Device::new(draws, "bob@two.example", 0xb0);
    let longest = format!("{}@{}.{}", "a".repeat(32), "b".repeat(63), "c".repeat(64));
    let envelopes = json!([
        envelope(
            draws,
            &bob,
            "alice@one.example",
            b"the bytes of a session message"
        ),
        envelope(draws, &bob, &longest, b""),
    ]);
    json!({
        "recipient": bob.json(),
        "envelopes": envelopes,
        "refused": refused(&bob, &envelopes[0]),
        "access keys": access_keys(draws),
    })
}

fn envelope(draws: &mut Draws, bob: &Device, address: &str, message: &[u8]) -> Value {
    let sender = EnvelopeSender {
        address: Address::parse(address).unwrap(),
        device_id: DeviceId::from_bytes([0xa1; 16]),
        manifest_version: 2,
        manifest_hash: [0x4d; 32],
    };
    let bytes = seal_envelope(draws, &sender, &bob.party, message).unwrap();
    let drawn = draws.take(&["ephemeral secret"]);
    let by_hand = by_hand(bob, array(&drawn[0]["bytes"]), &inside(&sender, message));
    assert_eq!(hex(&bytes), by_hand["envelope"], "by hand it is another envelope");
    let mut json = by_hand;
    json["draws"] = drawn;
    json["sender"] = json!({
        "address": address,
        "device id": hex(sender.device_id.as_bytes()),
        "manifest version": sender.manifest_version,
        "manifest hash": hex(sender.manifest_hash),
    });
    json["message"] = hex(message);
    json
}

fn inside(sender: &EnvelopeSender, message: &[u8]) -> Vec<u8> {
    let address = sender.address.as_str().as_bytes();
    let mut inside = vec![u8::try_from(address.len()).unwrap()];
    inside.extend(address);
    inside.resize(162, 0);
    inside.extend(sender.device_id.as_bytes());
    inside.extend(sender.manifest_version.to_be_bytes());
    inside.extend(sender.manifest_hash);
    inside.extend(message);
    inside
}

/// An envelope (14.1, 14.2) with anything in it.
fn by_hand(bob: &Device, ephemeral: [u8; 32], inside: &[u8]) -> Value {
    let public = x25519_public(&ephemeral);
    let bobs = x25519_public(&identity_x25519(&bob.identity.to_secret_bytes()));
    let shared = dh(&ephemeral, &bobs);
    let info = [
        b"Sottovoce-v1 sealed sender".as_slice(),
        &[1],
        &public,
        bob.party.identity_key.as_bytes(),
        bob.party.device_id.as_bytes(),
        bob.party.address.as_str().as_bytes(),
    ]
    .concat();
    let key = hkdf(&[0; 32], &shared, &info);
    let sealed = seal(&key, &[0; 12], &[], inside);
    json!({
        "ephemeral key": hex(public),
        "DH": hex(shared),
        "info": hex(info),
        "key": hex(key),
        "inside": hex(inside),
        "envelope": hex([&[1], public.as_slice(), &sealed].concat()),
    })
}

/// What does not open, or opens to nothing that an envelope may hold.
fn refused(bob: &Device, good: &Value) -> Value {
    let envelope = bytes(&good["envelope"]);
    let within = bytes(&good["inside"]);
    let with = |bytes: &[u8], position: usize, field: &[u8]| {
        let mut changed = bytes.to_vec();
        changed[position..position + field.len()].copy_from_slice(field);
        changed
    };
    let flipped = |position: usize| with(&envelope, position, &[envelope[position] ^ 1]);
    let holding = |inside: &[u8]| bytes(&by_hand(bob, [0x44; 32], inside)["envelope"]);
    let us = party_json(&bob.party);
    let changed = |field: &str, value: Value| {
        let mut party = us.clone();
        party[field] = value;
        party
    };
    let forms = [
        ("another version", with(&envelope, 0, &[2]), us.clone()),
        (
            "an ephemeral key of zeros",
            with(&envelope, 1, &[0; 32]),
            us.clone(),
        ),
        (
            "an ephemeral key that is not reduced",
            with(&envelope, 1, &[0xff; 32]),
            us.clone(),
        ),
        (
            "an ephemeral key of small order: 1",
            with(&envelope, 1, &small_order()),
            us.clone(),
        ),
        ("another ephemeral key", with(&envelope, 1, &[9; 32]), us.clone()),
        ("a damaged sender", flipped(40), us.clone()),
        ("a damaged message", flipped(260), us.clone()),
        ("a damaged tag", flipped(envelope.len() - 1), us.clone()),
        (
            "a byte too few",
            envelope[..envelope.len() - 1].to_vec(),
            us.clone(),
        ),
        (
            "a byte too many",
            [envelope.as_slice(), &[0]].concat(),
            us.clone(),
        ),
        ("shorter than any", envelope[..266].to_vec(), us.clone()),
        ("nothing", Vec::new(), us.clone()),
        (
            "sealed to another address",
            envelope.clone(),
            changed("address", "rob@two.example".into()),
        ),
        (
            "sealed to another device",
            envelope.clone(),
            changed("device id", hex([0xb1; 16])),
        ),
        (
            "an empty address inside",
            holding(&with(&within, 0, &[0])),
            us.clone(),
        ),
        (
            "an address inside that is longer than its field",
            holding(&with(&within, 0, &[162])),
            us.clone(),
        ),
        (
            "an address inside that ends elsewhere",
            holding(&with(&within, 0, &[16])),
            us.clone(),
        ),
        (
            "an address inside in upper case",
            holding(&with(&within, 1, b"A")),
            us.clone(),
        ),
        (
            "an address inside that is no text",
            holding(&with(&within, 1, &[0xff])),
            us.clone(),
        ),
        (
            "filling inside that is not zeros",
            holding(&with(&within, 161, &[1])),
            us.clone(),
        ),
        (
            "a manifest of version 0 inside",
            holding(&with(&within, 178, &[0; 8])),
            us.clone(),
        ),
    ];
    forms
        .into_iter()
        .map(|(reason, envelope, recipient)| {
            let mut form = json!({ "reason": reason, "envelope": hex(envelope), "recipient": recipient });
            form["error"] = reopen(&bob.json(), &form).into();
            form
        })
        .collect()
}

fn reopen(device: &Value, form: &Value) -> String {
    match SealedEnvelope::decode(&bytes(&form["envelope"])) {
        Err(error) => format!("{error:?}"),
        Ok(envelope) => refusal(envelope.open(&identity(device), &party(&form["recipient"]))),
    }
}

fn access_keys(draws: &mut Draws) -> Value {
    let key = AccessKey::generate(draws);
    let state = key.to_bytes().to_vec();
    let presented = key.to_secret_bytes();
    let mut damaged = *presented;
    damaged[31] ^= 1;
    json!({
        "draws": draws.take(&["access key"]),
        "hash": hex(key.hash().as_bytes()),
        "stored": hex(&state),
        "refused when presented": [
            { "reason": "another key", "presented": hex(damaged) },
            { "reason": "the hash", "presented": hex(key.hash().as_bytes()) },
            { "reason": "a byte too few", "presented": hex(&presented[..31]) },
            { "reason": "a byte too many", "presented": hex([presented.as_slice(), &[0]].concat()) },
            { "reason": "nothing", "presented": "" },
        ],
        "refused states": [
            { "reason": "another version", "state": hex([&[2], &state[1..]].concat()) },
            { "reason": "another kind", "state": hex([&[1, 1], &state[2..]].concat()) },
            { "reason": "a byte too few", "state": hex(&state[..33]) },
            { "reason": "a byte too many", "state": hex([state.as_slice(), &[0]].concat()) },
        ],
    })
}

pub(crate) fn check(file: &Value) {
    let us = party(&file["recipient"]);
    for entry in list(&file["envelopes"]) {
        let sender = EnvelopeSender {
            address: Address::parse(text(&entry["sender"]["address"])).unwrap(),
            device_id: DeviceId::from_bytes(array(&entry["sender"]["device id"])),
            manifest_version: number(&entry["sender"]["manifest version"]),
            manifest_hash: array(&entry["sender"]["manifest hash"]),
        };
        let (envelope, message) = (bytes(&entry["envelope"]), bytes(&entry["message"]));
        let draws = &mut Draws::given(&entry["draws"]);
        assert_eq!(seal_envelope(draws, &sender, &us, &message).unwrap(), envelope);
        let opened = SealedEnvelope::decode(&envelope).unwrap();
        assert_eq!(opened.encode(), envelope);
        let opened = opened.open(&identity(&file["recipient"]), &us).unwrap();
        assert_eq!(
            (opened.sender().claimed(), opened.message()),
            (&sender, message.as_slice())
        );
    }
    for form in list(&file["refused"]) {
        assert_eq!(
            reopen(&file["recipient"], form),
            text(&form["error"]),
            "{}",
            form["reason"]
        );
    }
    let keys = &file["access keys"];
    let key = AccessKey::from_secret_bytes(&array(&keys["draws"][0]["bytes"]));
    let hash = AccessKeyHash::from_slice(&bytes(&keys["hash"])).unwrap();
    assert!(key.hash() == hash && hash.admits(&*key.to_secret_bytes()));
    assert!(AccessKey::from_bytes(&bytes(&keys["stored"])).unwrap() == key);
    assert_eq!(hex(&*key.to_bytes()), keys["stored"]);
    for form in list(&keys["refused when presented"]) {
        assert!(!hash.admits(&bytes(&form["presented"])), "{}", form["reason"]);
    }
    for form in list(&keys["refused states"]) {
        assert!(
            AccessKey::from_bytes(&bytes(&form["state"])).is_err(),
            "{}",
            form["reason"]
        );
    }
}
