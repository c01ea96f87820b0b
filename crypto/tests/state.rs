//! Sessions at rest: what was written comes back, and nothing else is read.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::sync::LazyLock;

use common::{
    NO_KEYS, NOW, SUITES, TURN, begun, begun_in, decrypt, established, established_in, exchanging, restored,
    rng, stored,
};
use proptest::prelude::*;
use sottovoce_crypto::{EncryptError, MAX_SESSION_LEN, MAX_SKIPPED_KEYS, Session, StateError};

/// One state of each kind in each suite: opening, leading, following, one with skipped keys; and in PQXDH
/// with a KEM key offered, received and answered.
fn sessions() -> Vec<Session> {
    let rng = &mut rng(1);
    let mut sessions = Vec::new();
    for suite in SUITES {
        let (opening, following) = begun_in(rng, suite);
        let (_, leading) = established_in(rng, suite);
        let (mut alices, mut skipping) = begun_in(rng, suite);
        for _ in 0..3 {
            alices.encrypt(rng, NOW, b"lost").unwrap();
        }
        decrypt(&mut skipping, &alices.encrypt(rng, NOW, b"arrives").unwrap()).unwrap();
        sessions.extend([opening, following, leading, skipping]);
    }
    let (mut offering, mut offered) = exchanging(rng);
    sessions.extend([restored(&offering), restored(&offered)]);
    let answer = offered.encrypt(rng, NOW, b"answer").unwrap();
    decrypt(&mut offering, &answer).unwrap();
    sessions.extend([offering, offered]);
    sessions
}

/// The same as bytes.
fn states() -> Vec<Vec<u8>> {
    sessions()
        .iter()
        .map(|session| session.to_bytes().to_vec())
        .collect()
}

fn error_of(bytes: &[u8]) -> Option<StateError> {
    Session::from_bytes(bytes, NO_KEYS).err()
}

#[test]
fn a_session_comes_back_from_its_bytes() {
    for session in sessions() {
        assert_eq!(stored(&restored(&session)), stored(&session));
    }
}

#[test]
fn a_stored_session_is_small_whatever_it_holds() {
    let lengths: Vec<_> = states().iter().map(Vec::len).collect();
    let x3dh = [215, 173, 241, 173];
    let pqxdh = [1_319, 185, 253, 185];
    // Offering, offered, answered, answering.
    let exchanging = [317, MAX_SESSION_LEN, 185, 1_341];
    assert_eq!(lengths, [x3dh, pqxdh, exchanging].concat());
    assert_eq!(MAX_SESSION_LEN, 1_369);
    let rng = &mut rng(7);
    let (mut alices, mut bobs) = begun(rng);
    decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"first").unwrap()).unwrap();
    let before = bobs.to_bytes().len();
    for _ in 0..MAX_SKIPPED_KEYS {
        alices.encrypt(rng, NOW, b"lost").unwrap();
    }
    decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"arrives").unwrap()).unwrap();
    assert_eq!(bobs.skipped_keys().count(), MAX_SKIPPED_KEYS);
    assert_eq!(bobs.to_bytes().len(), before);
}

#[test]
fn a_restored_session_goes_on_where_it_was() {
    let rng = &mut rng(2);
    let (mut alices, mut bobs) = begun(rng);
    for round in 0..8_u8 {
        let lost = alices.encrypt(rng, NOW, b"late").unwrap();
        (alices, bobs) = (restored(&alices), restored(&bobs));
        let message = alices.encrypt(rng, NOW, &[round]).unwrap();
        assert_eq!(decrypt(&mut bobs, &message).unwrap(), [round]);
        (alices, bobs) = (restored(&alices), restored(&bobs));
        let answer = bobs.encrypt(rng, NOW, &[round]).unwrap();
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
            changed[position] = 0x77;
            assert_eq!(error_of(&changed), Some(error));
        }
    }
}

