//! Messages as bytes: one form each, every byte of it authenticated, padded to buckets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{HANDSHAKE_LEN, NOW, begun, decrypt, established, exchanging, refused, rng};
use proptest::prelude::*;
use sottovoce_crypto::{DecodeError, Session, SessionMessage};

#[test]
fn every_byte_of_a_message_is_authenticated() {
    let rng = &mut rng(4);
    let (mut alices, mut bobs) = established(rng);
    let message = alices.encrypt(rng, NOW, b"words").unwrap();
    only_the_whole_message_opens(&mut bobs, &message);
}

#[test]
fn every_byte_of_a_kem_exchange_is_authenticated() {
    let rng = &mut rng(6);
    let (mut alices, mut bobs) = exchanging(rng);
    let offer = alices.encrypt(rng, NOW, b"once more").unwrap();
    only_the_whole_message_opens(&mut bobs, &offer);
    let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
    only_the_whole_message_opens(&mut alices, &answer);
}

fn only_the_whole_message_opens(session: &mut Session, message: &[u8]) {
    for position in 0..message.len() {
        // Every bit of the fixed part, one of each byte after it.
        let bits = if position < 300 { 0..8 } else { 0..1 };
        for bit in bits {
            let mut damaged = message.to_vec();
            damaged[position] ^= 1 << bit;
            assert!(decrypt(session, &damaged).is_none(), "byte {position}, bit {bit}");
        }
    }
    assert!(decrypt(session, message).is_some());
}

#[test]
fn a_reply_cannot_pass_for_an_initial_message_nor_the_other_way_round() {
    let rng = &mut rng(5);
    let (mut alices, mut bobs) = begun(rng);
    let initial = alices.encrypt(rng, NOW, b"still waiting").unwrap();
    let header_len = 2 + HANDSHAKE_LEN;
    let mut stripped = initial.clone();
    stripped.drain(2..header_len);
    stripped[1] = 0x02;
    assert!(matches!(
        SessionMessage::decode(&stripped),
        Ok(SessionMessage::Ratchet(_))
    ));
    refused(&mut bobs, &stripped);

    let mut dressed = bobs.encrypt(rng, NOW, b"answer").unwrap();
    dressed[1] = 0x01;
    dressed.splice(2..2, initial[2..header_len].iter().copied());
    assert!(matches!(
        SessionMessage::decode(&dressed),
        Ok(SessionMessage::Initial(_))
    ));
    refused(&mut alices, &dressed);
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
        let message = alices.encrypt(rng, NOW, &vec![b'x'; length]).unwrap();
        assert_eq!(message.len(), overhead + bucket, "{length} bytes");
    }
}

#[test]
fn a_message_of_any_other_form_is_malformed() {
    let rng = &mut rng(13);
    let (mut alices, mut bobs) = begun(rng);
    let initial = alices.encrypt(rng, NOW, b"hello").unwrap();
    let ratchet = bobs.encrypt(rng, NOW, b"hello").unwrap();
    let (mut offering, mut offered) = exchanging(rng);
    let offer = offering.encrypt(rng, NOW, b"hello").unwrap();
    let answer = offered.encrypt(rng, NOW, b"hello").unwrap();
    assert_eq!((offer[42], answer[42]), (1, 2));
    for message in [&initial, &ratchet, &offer, &answer] {
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
        assert_eq!(with(1, 4), Err(DecodeError::Malformed));
        let mut longer = message.clone();
        longer.push(0);
        assert_eq!(SessionMessage::decode(&longer), Err(DecodeError::Malformed));
    }
    for (message, byte) in [(&offer, 0), (&offer, 3), (&answer, 0), (&answer, 3)] {
        let mut changed = message.clone();
        changed[42] = byte;
        assert_eq!(
            SessionMessage::decode(&changed),
            Err(DecodeError::Malformed),
            "{byte}"
        );
    }
    let mut unreduced = offer.clone();
    unreduced[43..46].fill(0xff);
    assert_eq!(SessionMessage::decode(&unreduced), Err(DecodeError::Malformed));
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
        with(2 + HANDSHAKE_LEN, &[0xff; 32]),
        Err(DecodeError::Malformed),
        "an unreduced key"
    );
    assert_eq!(
        with(44, &[0; 4]),
        Err(DecodeError::Malformed),
        "KEM prekeys count from 1"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_reading_a_message_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..1_600),
        version in 0..3_u8,
        kind in 0..5_u8,
    ) {
        let _ = SessionMessage::decode(&bytes);
        let _ = SessionMessage::decode(&[&[version, kind], bytes.as_slice()].concat());
    }
}
