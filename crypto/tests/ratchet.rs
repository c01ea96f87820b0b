//! The Double Ratchet from outside: what gets through, what does not, and that a refusal changes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::convert::Infallible;

use common::{NOW, begun, decrypt, established, restored, rng};
use proptest::prelude::*;
use rand_chacha::rand_core::{TryCryptoRng, TryRng};
use sottovoce_crypto::{
    DecodeError, DecryptError, EncryptError, MAX_FORWARD_JUMP, MAX_PLAINTEXT_LEN, MAX_SKIPPED_AGE_MS,
    MAX_SKIPPED_KEYS, Session, SessionMessage,
};

#[test]
fn a_conversation_goes_both_ways() {
    let rng = &mut rng(1);
    let (mut alices, mut bobs) = established(rng);
    for round in 0..20_u8 {
        for _ in 0..=round % 3 {
            let message = alices.encrypt(rng, &[round]).unwrap();
            assert_eq!(decrypt(&mut bobs, &message).unwrap(), [round]);
        }
        for _ in 0..=round % 2 {
            let message = bobs.encrypt(rng, &[round]).unwrap();
            assert_eq!(decrypt(&mut alices, &message).unwrap(), [round]);
        }
    }
}

#[test]
fn late_messages_of_earlier_chains_still_decrypt_once() {
    let rng = &mut rng(2);
    let (mut alices, mut bobs) = established(rng);
    let mut late = Vec::new();
    for round in 0..5_u8 {
        late.push((round, alices.encrypt(rng, &[round]).unwrap()));
        let prompt = alices.encrypt(rng, b"prompt").unwrap();
        decrypt(&mut bobs, &prompt).unwrap();
        let answer = bobs.encrypt(rng, b"answer").unwrap();
        decrypt(&mut alices, &answer).unwrap();
    }
    for (round, message) in late.iter().rev() {
        assert_eq!(decrypt(&mut bobs, message).unwrap(), [*round]);
        assert!(decrypt(&mut bobs, message).is_none(), "once only");
    }
}

/// Decrypts what must not decrypt, and checks that the session is as it was.
fn refused(session: &mut Session, bytes: &[u8]) {
    let before = session.to_bytes();
    if let Ok(message) = SessionMessage::decode(bytes) {
        assert!(session.decrypt(NOW, &message).is_err());
    }
    assert_eq!(session.to_bytes(), before);
}

#[test]
fn a_failed_decryption_leaves_the_session_byte_for_byte_as_it_was() {
    let rng = &mut rng(3);
    let (mut alices, mut bobs) = established(rng);
    let skipped = alices.encrypt(rng, b"skipped").unwrap();
    let next = alices.encrypt(rng, b"next").unwrap();
    decrypt(&mut bobs, &next).unwrap();
    let in_chain = alices.encrypt(rng, b"in the chain").unwrap();
    let far = {
        for _ in 0..5 {
            alices.encrypt(rng, b"lost").unwrap();
        }
        alices.encrypt(rng, b"further on").unwrap()
    };
    let mut turned = {
        // Alice's next chain, so that the forgery goes through a Diffie-Hellman step as well.
        let answer = bobs.encrypt(rng, b"answer").unwrap();
        decrypt(&mut alices, &answer).unwrap();
        alices.encrypt(rng, b"new chain").unwrap()
    };
    for message in [&skipped, &in_chain, &far, &turned] {
        for position in 0..message.len() {
            let mut damaged = message.clone();
            damaged[position] ^= 1 << (position % 8);
            refused(&mut bobs, &damaged);
        }
        refused(&mut bobs, &message[..message.len() - 1]);
    }
    // Nothing was used up: all of them still decrypt, and then never again.
    for message in [&skipped, &in_chain, &far, &turned] {
        assert!(decrypt(&mut bobs, message).is_some());
        refused(&mut bobs, message);
    }
    refused(&mut bobs, &next);
    // Neither may our own messages come back to us.
    refused(&mut alices, &turned);
    turned.clear();
    refused(&mut bobs, &turned);
}

