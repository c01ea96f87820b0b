//! The Double Ratchet from outside: what gets through, what does not, and that a refusal changes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::convert::Infallible;

use common::{NOW, decrypt, established, refused, restored, rng};
use rand_chacha::rand_core::{TryCryptoRng, TryRng};

#[test]
fn a_conversation_goes_both_ways() {
    let rng = &mut rng(1);
    let (mut alices, mut bobs) = established(rng);
    for round in 0..20_u8 {
        for _ in 0..=round % 3 {
            let message = alices.encrypt(rng, NOW, &[round]).unwrap();
            assert_eq!(decrypt(&mut bobs, &message).unwrap(), [round]);
        }
        for _ in 0..=round % 2 {
            let message = bobs.encrypt(rng, NOW, &[round]).unwrap();
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
        late.push((round, alices.encrypt(rng, NOW, &[round]).unwrap()));
        let prompt = alices.encrypt(rng, NOW, b"prompt").unwrap();
        decrypt(&mut bobs, &prompt).unwrap();
        let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
        decrypt(&mut alices, &answer).unwrap();
    }
    for (round, message) in late.iter().rev() {
        assert_eq!(decrypt(&mut bobs, message).unwrap(), [*round]);
        assert!(decrypt(&mut bobs, message).is_none(), "once only");
    }
}

#[test]
fn a_failed_decryption_leaves_the_session_byte_for_byte_as_it_was() {
    let rng = &mut rng(3);
    let (mut alices, mut bobs) = established(rng);
    let skipped = alices.encrypt(rng, NOW, b"skipped").unwrap();
    let next = alices.encrypt(rng, NOW, b"next").unwrap();
    decrypt(&mut bobs, &next).unwrap();
    let in_chain = alices.encrypt(rng, NOW, b"in the chain").unwrap();
    let far = {
        for _ in 0..5 {
            alices.encrypt(rng, NOW, b"lost").unwrap();
        }
        alices.encrypt(rng, NOW, b"further on").unwrap()
    };
    let mut turned = {
        // Alice's next chain, so that the forgery goes through a Diffie-Hellman step as well.
        let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
        decrypt(&mut alices, &answer).unwrap();
        alices.encrypt(rng, NOW, b"new chain").unwrap()
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
        decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"one").unwrap()).unwrap();
        restored(&bobs)
    };
    // Two answers that exclude each other, as from a session that was copied: only one can be heard.
    let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
    let rival = { answered }.encrypt(rng, NOW, b"rival").unwrap();
    decrypt(&mut alices, &answer).unwrap();
    refused(&mut alices, &rival);
    assert!(decrypt(&mut alices, &bobs.encrypt(rng, NOW, b"more").unwrap()).is_some());
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
            alices.encrypt(keys, NOW, b"lost").unwrap();
        }
        let message = alices.encrypt(keys, NOW, b"arrives").unwrap();
        if decrypt(&mut bobs, &message).is_some() {
            heard += 1;
        } else {
            refusals += 1;
        }
        bobs = restored(&bobs);
        let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
        decrypt(&mut alices, &answer);
    }
    assert_eq!((heard, refusals), (2, 4));
}
