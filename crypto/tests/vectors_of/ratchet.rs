//! Turns, messages that come late or never, and what a session refuses.

use serde_json::{Value, json};
use sottovoce_crypto::MAX_SKIPPED_AGE_MS;

use super::conversation::Conversation;
use super::draws::Draws;
use super::handshake::{people, small_order};
use super::json::list;
use super::replay::replay;
use super::trace::{Side, Used};

use Side::{Initiator, Responder};

pub(crate) fn generate() -> Value {
    let (alice, bob) = people(3);
    let used = Used {
        one_time: true,
        kem: Some(&bob.kem_prekey),
    };
    let talk = |name, seed| Conversation::begin(name, Draws::seeded(seed), &alice, &bob, used);
    json!([
        late_messages(talk("messages that come late, and chains that end early", 31)),
        refusals(talk("messages that are refused", 32)),
        too_far(talk("a message that passes over more than 2000", 33)),
    ])
}

pub(crate) fn check(cases: &Value) {
    list(cases).iter().for_each(replay);
}

fn late_messages(mut talk: Conversation<'_>) -> Value {
    let hello = talk.says(Initiator, b"one");
    talk.hears(Responder, hello);
    let answer = talk.says(Responder, b"two");
    talk.hears(Initiator, answer);

    // Alice's second chain: four messages, of which the third comes first and the second never.
    let sent: Vec<_> = [b"a".as_slice(), b"b", b"c", b"d"]
        .iter()
        .map(|text| talk.says(Initiator, text))
        .collect();
    talk.hears(Responder, sent[2]);
    let repeated = talk.message(sent[2]).to_vec();
    talk.refuses(Responder, "a message a second time", &repeated);
    talk.hears(Responder, sent[0]);
    let repeated = talk.message(sent[0]).to_vec();
    talk.refuses(Responder, "a late message a second time", &repeated);

    // Bob turns over, and Alice as well: her third chain ends the second one, whose last message is still out.
    let answer = talk.says(Responder, b"e");
    talk.hears(Initiator, answer);
    talk.now_ms += 1_000;
    let third = [talk.says(Initiator, b"f"), talk.says(Initiator, b"g")];
    talk.hears(Responder, third[1]);
    talk.hears(Responder, sent[3]);

    // What was put away a week ago is not used any more, and goes with the next message that decrypts.
    talk.now_ms += MAX_SKIPPED_AGE_MS + 1;
    let expired = talk.message(third[0]).to_vec();
    talk.refuses(
        Responder,
        "a message whose key was put away more than 7 days ago",
        &expired,
    );
    let last = talk.says(Initiator, b"h");
    talk.hears(Responder, last);
    talk.finish()
}

fn refusals(mut talk: Conversation<'_>) -> Value {
    let hello = talk.says(Initiator, b"one");
    talk.hears(Responder, hello);
    let initial = talk.message(hello).to_vec();
    let answer = talk.says(Responder, b"two");
    let bytes = talk.message(answer).to_vec();
    let with = |position: usize, field: &[u8]| {
        let mut changed = bytes.clone();
        changed[position..position + field.len()].copy_from_slice(field);
        changed
    };
    let flipped = |position: usize| with(position, &[bytes[position] ^ 1]);
    let forms: &[(&str, Vec<u8>)] = &[
        ("another version", with(0, &[2])),
        ("a kind that there is not", with(1, &[0])),
        ("dressed up as one of a chain with a KEM part", with(1, &[3])),
        ("a ratchet key of zeros", with(2, &[0; 32])),
        ("a ratchet key of small order: 1", with(2, &small_order())),
        ("another ratchet key", with(2, &[9; 32])),
        (
            "the receiver's own ratchet key",
            with(2, &initial[2 + 1_134..][..32]),
        ),
        ("another previous", flipped(37)),
        ("another number", flipped(41)),
        ("a number beyond the last", with(38, &[0xff; 4])),
        ("a damaged ciphertext", flipped(42)),
        ("a damaged tag", flipped(bytes.len() - 1)),
        ("a byte too few", bytes[..bytes.len() - 1].to_vec()),
        ("a byte too many", [bytes.as_slice(), &[0]].concat()),
        ("no ciphertext", bytes[..42].to_vec()),
        (
            "a ciphertext of no bucket's length",
            [bytes.as_slice(), &[0; 16]].concat(),
        ),
        (
            "an answer that pretends to carry the handshake",
            [&[1, 1], &initial[2..1_136], &bytes[2..]].concat(),
        ),
    ];
    for (reason, form) in forms {
        talk.refuses(Initiator, reason, form);
    }
    talk.hears(Initiator, answer);

    let mut other = initial.clone();
    other[20] ^= 1;
    talk.refuses(Responder, "a message that carries another handshake", &other);
    let mut stripped = vec![1, 2];
    stripped.extend(&initial[2 + 1_134..]);
    talk.refuses(Responder, "a first message stripped of its handshake", &stripped);

    // Whoever holds all of Alice's keys and begins a chain while Bob has not answered hers.
    let turn = talk.says(Initiator, b"three");
    talk.hears(Responder, turn);
    let mut forger = talk.trace.clone();
    forger.begin_chain(Initiator, [0x11; 32], super::trace::Kem::None);
    let (early, _) = forger.seal_next(Initiator, &super::by_hand::padded(b"out of turn"));
    talk.refuses(Responder, "a new ratchet key out of turn", &early);
    talk.finish()
}

fn too_far(mut talk: Conversation<'_>) -> Value {
    let hello = talk.says(Initiator, b"one");
    talk.hears(Responder, hello);
    let answer = talk.says(Responder, b"two");
    talk.hears(Initiator, answer);
    let first = talk.says(Initiator, b"three");
    talk.hears(Responder, first);
    talk.loses(Initiator, 2_001);
    let beyond = talk.says(Initiator, b"beyond");
    let beyond = talk.message(beyond).to_vec();
    talk.refuses(Responder, "a message that passes over 2001", &beyond);
    talk.finish()
}