/// The error of a state with some bytes replaced.
fn error_with(state: &[u8], position: usize, bytes: &[u8]) -> Option<StateError> {
    let mut changed = state.to_vec();
    changed[position..position + bytes.len()].copy_from_slice(bytes);
    error_of(&changed)
}

#[test]
fn a_stored_session_that_contradicts_itself_is_refused() {
    let malformed = Some(StateError::Malformed);
    let (opening, following) = begun(&mut rng(1));
    let (opening, following) = (opening.to_bytes(), following.to_bytes());
    assert_eq!((opening[TURN], following[TURN]), (1, 3));
    assert_eq!(error_with(&following, TURN, &[0]), malformed, "an unknown turn");
    assert_eq!(error_with(&following, TURN, &[4]), malformed, "an unknown turn");
    assert_eq!(
        error_with(&following, TURN + 1, &[0; 32]),
        malformed,
        "a zero key"
    );
    assert_eq!(
        error_with(&following, TURN + 1, &[0xff; 32]),
        malformed,
        "an unreduced key"
    );
    assert_eq!(
        error_with(&following, TURN + 65, &[0; 4]),
        malformed,
        "a chain nothing came on"
    );
    assert_eq!(error_with(&opening, 5, &[0x11; 8]), malformed, "another digest");
    assert_eq!(
        error_with(&opening, TURN + 1, &[1]),
        malformed,
        "another suite's handshake"
    );
    let kem = opening.len() - 1;
    assert_eq!(opening[kem], 0);
    let offering = [&opening[..kem], &[1], &[7; 64]].concat();
    assert_eq!(error_of(&offering), malformed, "a KEM key in the first chain");
    let unreduced = [&following[..following.len() - 1], &[1], &[0xff; 1_184]].concat();
    assert_eq!(error_of(&unreduced), malformed, "an unreduced KEM key");
}

#[test]
fn a_stored_session_of_x3dh_has_no_kem_part() {
    let (_, following) = begun_in(&mut rng(1), sottovoce_crypto::Suite::X3dh);
    let bytes = following.to_bytes();
    let offered = [&bytes[..bytes.len() - 1], &[1], &[0; 1_184]].concat();
    assert_eq!(error_of(&offered), Some(StateError::Malformed));
}

#[test]
fn skipped_keys_that_are_not_the_sessions_are_refused() {
    let sessions = sessions();
    let [opening, _, leading, skipping] = &sessions[4..8] else {
        unreachable!()
    };
    let records: Vec<_> = skipping.skipped_keys().map(|record| record.bytes).collect();
    assert_eq!(records.len(), 3);
    let state = skipping.to_bytes();
    let error_with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = records[0].to_vec();
        change(&mut changed);
        Session::from_bytes(&state, [changed]).err()
    };
    let malformed = Some(StateError::Malformed);
    assert_eq!(error_with(&|_| {}), None);
    assert_eq!(error_with(&|record| record.push(0)), malformed);
    assert_eq!(error_with(&|record| record.truncate(77)), malformed);
    assert_eq!(
        error_with(&|record| record[0] = 2),
        Some(StateError::UnsupportedVersion)
    );
    assert_eq!(error_with(&|record| record[1] = 1), malformed, "another kind");
    assert_eq!(
        error_with(&|record| record[2..34].fill(0xff)),
        malformed,
        "an unreduced key"
    );
    assert_eq!(
        error_with(&|record| record[37] = 9),
        malformed,
        "a message still to come"
    );
    let twice = Session::from_bytes(&state, [&records[0], &records[0]]);
    assert_eq!(twice.err(), malformed, "a key kept twice");
    let early = Session::from_bytes(&opening.to_bytes(), &records);
    assert_eq!(early.err(), malformed, "keys kept before anything came");
    let others = Session::from_bytes(&leading.to_bytes(), &records);
    assert!(
        others.is_ok(),
        "an earlier chain's keys tell nothing of the session"
    );
}

