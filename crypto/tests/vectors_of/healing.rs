//! KEM exchanges in the ratchet: after 7 days, after 50 steps, and what is refused in place of one.

use serde_json::{Value, json};
use sottovoce_crypto::MAX_HEALING_AGE_MS;

use super::by_hand::padded;
use super::conversation::Conversation;
use super::draws::Draws;
use super::handshake::people;
use super::json::list;
use super::replay::replay;
use super::trace::{Kem, Side, Used};

use Side::{Initiator, Responder};

pub(crate) fn generate() -> Value {
    let (alice, bob) = people(4);
    let used = Used {
        one_time: true,
        kem: Some(&bob.kem_prekey),
    };
    let talk = |name, seed| Conversation::begin(name, Draws::seeded(seed), &alice, &bob, used);
    json!([
        after_seven_days(talk("an exchange that is due after 7 days", 41)),
        after_fifty_steps(talk("an exchange that is due after 50 steps", 42)),
        refusals(talk("what is refused in place of an exchange", 43)),
    ])
}

pub(crate) fn check(cases: &Value) {
    list(cases).iter().for_each(replay);
}

fn established(talk: &mut Conversation<'_>) {
    let hello = talk.says(Initiator, b"one");
    talk.hears(Responder, hello);
    let answer = talk.says(Responder, b"two");
    talk.hears(Initiator, answer);
}

fn after_seven_days(mut talk: Conversation<'_>) -> Value {
    established(&mut talk);
    talk.now_ms += MAX_HEALING_AGE_MS;
    let offers = [
        talk.says(Initiator, b"offer"),
        talk.says(Initiator, b"offer again"),
    ];
    talk.hears(Responder, offers[1]);
    talk.hears(Responder, offers[0]);
    let answers = [
        talk.says(Responder, b"answer"),
        talk.says(Responder, b"answer again"),
    ];
    talk.hears(Initiator, answers[1]);
    talk.hears(Initiator, answers[0]);
    let plain = talk.says(Initiator, b"healed");
    talk.hears(Responder, plain);
    let plain = talk.says(Responder, b"so we are");
    talk.hears(Initiator, plain);
    talk.finish()
}

fn after_fifty_steps(mut talk: Conversation<'_>) -> Value {
    established(&mut talk);
    // These were steps 1 and 2; the 50th is the responder's.
    talk.takes_turns(Initiator, 47);
    let offer = talk.says(Responder, b"offer");
    talk.hears(Initiator, offer);
    let answer = talk.says(Initiator, b"answer");
    talk.hears(Responder, answer);
    let plain = talk.says(Responder, b"healed");
    talk.hears(Initiator, plain);
    talk.finish()
}

fn refusals(mut talk: Conversation<'_>) -> Value {
    established(&mut talk);

    // By somebody who holds every key of the sender's, so that nothing but the rule refuses it.
    let mut forger = talk.trace.clone();
    let seed = [0x22; 64];
    let offered = &mut forger.clone();
    offered.begin_chain(Initiator, [0x11; 32], Kem::Offer(seed));
    forger.offer_by_force(seed);
    forger.begin_chain(Initiator, [0x11; 32], Kem::Answer([0x33; 32]));
    let (eager, _) = forger.seal_next(Initiator, &padded(b"eager"));
    talk.refuses(Responder, "an answer to no offer", &eager);

    let (offer, _) = offered.seal_next(Initiator, &padded(b"offer"));
    let mut changed = offer.clone();
    changed[42] = 3;
    talk.refuses(Responder, "neither an offer nor an answer", &changed);
    changed = offer.clone();
    // Coefficients are 12 bits each, the low byte first.
    changed[43] = 0x01;
    changed[44] = changed[44] & 0xf0 | 0x0d;
    talk.refuses(Responder, "an offer whose first coefficient is 3329", &changed);
    changed = offer.clone();
    changed[1_227 - 1] ^= 1;
    talk.refuses(Responder, "an offer of another key", &changed);
    changed = [&offer[..1], &[2], &offer[2..42], &offer[1_227..]].concat();
    talk.refuses(Responder, "an offer stripped of its key", &changed);

    talk.now_ms += MAX_HEALING_AGE_MS;
    let offer = talk.says(Initiator, b"offer");
    talk.hears(Responder, offer);

    let mut forger = talk.trace.clone();
    forger.begin_chain(Responder, [0x11; 32], Kem::None);
    let (deaf, _) = forger.seal_next(Responder, &padded(b"what offer?"));
    talk.refuses(Initiator, "an offer that is not answered", &deaf);
    let mut forger = talk.trace.clone();
    forger.begin_chain(Responder, [0x11; 32], Kem::Offer(seed));
    let (counter, _) = forger.seal_next(Responder, &padded(b"mine is better"));
    talk.refuses(Initiator, "an offer in answer to an offer", &counter);
    let mut forger = talk.trace.clone();
    forger.offer_by_force(seed);
    forger.begin_chain(Responder, [0x11; 32], Kem::Answer([0x33; 32]));
    let (mistaken, _) = forger.seal_next(Responder, &padded(b"mistaken"));
    talk.refuses(Initiator, "an answer to another offer", &mistaken);

    let answer = talk.says(Responder, b"answer");
    let bytes = talk.message(answer).to_vec();
    let mut changed = bytes.clone();
    changed[43] ^= 1;
    talk.refuses(
        Initiator,
        "an answer with a damaged ciphertext of the KEM",
        &changed,
    );
    changed = [&bytes[..1], &[2], &bytes[2..42], &bytes[1_131..]].concat();
    talk.refuses(
        Initiator,
        "an answer stripped of its ciphertext of the KEM",
        &changed,
    );
    talk.hears(Initiator, answer);
    talk.finish()
}
