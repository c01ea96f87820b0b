//! Sessions at rest: what was written comes back, and nothing else is read.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{begun, decrypt, established, restored, rng};
use proptest::prelude::*;
use sottovoce_crypto::{EncryptError, MAX_SKIPPED_KEYS, Session, StateError};

/// One state of each kind: opening, leading, following, and one with skipped keys.
fn states() -> Vec<Vec<u8>> {
    let rng = &mut rng(1);
    let (opening, following) = begun(rng);
    let mut states = vec![opening.to_bytes().to_vec(), following.to_bytes().to_vec()];
    let (mut alices, mut bobs) = established(rng);
    states.push(bobs.to_bytes().to_vec());
    for _ in 0..3 {
        alices.encrypt(rng, b"lost").unwrap();
    }
    decrypt(&mut bobs, &alices.encrypt(rng, b"arrives").unwrap()).unwrap();
    states.push(bobs.to_bytes().to_vec());
    states
}

fn error_of(bytes: &[u8]) -> Option<StateError> {
    Session::from_bytes(bytes).err()
}

#[test]
fn a_session_comes_back_from_its_bytes() {
    for state in states() {
        assert_eq!(*Session::from_bytes(&state).unwrap().to_bytes(), state);
    }
}

#[test]
fn a_restored_session_goes_on_where_it_was() {
    let rng = &mut rng(2);
    let (mut alices, mut bobs) = begun(rng);
    for round in 0..8_u8 {
        let lost = alices.encrypt(rng, b"late").unwrap();
        (alices, bobs) = (restored(&alices), restored(&bobs));
        let message = alices.encrypt(rng, &[round]).unwrap();
        assert_eq!(decrypt(&mut bobs, &message).unwrap(), [round]);
        (alices, bobs) = (restored(&alices), restored(&bobs));
        let answer = bobs.encrypt(rng, &[round]).unwrap();
        assert_eq!(decrypt(&mut alices, &answer).unwrap(), [round]);
        assert!(decrypt(&mut restored(&bobs), &lost).is_some());
    }
}

#[test]
fn a_stored_session_is_read_strictly() {
    for state in states() {
        for length in 0..state.len() {
            assert_eq!(error_of(&state[..length]), Some(StateError::Malformed));
        }
        let mut longer = state.clone();
        longer.push(0);
        assert_eq!(error_of(&longer), Some(StateError::Malformed));
        for (position, error) in [
            (0, StateError::UnsupportedVersion),
            (1, StateError::Malformed),
            (2, StateError::UnsupportedSuite),
        ] {
            let mut changed = state.clone();
            changed[position] = 0x02;
            assert_eq!(error_of(&changed), Some(error));
        }
    }
}

#[test]
fn a_stored_session_that_contradicts_itself_is_refused() {
    let states = states();
    let (following, skipping) = (&states[1], &states[3]);
    let turn = 2 + (1 + 4 + 1 + 4 + 32) + 32 + 32;
    assert_eq!((following[turn], skipping[turn]), (3, 3));

    let with = |state: &[u8], position: usize, bytes: &[u8]| {
        let mut changed = state.to_vec();
        changed[position..position + bytes.len()].copy_from_slice(bytes);
        error_of(&changed)
    };
    let malformed = Some(StateError::Malformed);
    assert_eq!(with(following, turn, &[0]), malformed, "an unknown turn");
    assert_eq!(with(following, turn, &[4]), malformed, "an unknown turn");
    assert_eq!(with(following, turn + 1, &[0; 32]), malformed, "a zero key");
    assert_eq!(
        with(following, turn + 1, &[0xff; 32]),
        malformed,
        "an unreduced key"
    );
    assert_eq!(
        with(following, turn + 65, &[0; 4]),
        malformed,
        "a chain nothing came on"
    );

    let count = turn + 1 + 68 + 4;
    assert_eq!(skipping[count..count + 2], [0, 3]);
    let opening = &states[0];
    let mut listening = opening[..opening.len() - 2].to_vec();
    listening.extend_from_slice(&skipping[count..]);
    assert_eq!(error_of(&listening), malformed, "keys kept before anything came");
    let entry = count + 2;
    let number = entry + 32;
    assert_eq!(
        with(skipping, number, &[0, 0, 0, 9]),
        malformed,
        "a message still to come"
    );
    assert_eq!(
        with(skipping, number, &[0, 0, 0, 1]),
        malformed,
        "a key kept twice"
    );
    assert_eq!(with(skipping, entry, &[0xff; 32]), malformed, "an unreduced key");
}

#[test]
fn a_stored_session_with_more_skipped_keys_than_the_limit_is_refused() {
    let following = states().swap_remove(1);
    let count = following.len() - 2;
    assert_eq!(following[count..], [0, 0]);
    let with_keys = |number: usize| {
        let mut state = following[..count].to_vec();
        state.extend_from_slice(&u16::try_from(number).unwrap().to_be_bytes());
        for number in 0..number {
            state.extend_from_slice(&[9; 32]);
            state.extend_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
            state.extend_from_slice(&[0; 8 + 32]);
        }
        error_of(&state)
    };
    assert_eq!(with_keys(MAX_SKIPPED_KEYS), None);
    assert_eq!(with_keys(MAX_SKIPPED_KEYS + 1), Some(StateError::Malformed));
}

#[test]
fn a_stored_session_whose_directions_share_a_key_is_refused() {
    let rng = &mut rng(3);
    let (_, mut bobs) = begun(rng);
    // Bob's answer makes his ratchet key, which then stands in his state as a secret and in the message.
    let answer = bobs.encrypt(rng, b"answer").unwrap();
    let state = bobs.to_bytes();
    let turn = 2 + 42 + 32 + 32;
    assert_eq!(state[turn], 2);
    let theirs = turn + 1 + 72;
    let mut shared = state.to_vec();
    shared[theirs..theirs + 32].copy_from_slice(&answer[2..34]);
    assert_eq!(error_of(&shared), Some(StateError::Malformed));
    assert_eq!(error_of(&state), None);
}

#[test]
fn a_generator_that_draws_the_peers_key_is_refused() {
    let (_, mut bobs) = begun(&mut rng(4));
    let state = bobs.to_bytes();
    // What a generator in this state will draw, found by letting it draw.
    let answer = bobs.encrypt(&mut rng(5), b"answer").unwrap();
    let turn = 2 + 42 + 32 + 32;
    assert_eq!(state[turn], 3);
    let mut shared = state.to_vec();
    shared[turn + 1..turn + 33].copy_from_slice(&answer[2..34]);
    let mut session = Session::from_bytes(&shared).unwrap();
    assert_eq!(
        session.encrypt(&mut rng(5), b"answer"),
        Err(EncryptError::Exhausted)
    );
    assert_eq!(*session.to_bytes(), shared);
    assert!(session.encrypt(&mut rng(6), b"answer").is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_reading_a_session_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Session::from_bytes(&bytes);
    }

    #[test]
    fn what_is_read_is_what_would_be_written(
        which in 0..4_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut state = states().swap_remove(which);
        for (position, byte) in changes {
            let position = position.index(state.len());
            state[position] = byte;
        }
        if let Ok(session) = Session::from_bytes(&state) {
            prop_assert_eq!(&*session.to_bytes(), &state);
        }
    }
}
