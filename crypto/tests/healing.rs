//! KEM exchanges in the ratchet: when they happen, what they refuse, and whom they shut out.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::convert::Infallible;

use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use common::{
    KIND_KEM, NO_KEYS, NOW, decrypt, established, established_in, exchanging, refused, restored, rng, stored,
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, TryCryptoRng, TryRng};
use sha2::Sha256;
use sottovoce_crypto::{MAX_HEALING_AGE_MS, MAX_HEALING_STEPS, Session, SessionMessage, Suite};

/// What a message carries for a KEM exchange.
fn kem_of(message: &[u8]) -> &'static str {
    match (message[1], message[42]) {
        (KIND_KEM, 1) => "offer",
        (KIND_KEM, 2) => "answer",
        _ => "",
    }
}

#[test]
fn a_kem_exchange_falls_due_after_fifty_steps() {
    let rng = &mut rng(1);
    let (mut alices, mut bobs) = established(rng);
    // Alice's first chain was step 1, Bob's answer step 2.
    let mut exchanges = Vec::new();
    for step in (3..=160_u32).step_by(2) {
        let message = alices.encrypt(rng, NOW, b"ping").unwrap();
        assert!(decrypt(&mut bobs, &message).is_some());
        exchanges.push((step, kem_of(&message)));
        let message = bobs.encrypt(rng, NOW, b"pong").unwrap();
        assert!(decrypt(&mut alices, &message).is_some());
        exchanges.push((step + 1, kem_of(&message)));
    }
    exchanges.retain(|(_, kem)| !kem.is_empty());
    let steps = MAX_HEALING_STEPS;
    assert_eq!(
        exchanges,
        [
            (steps, "offer"),
            (steps + 1, "answer"),
            (2 * steps + 1, "offer"),
            (2 * steps + 2, "answer"),
            (3 * steps + 2, "offer"),
            (3 * steps + 3, "answer")
        ]
    );
}

#[test]
fn a_kem_exchange_falls_due_after_seven_days() {
    let rng = &mut rng(2);
    let (mut alices, mut bobs) = established(rng);
    let soon = NOW + MAX_HEALING_AGE_MS - 1;
    let message = alices.encrypt(rng, soon, b"not yet").unwrap();
    assert_eq!(kem_of(&message), "");
    decrypt(&mut bobs, &message).unwrap();
    let offer = bobs.encrypt(rng, soon + 1, b"now").unwrap();
    assert_eq!(kem_of(&offer), "offer");
    decrypt(&mut alices, &offer).unwrap();
    let answer = alices.encrypt(rng, soon + 1, b"so be it").unwrap();
    assert_eq!(kem_of(&answer), "answer");
    decrypt(&mut bobs, &answer).unwrap();
    let next = bobs.encrypt(rng, soon + 1, b"done").unwrap();
    assert_eq!(
        kem_of(&next),
        "offer",
        "Bob opened the answer a week ago, by the clock of the tests"
    );
    let next = restored(&bobs).encrypt(rng, NOW, b"done").unwrap();
    assert_eq!(kem_of(&next), "offer", "what a chain carries is settled");
}

#[test]
fn an_exchange_counts_for_both_sides() {
    let rng = &mut rng(14);
    let (mut alices, mut bobs) = established(rng);
    let later = NOW + MAX_HEALING_AGE_MS;
    let mut carried = Vec::new();
    let mut turn = |from: &mut Session, to: &mut Session, rng: &mut ChaCha20Rng| {
        let message = from.encrypt(rng, later, b"turn").unwrap();
        to.decrypt(later, &SessionMessage::decode(&message).unwrap())
            .unwrap();
        carried.push(kem_of(&message));
    };
    for _ in 0..3 {
        turn(&mut alices, &mut bobs, rng);
        turn(&mut bobs, &mut alices, rng);
    }
    assert_eq!(carried, ["offer", "answer", "", "", "", ""]);
}

