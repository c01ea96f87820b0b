//! What no receiver of a sender key takes, what no sender sends, and what no stored sender key is.

use serde_json::{Value, json};
use sottovoce_crypto::{
    MAX_SENDER_KEY_AGE_MS, ReceivingSenderKey, RosterDoubt, SenderKeyDistribution, SenderKeyMessage,
    SendingRoster, SendingSenderKey,
};

use super::by_hand::padded;
use super::json::{bytes, hex, list, name_of, number, refusal, text};
use super::people::NOW;
use super::sender_keys::{ByHand, accept, context, head, head_json, head_of, history, sending};
use super::statements::sign;

/// `key` stands behind the last message of the file.
pub(crate) fn refused(file: &Value, key: &ByHand) -> Value {
    json!({
        "messages": messages(file, key),
        "distributions": distributions(file),
        "other distributions of a key that is held": conflicts(file, key),
        "sending": sendings(file),
        "states": states(file),
    })
}

pub(crate) fn check(file: &Value) {
    let refused = &file["refused"];
    for form in list(&refused["messages"]) {
        assert_eq!(
            message_refusal(file, form),
            text(&form["error"]),
            "{}",
            form["reason"]
        );
    }
    for form in list(&refused["distributions"]) {
        let error = accept(file, &bytes(&form["distribution"]))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error, text(&form["error"]), "{}", form["reason"]);
    }
    for form in list(&refused["other distributions of a key that is held"]) {
        assert_eq!(conflict(file, form), text(&form["error"]), "{}", form["reason"]);
    }
    for form in list(&refused["sending"]) {
        assert_eq!(sending_refusal(form), text(&form["error"]), "{}", form["reason"]);
    }
    for form in list(&refused["states"]) {
        let error = state_refusal(text(&form["kind"]), &bytes(&form["state"]));
        assert_eq!(error, text(&form["error"]), "{}", form["reason"]);
    }
}

/// Messages, for a receiver that stands where the last of the file left it.
fn messages(file: &Value, key: &ByHand) -> Value {
    let ours = head(4);
    let words = padded(b"words");
    let (good, _) = key.seal(&ours, &words);
    let with = |position: usize, field: &[u8]| {
        let mut changed = good.clone();
        changed[position..position + field.len()].copy_from_slice(field);
        changed
    };
    let flipped = |position: usize| with(position, &[good[position] ^ 1]);
    let end = good.len() - 64;
    let other = |change: &dyn Fn(&mut ByHand)| {
        let mut key = key.clone();
        change(&mut key);
        key.seal(&ours, &words).0
    };
    let resigned = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut message = good[..end].to_vec();
        change(&mut message);
        let signature = sign(&key.signing_secret, &key.digest(&message));
        [message, signature.to_vec()].concat()
    };
    let mut dirty = words.clone();
    *dirty.last_mut().unwrap() = 1;
    let mut forked = head(4);
    forked.hash[31] ^= 1;
    let forms = [
        ("another version", with(0, &[2])),
        ("a kind that there is not", with(1, &[0x12])),
        ("another key id", flipped(17)),
        ("another iteration", flipped(21)),
        ("another height", flipped(29)),
        ("another hash of the roster head", flipped(61)),
        ("a damaged ciphertext", flipped(62)),
        ("a damaged tag", flipped(end - 1)),
        ("a damaged signature", flipped(end)),
        ("a byte too few", good[..good.len() - 1].to_vec()),
        ("a byte too many", [good.as_slice(), &[0]].concat()),
        (
            "a ciphertext of no bucket's length",
            resigned(&|message| message.push(0)),
        ),
        (
            "signed by a member who has the chain, and not the signing key",
            other(&|key| key.signing_secret = [7; 32]),
        ),
        (
            "signed by the sender, encrypted without the chain",
            other(&|key| key.chain_key = [7; 32]),
        ),
        (
            "another ciphertext under the sender's signature",
            resigned(&|message| message[62] ^= 1),
        ),
        (
            "with the associated data of another sender",
            other(&|key| key.associated_data = [7; 32]),
        ),
        ("padding that is not zeros", key.seal(&ours, &dirty).0),
        ("a message a second time", bytes(&file["sent"][2]["message"])),
        (
            "a message that passes over 2001",
            key.at(key.iteration + 2_001).seal(&ours, &words).0,
        ),
        (
            "the last iteration there is",
            other(&|key| key.iteration = u32::MAX),
        ),
        (
            "a roster head that is not ours at its height",
            key.seal(&forked, &words).0,
        ),
    ];
    forms
        .into_iter()
        .map(|(reason, message)| {
            let mut form = json!({ "reason": reason, "message": hex(message) });
            form["error"] = message_refusal(file, &form).into();
            form
        })
        .collect()
}

