//! The buckets that plaintexts are padded to, and paddings that are refused though they authenticate.

use serde_json::{Value, json};

use super::by_hand::padded;
use super::conversation::Conversation;
use super::draws::Draws;
use super::handshake::people;
use super::json::list;
use super::replay::replay;
use super::trace::{Side, Used};

use Side::{Initiator, Responder};

pub(crate) fn generate() -> Value {
    let (alice, bob) = people(5);
    let used = Used {
        one_time: false,
        kem: None,
    };
    let mut talk = Conversation::begin("every bucket", Draws::seeded(51), &alice, &bob, used);
    let hello = talk.says(Initiator, b"");
    talk.hears(Responder, hello);
    let lengths = [0, 1, 255, 256, 257, 511, 512, 513, 1_024, 1_025];
    let long = [4_096, 4_097, 8_193, 16_384, 32_768, 32_769, 65_535, 65_536];
    for length in lengths.into_iter().chain(long) {
        let step = talk.says(Responder, &vec![b'x'; length]);
        talk.hears(Initiator, step);
    }

    // By a peer that pads otherwise: the tag is right.
    let mut forms = vec![
        ("padding that is not zeros", padded(b"word")),
        ("a bucket larger than it need be", padded(b"word")),
        ("a length beyond the bucket", padded(b"word")),
        ("a length beyond everything", padded(b"word")),
        ("a larger bucket's length in a smaller one", padded(b"word")),
        ("a bucket of 128 bytes", padded(b"word")),
        ("a bucket of 257 bytes", padded(b"word")),
    ];
    *forms[0].1.last_mut().unwrap() = 1;
    forms[1].1.resize(4 + 512, 0);
    forms[2].1[..4].copy_from_slice(&257_u32.to_be_bytes());
    forms[3].1[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    forms[4].1[..4].copy_from_slice(&512_u32.to_be_bytes());
    forms[5].1.truncate(4 + 128);
    forms[6].1.resize(4 + 257, 0);
    for (reason, text) in forms {
        let (message, _) = talk.trace.seal_next(Responder, &text);
        talk.refuses(Initiator, reason, &message);
    }
    let last = talk.says(Responder, b"word");
    talk.hears(Initiator, last);
    json!([talk.finish()])
}

pub(crate) fn check(cases: &Value) {
    list(cases).iter().for_each(replay);
}