#[test]
fn any_message_of_an_offering_or_answering_chain_is_enough() {
    let rng = &mut rng(3);
    let (mut alices, mut bobs) = established(rng);
    let later = NOW + MAX_HEALING_AGE_MS;
    let offers: Vec<_> = (0..5_u8)
        .map(|number| {
            alices = restored(&alices);
            alices.encrypt(rng, later, &[number]).unwrap()
        })
        .collect();
    assert!(offers.iter().all(|offer| kem_of(offer) == "offer"));
    assert_eq!(decrypt(&mut bobs, &offers[3]).unwrap(), [3]);
    bobs = restored(&bobs);
    let answers: Vec<_> = (0..5_u8)
        .map(|number| {
            bobs = restored(&bobs);
            bobs.encrypt(rng, NOW, &[number]).unwrap()
        })
        .collect();
    assert!(answers.iter().all(|answer| kem_of(answer) == "answer"));
    assert_eq!(decrypt(&mut alices, &answers[4]).unwrap(), [4]);
    for number in [0, 2, 1, 4] {
        assert_eq!(decrypt(&mut bobs, &offers[number]).unwrap(), [number as u8]);
    }
    for number in [3, 1, 0, 2] {
        assert_eq!(decrypt(&mut alices, &answers[number]).unwrap(), [number as u8]);
    }
}

/// Where a stored session that follows tells what was offered: at its end.
fn with_offer(session: &Session, offered: &[u8]) -> Session {
    let state = session.to_bytes();
    let kept = if state.len() > 1_184 {
        state.len() - 1_185
    } else {
        state.len() - 1
    };
    let changed = [&state[..kept], offered].concat();
    Session::from_bytes(&changed, session.skipped_keys().map(|record| record.bytes)).unwrap()
}

#[test]
fn an_offer_that_is_not_answered_is_refused() {
    let rng = &mut rng(4);
    let (mut alices, mut bobs) = exchanging(rng);
    let unanswered = with_offer(&bobs, &[0]).encrypt(rng, NOW, b"what offer?").unwrap();
    assert_eq!(kem_of(&unanswered), "");
    refused(&mut alices, &unanswered);
    let answer = bobs.encrypt(rng, NOW, b"that one").unwrap();
    assert!(decrypt(&mut alices, &answer).is_some());
}

#[test]
fn an_answer_to_another_offer_is_refused() {
    let rng = &mut rng(5);
    let (mut alices, bobs) = exchanging(rng);
    let (_, other) = exchanging(rng);
    let state = other.to_bytes();
    let offered = &state[state.len() - 1_185..];
    let answer = with_offer(&bobs, offered).encrypt(rng, NOW, b"mistaken").unwrap();
    assert_eq!(kem_of(&answer), "answer");
    refused(&mut alices, &answer);
}

#[test]
fn an_answer_to_no_offer_is_refused() {
    let rng = &mut rng(6);
    let (mut alices, mut bobs) = established(rng);
    decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"no offer").unwrap()).unwrap();
    let (_, other) = exchanging(rng);
    let state = other.to_bytes();
    let offered = &state[state.len() - 1_185..];
    let answer = with_offer(&bobs, offered).encrypt(rng, NOW, b"eager").unwrap();
    assert_eq!(kem_of(&answer), "answer");
    refused(&mut alices, &answer);
}

#[test]
fn a_session_of_x3dh_has_no_kem_exchange() {
    let rng = &mut rng(7);
    let (mut alices, mut bobs) = established_in(rng, Suite::X3dh);
    let mut now_ms = NOW;
    for _ in 0..60 {
        now_ms += MAX_HEALING_AGE_MS;
        let ping = alices.encrypt(rng, now_ms, b"ping").unwrap();
        decrypt(&mut bobs, &ping).unwrap();
        let pong = bobs.encrypt(rng, now_ms, b"pong").unwrap();
        assert_eq!((kem_of(&ping), kem_of(&pong)), ("", ""));
        // The same message, dressed up as one that offers, by a peer that has the key for it.
        refused(&mut alices, &dressed_up(&bobs, &pong));
        decrypt(&mut alices, &pong).unwrap();
        let more = bobs.encrypt(rng, now_ms, b"more").unwrap();
        refused(&mut alices, &dressed_up(&bobs, &more));
        decrypt(&mut alices, &more).unwrap();
    }
}

