//! Golden vectors of a channel: if this fails, old and new versions no longer understand each other, and the
//! protocol needs a new version.
//!
//! `vectors/sender_keys.json` names every random draw, so that another implementation can replay it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod channel;

use std::convert::Infallible;

use channel::{CHANNEL, History, NOW, context, head, rng};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, TryCryptoRng, TryRng};
use serde_json::{Value, json};
use sottovoce_crypto::{
    Party, ReceivingSenderKey, SenderKeyDistribution, SenderKeyMessage, SendingRoster, SendingSenderKey,
};

const VECTORS: &str = include_str!("vectors/sender_keys.json");

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

impl RecordingRng {
    /// What a sender key drew, by name.
    fn drawn(&mut self) -> Value {
        let drawn: Vec<_> = self.drawn.drain(..).map(hex::encode).collect();
        assert_eq!(drawn.len(), 3);
        json!({ "key id": drawn[0], "chain key": drawn[1], "signing secret": drawn[2] })
    }
}

fn party(party: &Party) -> Value {
    json!({
        "address": party.address.as_str(),
        "device id": hex::encode(party.device_id.as_bytes()),
        "account key": hex::encode(party.account_key.as_bytes()),
        "identity key": hex::encode(party.identity_key.as_bytes()),
    })
}

/// Encrypts, and notes the bytes.
fn send(key: &mut SendingSenderKey, height: u64, plaintext: &[u8], steps: &mut Vec<Value>) -> Vec<u8> {
    let roster = SendingRoster {
        head: head(height),
        departed_at: 0,
        forked: false,
    };
    let message = key.encrypt(NOW, &roster, plaintext).unwrap();
    steps.push(json!({
        "iteration": steps.len(),
        "roster height": height,
        "roster hash": hex::encode(head(height).hash),
        "plaintext": hex::encode(plaintext),
        "message": hex::encode(&message),
        "sender's state after": hex::encode(&*key.to_bytes()),
    }));
    message
}

fn play() -> Value {
    let rng = &mut RecordingRng {
        inner: rng(0x53),
        drawn: Vec::new(),
    };
    let context = context(1);
    let roster = SendingRoster {
        head: head(3),
        departed_at: 2,
        forked: false,
    };
    let mut alices = SendingSenderKey::generate(rng, NOW, &context, head(3));
    let draws = rng.drawn();
    let new = hex::encode(&*alices.to_bytes());
    let distribution = alices.distribution(NOW, &roster).unwrap().encode();

    // Alice writes four times. Bob gets the third first, then the first, then the last; the second is lost.
    let mut steps = Vec::new();
    let plaintexts = [b"hello, all".as_slice(), b"", &[0x78; 300], b"good night"];
    let sent: Vec<_> = plaintexts
        .iter()
        .zip([3, 3, 4, 5])
        .map(|(plaintext, height)| send(&mut alices, height, plaintext, &mut steps))
        .collect();
    let decoded = SenderKeyDistribution::decode(&distribution).unwrap();
    let (mut bobs, _) = ReceivingSenderKey::accept(&context, &decoded, &History(4)).unwrap();
    let accepted = hex::encode(&*bobs.to_bytes());
    let mut received = Vec::new();
    for (step, now_ms) in [(2, NOW + 1), (0, NOW + 2), (3, NOW + 3)] {
        let message = SenderKeyMessage::decode(&sent[step]).unwrap();
        let opened = bobs.decrypt(now_ms, &message, &History(4)).unwrap();
        assert_eq!(*opened.plaintext, plaintexts[step]);
        let records: Vec<_> = bobs
            .skipped_messages()
            .map(|record| hex::encode(&*record.bytes))
            .collect();
        received.push(json!({
            "iteration": step,
            "at, ms": now_ms,
            "standing to a roster of height 4": format!("{:?}", opened.standing),
            "receiver's state after": hex::encode(&*bobs.to_bytes()),
            "skipped messages after": records,
        }));
    }

    // Somebody is removed: the key is replaced.
    let mut next = alices.replace(rng, NOW, head(6));
    let next_draws = rng.drawn();
    let departed = SendingRoster {
        head: head(6),
        departed_at: 6,
        forked: false,
    };
    let next_distribution = next.distribution(NOW, &departed).unwrap().encode();
    let next_message = next.encrypt(NOW, &departed, b"without Mallory").unwrap();
    next.retire();
    json!({
        "channel id": hex::encode(CHANNEL.as_bytes()),
        "sender": party(&context.sender),
        "made at, ms": NOW,
        "made under the roster head": { "height": 3, "hash": hex::encode(head(3).hash) },
        "draws": draws,
        "sender's state": new,
        "distribution": hex::encode(&*distribution),
        "receiver's state": accepted,
        "sent": steps,
        "received": received,
        "replaced": {
            "made under the roster head": { "height": 6, "hash": hex::encode(head(6).hash) },
            "draws": next_draws,
            "distribution": hex::encode(&*next_distribution),
            "plaintext": hex::encode("without Mallory"),
            "message": hex::encode(next_message),
            "sender's state after, retired": hex::encode(&*next.to_bytes()),
        },
    })
}

#[test]
fn the_bytes_of_a_channel_do_not_change() {
    let expected: Value = serde_json::from_str(VECTORS).unwrap();
    let played = play();
    if played != expected {
        // Where to look for what changed.
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/sender_keys.json");
        std::fs::write(path, format!("{played:#}\n")).unwrap();
        panic!("the bytes of the protocol have changed; this version's are in {path}");
    }
}