fn message_refusal(file: &Value, form: &Value) -> String {
    let mut key = held(file);
    let before = key.to_bytes();
    let error = match SenderKeyMessage::decode(&bytes(&form["message"])) {
        Err(error) => name_of(&error),
        Ok(message) => refusal(key.decrypt(NOW, &message, &history(file)).map(|_| ())),
    };
    assert_eq!(*key.to_bytes(), *before, "a failure changes nothing");
    error
}

/// The receiver's key after the last message of the file.
fn held(file: &Value) -> ReceivingSenderKey {
    let last = list(&file["received"]).last().unwrap();
    let kept: Vec<_> = list(&last["skipped messages after"]).iter().map(bytes).collect();
    ReceivingSenderKey::from_bytes(&bytes(&last["receiver's state after"]), kept).unwrap()
}

fn distributions(file: &Value) -> Value {
    let good = bytes(&file["distribution"]);
    let with = |position: usize, field: &[u8]| {
        let mut changed = good.clone();
        changed[position..position + field.len()].copy_from_slice(field);
        changed
    };
    let signing_key = 2 + 32 + 16 + 4 + 32;
    let mut one = [0; 32];
    one[0] = 1;
    let forms = [
        ("another version", with(0, &[2])),
        ("another kind", with(1, &[0x10])),
        ("another channel", with(2, &[0xcd])),
        ("a signing key of small order", with(signing_key, &one)),
        (
            "a signing key that is no point",
            with(signing_key, &[&[2], [0; 31].as_slice()].concat()),
        ),
        (
            "a roster head that is not ours at its height",
            with(157, &[good[157] ^ 1]),
        ),
        ("a byte too few", good[..157].to_vec()),
        ("a byte too many", [good.as_slice(), &[0]].concat()),
    ];
    forms
        .into_iter()
        .map(|(reason, distribution)| {
            let error = accept(file, &distribution).map(|_| ()).expect_err(reason);
            json!({ "reason": reason, "distribution": hex(distribution), "error": error })
        })
        .collect()
}

/// Distributions of the key that the receiver holds already, which cannot be true.
fn conflicts(file: &Value, key: &ByHand) -> Value {
    let good = bytes(&file["distribution"]);
    let at = |key: &ByHand, change: &dyn Fn(&mut Vec<u8>)| {
        let mut distribution = good.clone();
        distribution[50..54].copy_from_slice(&key.iteration.to_be_bytes());
        distribution[54..86].copy_from_slice(&key.chain_key);
        change(&mut distribution);
        distribution
    };
    let other = super::statements::public(&[7; 32]);
    let forms = [
        ("of another key", at(key, &|distribution| distribution[34] ^= 1)),
        (
            "of another channel",
            at(key, &|distribution| distribution[2] ^= 1),
        ),
        (
            "with another signing key",
            at(key, &|distribution| distribution[86..118].copy_from_slice(&other)),
        ),
        (
            "with another chain key at this iteration",
            at(key, &|distribution| distribution[54] ^= 1),
        ),
        (
            "with another chain key further on",
            at(&key.at(key.iteration + 9), &|distribution| distribution[54] ^= 1),
        ),
        (
            "at an iteration 2001 further on",
            at(&key.at(key.iteration + 2_001), &|_| {}),
        ),
    ];
    forms
        .into_iter()
        .map(|(reason, distribution)| {
            let mut form = json!({ "reason": reason, "distribution": hex(distribution) });
            form["error"] = conflict(file, &form).into();
            form
        })
        .collect()
}

fn conflict(file: &Value, form: &Value) -> String {
    let distribution = SenderKeyDistribution::decode(&bytes(&form["distribution"])).unwrap();
    refusal(held(file).confirm(&context(file), &distribution, &history(file)))
}