/// What a cheating peer could send after `message` on its chain: authentic, and with a KEM part.
fn dressed_up(sender: &Session, message: &[u8]) -> Vec<u8> {
    let state = sender.to_bytes();
    let turn = 2 + 1 + 32 + 32 + 32;
    assert_eq!(state[turn], 2, "the sender leads");
    let (associated_data, chain_key) = (&state[35..67], &state[turn + 33..turn + 65]);
    let mut prefix = [&[1, KIND_KEM], &message[2..42], &[1], &[0; 1_184]].concat();
    let number = u32::from_be_bytes(prefix[38..42].try_into().unwrap()) + 1;
    prefix[38..42].copy_from_slice(&number.to_be_bytes());
    let mut hmac = <Hmac<Sha256> as KeyInit>::new_from_slice(chain_key).unwrap();
    hmac.update(&[1]);
    let message_key = hmac.finalize().into_bytes();
    let mut keys = [0; 44];
    Hkdf::<Sha256>::new(Some(&[0; 32]), &message_key)
        .expand(b"Sottovoce-v1 message\x01", &mut keys)
        .unwrap();
    let mut padded = vec![0; 260];
    padded[3..5].copy_from_slice(&[1, b'x']);
    let payload = Payload {
        msg: &padded,
        aad: &[associated_data, &prefix].concat(),
    };
    let (key, nonce) = (
        <[u8; 32]>::try_from(&keys[..32]).unwrap(),
        <[u8; 12]>::try_from(&keys[32..]).unwrap(),
    );
    let sealed = ChaCha20Poly1305::new(&key.into())
        .encrypt(&nonce.into(), payload)
        .unwrap();
    [prefix, sealed].concat()
}

#[test]
fn the_secret_of_an_offer_is_gone_once_it_is_answered() {
    let rng = &mut rng(8);
    let (mut alices, mut bobs) = exchanging(rng);
    let state = alices.to_bytes();
    // Behind ratchet secret, chain key and two numbers; see the specification's section 11.
    let seed = &state[common::TURN + 1 + 72 + 1..][..64];
    assert_eq!(state[common::TURN + 1 + 72], 1);
    decrypt(&mut alices, &bobs.encrypt(rng, NOW, b"answer").unwrap()).unwrap();
    for bytes in stored(&alices) {
        assert!(
            !bytes
                .windows(16)
                .any(|window| seed.windows(16).any(|part| part == window))
        );
    }
}

#[test]
fn two_who_begin_at_once_have_two_sessions_and_both_heal() {
    let rng = &mut rng(9);
    let (alice, bob) = common::alice_and_bob(rng);
    let mut hers = alice.begin(rng, Suite::Pqxdh, &bob, true);
    let mut his = bob.begin(rng, Suite::Pqxdh, &alice, true);
    let (to_bob, to_alice) = (
        hers.encrypt(rng, NOW, b"hello bob").unwrap(),
        his.encrypt(rng, NOW, b"hello alice").unwrap(),
    );
    let (mut hers_at_bob, _) = bob.accept(&alice.party, &common::initial(&to_bob)).unwrap();
    let (mut his_at_alice, _) = alice.accept(&bob.party, &common::initial(&to_alice)).unwrap();
    let mut seen = Vec::new();
    let mut now_ms = NOW;
    for _ in 0..3 {
        now_ms += MAX_HEALING_AGE_MS;
        for (one, other) in [(&mut hers, &mut hers_at_bob), (&mut his, &mut his_at_alice)] {
            let answer = other.encrypt(rng, now_ms, b"answer").unwrap();
            decrypt(one, &answer).unwrap();
            let message = one.encrypt(rng, now_ms, b"message").unwrap();
            decrypt(other, &message).unwrap();
            seen.extend([kem_of(&answer), kem_of(&message)]);
        }
    }
    assert_eq!(seen.iter().filter(|kem| **kem == "answer").count(), 6, "{seen:?}");
    assert_ne!(hers.handshake_digest(), his.handshake_digest());
}

/// What somebody draws who knows every Diffie-Hellman secret and nothing else: the first draw of a step is
/// its ratchet key.
struct KnowsDiffieHellman {
    ratchet_secret: Option<Vec<u8>>,
    rest: ChaCha20Rng,
}

impl TryRng for KnowsDiffieHellman {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        match self.ratchet_secret.take() {
            Some(secret) => bytes.copy_from_slice(&secret),
            None => self.rest.fill_bytes(bytes),
        }
        Ok(())
    }
}

impl TryCryptoRng for KnowsDiffieHellman {}

/// Encrypts with a session, and has the copy that a thief took of it take the same Diffie-Hellman step.
fn send(session: &mut Session, thief: &mut Session, rng: &mut ChaCha20Rng, now_ms: u64) -> Vec<u8> {
    let mut ratchet_secret = vec![0; 32];
    rng.clone().fill_bytes(&mut ratchet_secret);
    let mut known = KnowsDiffieHellman {
        ratchet_secret: Some(ratchet_secret),
        rest: common::rng(99),
    };
    let message = session.encrypt(rng, now_ms, b"message").unwrap();
    let copied = thief.encrypt(&mut known, now_ms, b"message").unwrap();
    assert_eq!(message[2..42], copied[2..42], "the thief knows this ratchet key");
    message
}