#[test]
fn every_byte_of_a_message_is_authenticated() {
    let rng = &mut rng(4);
    let (mut alices, mut bobs) = established(rng);
    let message = alices.encrypt(rng, b"words").unwrap();
    for position in 0..message.len() {
        for bit in 0..8 {
            let mut damaged = message.clone();
            damaged[position] ^= 1 << bit;
            assert!(
                decrypt(&mut bobs, &damaged).is_none(),
                "byte {position}, bit {bit}"
            );
        }
    }
    assert!(decrypt(&mut bobs, &message).is_some());
}

#[test]
fn a_reply_cannot_pass_for_an_initial_message_nor_the_other_way_round() {
    let rng = &mut rng(5);
    let (mut alices, mut bobs) = begun(rng);
    let initial = alices.encrypt(rng, b"still waiting").unwrap();
    let header_len = 2 + 42;
    let mut stripped = initial.clone();
    stripped.drain(2..header_len);
    stripped[1] = 0x02;
    assert!(matches!(
        SessionMessage::decode(&stripped),
        Ok(SessionMessage::Ratchet(_))
    ));
    refused(&mut bobs, &stripped);

    let mut dressed = bobs.encrypt(rng, b"answer").unwrap();
    dressed[1] = 0x01;
    dressed.splice(2..2, initial[2..header_len].iter().copied());
    assert!(matches!(
        SessionMessage::decode(&dressed),
        Ok(SessionMessage::Initial(_))
    ));
    refused(&mut alices, &dressed);
}

#[test]
fn a_jump_within_the_limit_gets_through_and_one_beyond_does_not() {
    let rng = &mut rng(6);
    let (mut alices, mut bobs) = established(rng);
    decrypt(&mut bobs, &alices.encrypt(rng, b"first").unwrap()).unwrap();
    let mut lost = Vec::new();
    for _ in 0..MAX_FORWARD_JUMP {
        lost.push(alices.encrypt(rng, b"lost").unwrap());
    }
    let reachable = alices.encrypt(rng, b"reachable").unwrap();
    let beyond = alices.encrypt(rng, b"beyond").unwrap();
    refused(&mut bobs, &beyond);
    assert!(decrypt(&mut bobs, &reachable).is_some());
    assert!(decrypt(&mut bobs, &beyond).is_some(), "now it is near");
    // The whole jump fits the store, and every key in it is good.
    for message in lost.iter().step_by(199) {
        assert!(decrypt(&mut restored(&bobs), message).is_some());
    }
}

#[test]
fn a_jump_over_two_chains_counts_as_one() {
    let rng = &mut rng(7);
    let (mut alices, mut bobs) = established(rng);
    decrypt(&mut bobs, &alices.encrypt(rng, b"first").unwrap()).unwrap();
    let lose = |alices: &mut Session, rng: &mut _, count: u32| {
        for _ in 0..count {
            alices.encrypt(rng, b"lost").unwrap();
        }
    };
    lose(&mut alices, rng, MAX_FORWARD_JUMP / 2);
    let answer = bobs.encrypt(rng, b"answer").unwrap();
    decrypt(&mut alices, &answer).unwrap();
    lose(&mut alices, rng, MAX_FORWARD_JUMP / 2);
    let reachable = alices.encrypt(rng, b"reachable").unwrap();
    let beyond = alices.encrypt(rng, b"beyond").unwrap();
    refused(&mut bobs, &beyond);
    assert!(decrypt(&mut bobs, &reachable).is_some());
}

#[test]
fn a_number_at_the_end_of_its_range_is_refused() {
    let rng = &mut rng(8);
    let (mut alices, mut bobs) = established(rng);
    let message = alices.encrypt(rng, b"words").unwrap();
    for (position, number) in [(38, u32::MAX), (38, u32::MAX - 1), (34, u32::MAX)] {
        let mut forged = message.clone();
        forged[position..position + 4].copy_from_slice(&number.to_be_bytes());
        refused(&mut bobs, &forged);
    }
}