#[test]
fn a_stored_session_with_more_skipped_keys_than_the_limit_is_refused() {
    let (_, following) = begun(&mut rng(1));
    let record = |number: usize| {
        let number = u32::try_from(number).unwrap().to_be_bytes();
        [&[1, 5], [9; 32].as_slice(), &number, &[0; 8 + 32]].concat()
    };
    let with_keys = |count| Session::from_bytes(&following.to_bytes(), (0..count).map(record)).err();
    assert_eq!(with_keys(MAX_SKIPPED_KEYS), None);
    assert_eq!(with_keys(MAX_SKIPPED_KEYS + 1), Some(StateError::Malformed));
}

#[test]
fn a_stored_session_whose_directions_share_a_key_is_refused() {
    let rng = &mut rng(3);
    let (_, mut bobs) = begun(rng);
    // Bob's answer makes his ratchet key, which then stands in his state as a secret and in the message.
    let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
    let state = bobs.to_bytes();
    assert_eq!(state[TURN], 2);
    let theirs = TURN + 1 + 72 + 1;
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
    let answer = bobs.encrypt(&mut rng(5), NOW, b"answer").unwrap();
    assert_eq!(state[TURN], 3);
    let mut shared = state.to_vec();
    shared[TURN + 1..TURN + 33].copy_from_slice(&answer[2..34]);
    let mut session = Session::from_bytes(&shared, NO_KEYS).unwrap();
    assert_eq!(
        session.encrypt(&mut rng(5), NOW, b"answer"),
        Err(EncryptError::Exhausted)
    );
    assert_eq!(*session.to_bytes(), shared);
    assert!(session.encrypt(&mut rng(6), NOW, b"answer").is_ok());
}

#[test]
fn what_is_told_of_skipped_keys_suffices_to_keep_them() {
    let rng = &mut rng(8);
    let (mut alices, mut bobs) = established(rng);
    let mut kept = std::collections::BTreeMap::new();
    let mut under_way = Vec::new();
    for round in 0..60_u8 {
        for _ in 0..usize::from(round % 5) {
            under_way.push(alices.encrypt(rng, NOW, b"late").unwrap());
        }
        let mut arriving = vec![alices.encrypt(rng, NOW, b"prompt").unwrap()];
        if round % 3 == 0 && !under_way.is_empty() {
            arriving.push(under_way.remove(under_way.len() / 2));
        }
        for bytes in arriving {
            let message = sottovoce_crypto::SessionMessage::decode(&bytes).unwrap();
            let changes = bobs.decrypt(NOW, &message).unwrap().skipped;
            for id in changes.removed {
                kept.remove(&id);
            }
            for record in changes.added {
                kept.insert(record.id, record.bytes);
            }
        }
        if round % 7 == 0 {
            decrypt(&mut alices, &bobs.encrypt(rng, NOW, b"turn").unwrap()).unwrap();
        }
        let again = Session::from_bytes(&bobs.to_bytes(), kept.values()).unwrap();
        assert_eq!(stored(&again), stored(&bobs));
    }
    assert!(!kept.is_empty());
}

/// A state that may have skipped keys.
static FOLLOWING: LazyLock<Vec<u8>> = LazyLock::new(|| begun(&mut rng(1)).1.to_bytes().to_vec());

/// One state of each kind.
static STATES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(states);

proptest! {
    #[test]
    fn no_bytes_make_reading_a_session_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1_500)) {
        let _ = Session::from_bytes(&bytes, NO_KEYS);
        let _ = Session::from_bytes(&FOLLOWING, [&bytes]);
    }

    #[test]
    fn what_is_read_is_what_would_be_written(
        which in 0..12_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut state = STATES[which].clone();
        for (position, byte) in changes {
            let position = position.index(state.len());
            state[position] = byte;
        }
        if let Ok(session) = Session::from_bytes(&state, NO_KEYS) {
            prop_assert_eq!(&*session.to_bytes(), &state);
        }
    }
}