#[test]
fn a_thief_who_breaks_every_diffie_hellman_is_shut_out_by_a_kem_exchange() {
    // Whether the thief took the state of who offers or of who answers.
    for stolen_from_bob in [true, false] {
        let rng = &mut rng(10);
        let (mut alices, mut bobs) = established(rng);
        let (victim, other) = if stolen_from_bob {
            (&mut bobs, &mut alices)
        } else {
            (&mut alices, &mut bobs)
        };
        let mut thief = restored(victim);
        let mut read = Vec::new();
        let mut shut_out_at = None;
        // After 4 rounds, the other side's chain offers.
        for round in 0..8 {
            let now_ms = if round < 4 { NOW } else { NOW + MAX_HEALING_AGE_MS };
            let message = if shut_out_at.is_none() {
                send(victim, &mut thief, rng, now_ms)
            } else {
                victim.encrypt(rng, now_ms, b"message").unwrap()
            };
            decrypt(other, &message).unwrap();
            let answer = other.encrypt(rng, now_ms, b"answer").unwrap();
            if decrypt(&mut thief, &answer).is_some() {
                assert_eq!(shut_out_at, None, "once shut out, for good");
                read.push(round);
            } else {
                shut_out_at.get_or_insert((round, kem_of(&message), kem_of(&answer)));
            }
            decrypt(victim, &answer).unwrap();
        }
        // Diffie-Hellman alone never shuts this thief out.
        assert_eq!(read, [0, 1, 2, 3]);
        // The victim's own chain was the first to be due: it offered, the other answered.
        assert_eq!(
            shut_out_at,
            Some((4, "offer", "answer")),
            "from Bob: {stolen_from_bob}"
        );
    }
}

#[test]
fn a_thief_of_who_answers_is_shut_out_as_well() {
    let rng = &mut rng(11);
    let (mut alices, mut bobs) = established(rng);
    let mut thief = restored(&bobs);
    decrypt(
        &mut bobs,
        &alices.encrypt(rng, NOW + MAX_HEALING_AGE_MS, b"offer").unwrap(),
    )
    .unwrap();
    let state = bobs.to_bytes();
    assert!(state.len() > 1_184, "Bob holds an offer");
    drop(state);
    // The thief reads the offer, too, and answers with a secret of its own.
    thief = {
        let skipped = bobs.skipped_keys().map(|record| record.bytes);
        drop(thief);
        Session::from_bytes(&bobs.to_bytes(), skipped).unwrap()
    };
    let answer = send(&mut bobs, &mut thief, rng, NOW);
    assert_eq!(kem_of(&answer), "answer");
    decrypt(&mut alices, &answer).unwrap();
    let next = alices.encrypt(rng, NOW, b"next").unwrap();
    assert!(decrypt(&mut thief, &next).is_none());
    assert!(decrypt(&mut bobs, &next).is_some());
}

#[test]
fn a_state_stolen_while_an_offer_waits_heals_at_the_next() {
    let rng = &mut rng(12);
    let (mut alices, mut bobs) = exchanging(rng);
    // Alice's state holds the secret of her offer. Her thief opens the answer to it,
    let mut thief = restored(&alices);
    let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
    assert!(decrypt(&mut thief, &answer).is_some());
    decrypt(&mut alices, &answer).unwrap();
    // and goes on with every Diffie-Hellman secret until the next exchange.
    let later = NOW + 3 * MAX_HEALING_AGE_MS;
    let offer = send(&mut alices, &mut thief, rng, later);
    assert_eq!(kem_of(&offer), "offer");
    decrypt(&mut bobs, &offer).unwrap();
    let healed = bobs.encrypt(rng, NOW, b"healed").unwrap();
    assert!(decrypt(&mut thief, &healed).is_none());
    assert!(decrypt(&mut alices, &healed).is_some());
}

#[test]
fn a_session_with_a_waiting_offer_comes_back_from_its_bytes() {
    let rng = &mut rng(13);
    let (mut alices, mut bobs) = exchanging(rng);
    alices = restored(&alices);
    bobs = restored(&bobs);
    assert!(Session::from_bytes(&alices.to_bytes(), NO_KEYS).is_ok());
    let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
    assert!(decrypt(&mut alices, &answer).is_some());
}