#[test]
fn skipped_keys_are_bounded_and_the_oldest_go_first() {
    let rng = &mut rng(9);
    let (mut alices, mut bobs) = established(rng);
    let mut lost = Vec::new();
    for _ in 0..3 {
        for _ in 0..900 {
            lost.push(alices.encrypt(rng, b"lost").unwrap());
        }
        decrypt(&mut bobs, &alices.encrypt(rng, b"arrives").unwrap()).unwrap();
    }
    let first_kept = lost.len() - MAX_SKIPPED_KEYS;
    assert!(decrypt(&mut bobs, &lost[first_kept - 1]).is_none());
    assert!(decrypt(&mut bobs, &lost[first_kept]).is_some());
    assert!(bobs.to_bytes().len() < 160_000);
}

#[test]
fn a_late_message_decrypts_until_its_key_expires() {
    let rng = &mut rng(10);
    let (mut alices, mut bobs) = established(rng);
    let late = SessionMessage::decode(&alices.encrypt(rng, b"late").unwrap()).unwrap();
    decrypt(&mut bobs, &alices.encrypt(rng, b"prompt").unwrap()).unwrap();
    let in_time = NOW + MAX_SKIPPED_AGE_MS;
    assert!(restored(&bobs).decrypt(in_time, &late).is_ok());
    assert_eq!(
        restored(&bobs).decrypt(in_time + 1, &late),
        Err(DecryptError::Undecryptable)
    );
    // The next message that decrypts erases what expired.
    let held = bobs.to_bytes().len();
    let next = SessionMessage::decode(&alices.encrypt(rng, b"next").unwrap()).unwrap();
    bobs.decrypt(in_time + 1, &next).unwrap();
    assert_eq!(bobs.to_bytes().len(), held - 76);
}

#[test]
fn a_plaintext_over_the_limit_is_refused_and_changes_nothing() {
    let rng = &mut rng(11);
    let (mut alices, mut bobs) = established(rng);
    let before = alices.to_bytes();
    let refused = alices.encrypt(rng, &vec![0; MAX_PLAINTEXT_LEN + 1]);
    assert_eq!(refused, Err(EncryptError::TooLong));
    assert_eq!(alices.to_bytes(), before);
    let largest = alices.encrypt(rng, &vec![7; MAX_PLAINTEXT_LEN]).unwrap();
    assert_eq!(decrypt(&mut bobs, &largest).unwrap(), vec![7; MAX_PLAINTEXT_LEN]);
}

#[test]
fn ciphertexts_come_in_buckets() {
    let rng = &mut rng(12);
    let (mut alices, _) = established(rng);
    let overhead = 2 + 40 + 4 + 16;
    for (length, bucket) in [
        (0, 256),
        (1, 256),
        (256, 256),
        (257, 512),
        (5_000, 8_192),
        (65_536, 65_536),
    ] {
        let message = alices.encrypt(rng, &vec![b'x'; length]).unwrap();
        assert_eq!(message.len(), overhead + bucket, "{length} bytes");
    }
}

#[test]
fn a_message_of_any_other_form_is_malformed() {
    let rng = &mut rng(13);
    let (mut alices, mut bobs) = begun(rng);
    let initial = alices.encrypt(rng, b"hello").unwrap();
    let ratchet = bobs.encrypt(rng, b"hello").unwrap();
    for message in [&initial, &ratchet] {
        let decoded = SessionMessage::decode(message).unwrap();
        assert_eq!(&decoded.encode(), message);
        for length in 0..message.len() {
            assert!(SessionMessage::decode(&message[..length]).is_err());
        }
        let with = |position: usize, byte: u8| {
            let mut changed = message.clone();
            changed[position] = byte;
            SessionMessage::decode(&changed).map(|_| ())
        };
        assert_eq!(with(0, 0), Err(DecodeError::UnsupportedVersion));
        assert_eq!(with(0, 2), Err(DecodeError::UnsupportedVersion));
        assert_eq!(with(1, 0), Err(DecodeError::Malformed));
        assert_eq!(with(1, 3), Err(DecodeError::Malformed));
        let mut longer = message.clone();
        longer.push(0);
        assert_eq!(SessionMessage::decode(&longer), Err(DecodeError::Malformed));
    }
    let with = |position: usize, bytes: &[u8]| {
        let mut changed = initial.clone();
        changed[position..position + bytes.len()].copy_from_slice(bytes);
        SessionMessage::decode(&changed).map(|_| ())
    };
    assert_eq!(
        with(3, &[0; 4]),
        Err(DecodeError::Malformed),
        "signed prekeys count from 1"
    );
    assert_eq!(with(7, &[2]), Err(DecodeError::Malformed), "a flag is 0 or 1");
    assert_eq!(
        with(12, &[0xff; 32]),
        Err(DecodeError::Malformed),
        "an unreduced key"
    );
    assert_eq!(with(12, &[0; 32]), Err(DecodeError::Malformed), "a zero key");
    assert_eq!(
        with(44, &[0xff; 32]),
        Err(DecodeError::Malformed),
        "an unreduced key"
    );
}

