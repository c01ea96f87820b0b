//! Messages as bytes: one form each, every byte of it authenticated, padded to buckets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{begun, decrypt, established, refused, rng};
use proptest::prelude::*;
use sottovoce_crypto::{DecodeError, SessionMessage};

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