/// Keys that nothing is sent with any more.
fn sendings(file: &Value) -> Value {
    let fresh = bytes(&file["sender's state"]);
    let retired = bytes(&file["replaced"]["sender's state after, retired"]);
    let mut worn = fresh.clone();
    worn[82..86].copy_from_slice(&1_000_u32.to_be_bytes());
    let forked = SendingRoster {
        doubt: RosterDoubt::Forked,
        ..sending(head(3), 0)
    };
    let mut other = head(3);
    other.hash[31] ^= 1;
    let forms = [
        ("somebody left since", &fresh, NOW, sending(head(4), 4)),
        ("a device was revoked", &retired, NOW, sending(head(6), 0)),
        ("1000 messages were sent", &worn, NOW, sending(head(3), 0)),
        (
            "it is 7 days old",
            &fresh,
            NOW + MAX_SENDER_KEY_AGE_MS,
            sending(head(3), 0),
        ),
        ("a fork is known of", &fresh, NOW, forked),
        (
            "the roster is below the one it was made under",
            &fresh,
            NOW,
            sending(head(2), 0),
        ),
        (
            "the roster is another than it was made under",
            &fresh,
            NOW,
            sending(other, 0),
        ),
    ];
    forms
        .into_iter()
        .map(|(reason, state, now_ms, roster)| {
            let mut form = json!({
                "reason": reason,
                "state": hex(state),
                "at, ms": now_ms,
                "roster head": head_json(&roster.head),
                "departed at": roster.departed_at,
                "forked": roster.doubt == RosterDoubt::Forked,
            });
            form["error"] = sending_refusal(&form).into();
            form
        })
        .collect()
}

fn sending_refusal(form: &Value) -> String {
    let mut key = SendingSenderKey::from_bytes(&bytes(&form["state"])).unwrap();
    let roster = SendingRoster {
        head: head_of(&form["roster head"]),
        departed_at: number(&form["departed at"]),
        doubt: match form["forked"] == true {
            true => RosterDoubt::Forked,
            false => RosterDoubt::None,
        },
    };
    let now_ms = number(&form["at, ms"]);
    let error = refusal(key.encrypt(now_ms, &roster, b"words"));
    assert_eq!(refusal(key.distribution(now_ms, &roster).map(|_| ())), error);
    assert_eq!(hex(&*key.to_bytes()), form["state"]);
    error
}

fn states(file: &Value) -> Value {
    let sending = bytes(&file["sender's state"]);
    let receiving = bytes(&file["receiver's state"]);
    let with = |state: &[u8], position: usize, field: &[u8]| {
        let mut changed = state.to_vec();
        changed[position..position + field.len()].copy_from_slice(field);
        changed
    };
    let last = sending.len() - 1;
    let mut forms = vec![
        (
            "sending",
            "an iteration over 1000",
            with(&sending, 82, &1_001_u32.to_be_bytes()),
        ),
        ("sending", "neither retired nor not", with(&sending, last, &[2])),
        (
            "receiving",
            "a signing key of zeros",
            with(&receiving, 118, &[0; 32]),
        ),
    ];
    for (kind, state) in [("sending", &sending), ("receiving", &receiving)] {
        forms.push((kind, "nothing", Vec::new()));
        forms.push((kind, "another version", with(state, 0, &[2])));
        forms.push((kind, "another kind", with(state, 1, &[1])));
        forms.push((kind, "a byte too few", state[..state.len() - 1].to_vec()));
        forms.push((kind, "a byte too many", [state.as_slice(), &[0]].concat()));
    }
    forms
        .into_iter()
        .map(|(kind, reason, state)| {
            let error = state_refusal(kind, &state);
            json!({ "kind": kind, "reason": reason, "state": hex(state), "error": error })
        })
        .collect()
}

fn state_refusal(kind: &str, state: &[u8]) -> String {
    let none: [&[u8]; 0] = [];
    match kind {
        "sending" => refusal(SendingSenderKey::from_bytes(state).map(|_| ())),
        _ => refusal(ReceivingSenderKey::from_bytes(state, none).map(|_| ())),
    }
}
