//! Records at rest, names that tell nothing, passphrases, and stored states that must not be read.

use serde_json::{Value, json};
use sottovoce_crypto::{KemPrekeyPair, OneTimePrekeyPair, Session, SignedPrekeyPair, StorageKey};

use super::by_hand::hmac;
use super::conversation::Conversation;
use super::draws::Draws;
use super::handshake::people;
use super::json::{array, bytes, hex, list, refusal, text};
use super::trace::{Side, Used};

pub(crate) fn generate() -> Value {
    let draws = &mut Draws::seeded(7);
    let key = StorageKey::generate(draws);
    let secret = key.to_bytes();
    draws.drawn();
    let sealed: Vec<_> = [("sessions/1", b"a record".as_slice()), ("", b"")]
        .iter()
        .map(|(context, record)| {
            let sealed = key.seal(draws, context.as_bytes(), record).unwrap();
            json!({
                "context": hex(context),
                "record": hex(record),
                "draws": draws.take(&["nonce"]),
                "sealed": hex(sealed),
            })
        })
        .collect();
    let good = bytes(&sealed[0]["sealed"]);
    let flipped = |position: usize| {
        let mut changed = good.clone();
        changed[position] ^= 1;
        changed
    };
    let forms = [
        ("another context", "sessions/2", good.clone()),
        ("another version", "sessions/1", flipped(0)),
        ("another nonce", "sessions/1", flipped(1)),
        ("a damaged record", "sessions/1", flipped(25)),
        ("a damaged tag", "sessions/1", flipped(good.len() - 1)),
        ("a byte too few", "sessions/1", good[..good.len() - 1].to_vec()),
        ("no ciphertext", "sessions/1", good[..25].to_vec()),
        ("nothing", "sessions/1", Vec::new()),
    ];
    let refused: Vec<_> = forms
        .iter()
        .map(|(reason, context, sealed)| {
            let error = refusal(key.open(context.as_bytes(), sealed));
            json!({ "reason": reason, "context": hex(context), "sealed": hex(sealed), "error": error })
        })
        .collect();
    let stretched = |passphrase: &str, salt: u8| {
        let key = StorageKey::from_passphrase(passphrase.as_bytes(), &[salt; 16]).unwrap();
        json!({ "passphrase": hex(passphrase), "salt": hex([salt; 16]), "storage key": hex(*key.to_bytes()) })
    };
    let (valid, broken) = states();
    json!({
        "storage key": hex(*secret),
        "sealing key": hex(hmac(&*secret, b"Sottovoce-v1 storage seal")),
        "blinding key": hex(hmac(&*secret, b"Sottovoce-v1 storage blind")),
        "sealed": sealed,
        "refused": refused,
        "blinded": [blinded(&key, "sessions/1"), blinded(&key, "")],
        "passphrases": [stretched("correct horse battery staple", 0x5a)],
        "refused passphrases": [json!({ "reason": "an empty one", "passphrase": "", "error": "Empty" })],
        "states": valid,
        "refused states": broken,
    })
}

fn blinded(key: &StorageKey, label: &str) -> Value {
    json!({ "label": hex(label), "blinded": hex(key.blind(label.as_bytes())) })
}