#[test]
fn sessions_print_no_secret() {
    let rng = &mut rng(14);
    let (alices, bobs) = established(rng);
    assert_eq!(format!("{alices:?}{bobs:?}"), "Session([redacted])".repeat(2));
}

#[test]
fn a_new_ratchet_key_out_of_turn_is_refused() {
    let rng = &mut rng(15);
    let (mut alices, mut bobs) = established(rng);
    let answered = {
        decrypt(&mut bobs, &alices.encrypt(rng, b"one").unwrap()).unwrap();
        restored(&bobs)
    };
    // Two answers that exclude each other, as from a session that was copied: only one can be heard.
    let answer = bobs.encrypt(rng, b"answer").unwrap();
    let rival = { answered }.encrypt(rng, b"rival").unwrap();
    decrypt(&mut alices, &answer).unwrap();
    refused(&mut alices, &rival);
    assert!(decrypt(&mut alices, &bobs.encrypt(rng, b"more").unwrap()).is_some());
}

#[test]
fn a_chain_ends_when_its_numbers_do() {
    let rng = &mut rng(16);
    let (alices, _) = begun(rng);
    // The number of the next message, in the state of a session that has heard nothing yet.
    let number = 2 + 42 + 32 + 32 + 1 + 32 + 32;
    let at = |next: u32| {
        let mut state = alices.to_bytes();
        state[number..number + 4].copy_from_slice(&next.to_be_bytes());
        Session::from_bytes(&state).unwrap()
    };
    let mut worn_out = at(u32::MAX);
    let before = worn_out.to_bytes();
    assert_eq!(
        worn_out.encrypt(rng, b"one too many"),
        Err(EncryptError::Exhausted)
    );
    assert_eq!(worn_out.to_bytes(), before);
    assert!(at(u32::MAX - 1).encrypt(rng, b"the last").is_ok());
}

/// A generator that draws two values in turn, for ever.
struct Alternating(u8);

impl TryRng for Alternating {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("secrets are drawn as bytes");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0);
        self.0 ^= 1;
        Ok(())
    }
}

impl TryCryptoRng for Alternating {}

#[test]
fn a_peer_that_uses_a_ratchet_key_again_cannot_spoil_our_state() {
    let rng = &mut rng(17);
    let (mut alices, mut bobs) = established(rng);
    let keys = &mut Alternating(2);
    let (mut heard, mut refusals) = (0, 0);
    for _ in 0..6 {
        // Alice leaves gaps, and her keys come round again.
        for _ in 0..5 {
            alices.encrypt(keys, b"lost").unwrap();
        }
        let message = alices.encrypt(keys, b"arrives").unwrap();
        if decrypt(&mut bobs, &message).is_some() {
            heard += 1;
        } else {
            refusals += 1;
        }
        bobs = restored(&bobs);
        let answer = bobs.encrypt(rng, b"answer").unwrap();
        decrypt(&mut alices, &answer);
    }
    assert_eq!((heard, refusals), (2, 4));
}

proptest! {
    #[test]
    fn no_bytes_make_reading_a_message_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        version in 0..3_u8,
        kind in 0..4_u8,
    ) {
        let _ = SessionMessage::decode(&bytes);
        let _ = SessionMessage::decode(&[&[version, kind], bytes.as_slice()].concat());
    }
}
