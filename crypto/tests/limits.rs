//! The limits: what lies within them gets through, what lies beyond does not, and nothing grows past them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{
    HANDSHAKE_LEN, NO_KEYS, NOW, TURN, begun, decrypt, established, refused, restored, rng, stored,
};
use sottovoce_crypto::{
    DecryptError, EncryptError, MAX_FORWARD_JUMP, MAX_PLAINTEXT_LEN, MAX_SKIPPED_AGE_MS, MAX_SKIPPED_KEYS,
    Session, SessionMessage,
};

#[test]
fn a_jump_within_the_limit_gets_through_and_one_beyond_does_not() {
    let rng = &mut rng(6);
    let (mut alices, mut bobs) = established(rng);
    decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"first").unwrap()).unwrap();
    let mut lost = Vec::new();
    for _ in 0..MAX_FORWARD_JUMP {
        lost.push(alices.encrypt(rng, NOW, b"lost").unwrap());
    }
    let reachable = alices.encrypt(rng, NOW, b"reachable").unwrap();
    let beyond = alices.encrypt(rng, NOW, b"beyond").unwrap();
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
    decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"first").unwrap()).unwrap();
    let lose = |alices: &mut Session, rng: &mut _, count: u32| {
        for _ in 0..count {
            alices.encrypt(rng, NOW, b"lost").unwrap();
        }
    };
    lose(&mut alices, rng, MAX_FORWARD_JUMP / 2);
    let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
    decrypt(&mut alices, &answer).unwrap();
    lose(&mut alices, rng, MAX_FORWARD_JUMP / 2);
    let reachable = alices.encrypt(rng, NOW, b"reachable").unwrap();
    let beyond = alices.encrypt(rng, NOW, b"beyond").unwrap();
    refused(&mut bobs, &beyond);
    assert!(decrypt(&mut bobs, &reachable).is_some());
}

#[test]
fn a_number_at_the_end_of_its_range_is_refused() {
    let rng = &mut rng(8);
    let (mut alices, mut bobs) = established(rng);
    let message = alices.encrypt(rng, NOW, b"words").unwrap();
    for (position, number) in [(38, u32::MAX), (38, u32::MAX - 1), (34, u32::MAX)] {
        let mut forged = message.clone();
        forged[position..position + 4].copy_from_slice(&number.to_be_bytes());
        refused(&mut bobs, &forged);
    }
}

#[test]
fn a_chain_ends_when_its_numbers_do() {
    let rng = &mut rng(16);
    let (alices, _) = begun(rng);
    // The number of the next message, in the state of a session that has heard nothing yet.
    let number = TURN + 1 + HANDSHAKE_LEN + 32 + 32;
    let at = |next: u32| {
        let mut state = alices.to_bytes();
        state[number..number + 4].copy_from_slice(&next.to_be_bytes());
        Session::from_bytes(&state, NO_KEYS).unwrap()
    };
    let mut worn_out = at(u32::MAX);
    let before = stored(&worn_out);
    assert_eq!(
        worn_out.encrypt(rng, NOW, b"one too many"),
        Err(EncryptError::Exhausted)
    );
    assert_eq!(stored(&worn_out), before);
    assert!(at(u32::MAX - 1).encrypt(rng, NOW, b"the last").is_ok());
}

#[test]
fn skipped_keys_are_bounded_and_the_oldest_go_first() {
    let rng = &mut rng(9);
    let (mut alices, mut bobs) = established(rng);
    let mut lost = Vec::new();
    for _ in 0..3 {
        for _ in 0..900 {
            lost.push(alices.encrypt(rng, NOW, b"lost").unwrap());
        }
        decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"arrives").unwrap()).unwrap();
    }
    let first_kept = lost.len() - MAX_SKIPPED_KEYS;
    assert!(decrypt(&mut bobs, &lost[first_kept - 1]).is_none());
    assert!(decrypt(&mut bobs, &lost[first_kept]).is_some());
    assert_eq!(bobs.skipped_keys().count(), MAX_SKIPPED_KEYS - 1);
}

#[test]
fn a_late_message_decrypts_until_its_key_expires() {
    let rng = &mut rng(10);
    let (mut alices, mut bobs) = established(rng);
    let late = SessionMessage::decode(&alices.encrypt(rng, NOW, b"late").unwrap()).unwrap();
    decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"prompt").unwrap()).unwrap();
    let in_time = NOW + MAX_SKIPPED_AGE_MS;
    assert!(restored(&bobs).decrypt(in_time, &late).is_ok());
    assert_eq!(
        restored(&bobs).decrypt(in_time + 1, &late).unwrap_err(),
        DecryptError::Undecryptable
    );
    // The next message that decrypts erases what expired.
    let held: Vec<_> = bobs.skipped_keys().map(|record| record.id).collect();
    let next = SessionMessage::decode(&alices.encrypt(rng, NOW, b"next").unwrap()).unwrap();
    let erased = bobs.decrypt(in_time + 1, &next).unwrap().skipped.removed;
    assert_eq!((held.len(), erased), (1, held));
    assert_eq!(bobs.skipped_keys().count(), 0);
}

#[test]
fn a_plaintext_over_the_limit_is_refused_and_changes_nothing() {
    let rng = &mut rng(11);
    let (mut alices, mut bobs) = established(rng);
    let before = alices.to_bytes();
    let refused = alices.encrypt(rng, NOW, &vec![0; MAX_PLAINTEXT_LEN + 1]);
    assert_eq!(refused, Err(EncryptError::TooLong));
    assert_eq!(alices.to_bytes(), before);
    let largest = alices.encrypt(rng, NOW, &vec![7; MAX_PLAINTEXT_LEN]).unwrap();
    assert_eq!(decrypt(&mut bobs, &largest).unwrap(), vec![7; MAX_PLAINTEXT_LEN]);
}