/// States of each kind, and what no state of its kind is.
fn states() -> (Value, Value) {
    let (alice, bob) = people(8);
    let stored = |one_time: bool, kem: bool| {
        let used = Used {
            one_time,
            kem: kem.then_some(&bob.kem_prekey),
        };
        let mut talk = Conversation::begin("", Draws::seeded(81), &alice, &bob, used);
        let hello = talk.says(Side::Initiator, b"");
        talk.hears(Side::Responder, hello);
        talk.says(Side::Responder, b"");
        let json = talk.finish();
        let state = |step: usize| bytes(&json["steps"][step]["state after"]);
        [state(0), state(1), state(2)]
    };
    let [opening, following, leading] = stored(true, true);
    let [x3dh_opening, x3dh_following, x3dh_leading] = stored(false, false);
    let signed = bob.signed_prekey.to_bytes().to_vec();
    let one_time = bob.one_time_prekey.to_bytes().to_vec();
    let kem = bob.kem_prekey.to_bytes().to_vec();
    let valid: Vec<_> = [
        ("session", "PQXDH, nothing received yet", &opening),
        ("session", "PQXDH, theirs is the newest key", &following),
        ("session", "PQXDH, ours is the newest key", &leading),
        ("session", "X3DH, nothing received yet", &x3dh_opening),
        ("session", "X3DH, theirs is the newest key", &x3dh_following),
        ("session", "X3DH, ours is the newest key", &x3dh_leading),
        ("signed prekey", "", &signed),
        ("one-time prekey", "", &one_time),
        ("KEM prekey", "", &kem),
    ]
    .iter()
    .map(|(kind, what, state)| json!({ "kind": kind, "what": what, "state": hex(state) }))
    .collect();

    let mut broken = Vec::new();
    let mut add = |kind: &str, reason: &str, state: Vec<u8>| {
        let error = read_state(kind, &state).expect_err(reason);
        broken.push(json!({ "kind": kind, "reason": reason, "state": hex(state), "error": error }));
    };
    let with = |state: &[u8], position: usize, field: &[u8]| {
        let mut changed = state.to_vec();
        changed[position..position + field.len()].copy_from_slice(field);
        changed
    };
    for (kind, state) in [
        ("session", &leading),
        ("signed prekey", &signed),
        ("one-time prekey", &one_time),
        ("KEM prekey", &kem),
    ] {
        add(kind, "nothing", Vec::new());
        add(kind, "another version", with(state, 0, &[2]));
        add(kind, "another kind", with(state, 1, &[0x7f]));
        add(kind, "a byte too few", state[..state.len() - 1].to_vec());
        add(kind, "a byte too many", [state.as_slice(), &[0]].concat());
    }
    add("session", "a suite that nobody speaks", with(&leading, 2, &[3]));
    let turn = 2 + 1 + 96 + 12;
    add("session", "nobody's turn", with(&leading, turn, &[4]));
    add(
        "session",
        "a turn that is not its own",
        with(&leading, turn, &[3]),
    );
    add(
        "session",
        "a handshake of another digest",
        with(&opening, 3, &[0xff; 32]),
    );
    add(
        "session",
        "a first chain that offers",
        with(&opening, opening.len() - 1, &[1]),
    );
    let theirs = leading.len() - 68;
    add(
        "session",
        "their ratchet key of zeros",
        with(&leading, theirs, &[0; 32]),
    );
    add(
        "session",
        "a receiving chain that received nothing",
        with(&leading, leading.len() - 4, &[0; 4]),
    );
    let ours = super::by_hand::x25519_public(leading[turn + 1..turn + 33].try_into().unwrap());
    add(
        "session",
        "one ratchet key on both sides",
        with(&leading, theirs, &ours),
    );
    add(
        "signed prekey",
        "a secret that is not the statement's",
        with(&signed, 5, &[signed[5] ^ 1]),
    );
    add(
        "KEM prekey",
        "a seed that is not the statement's",
        with(&kem, 5, &[kem[5] ^ 1]),
    );
    (valid.into(), broken.into())
}

/// Reads a state of the kind and writes it again.
fn read_state(kind: &str, state: &[u8]) -> Result<Vec<u8>, String> {
    let none: [&[u8]; 0] = [];
    match kind {
        "session" => Session::from_bytes(state, none).map(|session| session.to_bytes()),
        "signed prekey" => SignedPrekeyPair::from_bytes(state).map(|prekey| prekey.to_bytes()),
        "one-time prekey" => OneTimePrekeyPair::from_bytes(state).map(|prekey| prekey.to_bytes()),
        "KEM prekey" => KemPrekeyPair::from_bytes(state).map(|prekey| prekey.to_bytes()),
        other => panic!("a state that nobody knows: {other}"),
    }
    .map(|bytes| bytes.to_vec())
    .map_err(|error| format!("{error:?}"))
}

pub(crate) fn check(file: &Value) {
    let key = StorageKey::from_bytes(array(&file["storage key"]));
    for entry in list(&file["sealed"]) {
        let (context, sealed) = (bytes(&entry["context"]), bytes(&entry["sealed"]));
        assert_eq!(hex(&*key.open(&context, &sealed).unwrap()), entry["record"]);
        let draws = &mut Draws::given(&entry["draws"]);
        assert_eq!(
            key.seal(draws, &context, &bytes(&entry["record"])).unwrap(),
            sealed
        );
    }
    for form in list(&file["refused"]) {
        let opened = key.open(&bytes(&form["context"]), &bytes(&form["sealed"]));
        assert_eq!(refusal(opened), text(&form["error"]), "{}", form["reason"]);
    }
    for entry in list(&file["blinded"]) {
        assert_eq!(hex(key.blind(&bytes(&entry["label"]))), entry["blinded"]);
    }
    for entry in list(&file["passphrases"]) {
        let key = StorageKey::from_passphrase(&bytes(&entry["passphrase"]), &array(&entry["salt"])).unwrap();
        assert_eq!(hex(*key.to_bytes()), entry["storage key"]);
    }
    for form in list(&file["refused passphrases"]) {
        let key = StorageKey::from_passphrase(&bytes(&form["passphrase"]), &[0; 16]);
        assert_eq!(refusal(key), text(&form["error"]));
    }
    for entry in list(&file["states"]) {
        let state = bytes(&entry["state"]);
        assert_eq!(read_state(text(&entry["kind"]), &state).unwrap(), state);
    }
    for form in list(&file["refused states"]) {
        let reason = text(&form["reason"]);
        let error = read_state(text(&form["kind"]), &bytes(&form["state"])).expect_err(reason);
        assert_eq!(error, text(&form["error"]), "{reason}");
    }
}
