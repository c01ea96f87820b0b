//! What a thief of the state can and cannot do: forward secrecy, and healing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{NOW, decrypt, established, restored, rng};

#[test]
fn a_stolen_state_does_not_decrypt_what_was_decrypted_before() {
    let rng = &mut rng(1);
    let (mut alices, mut bobs) = established(rng);
    let mut read = Vec::new();
    for round in 0..12_u8 {
        let message = alices.encrypt(rng, NOW, &[round]).unwrap();
        decrypt(&mut bobs, &message).unwrap();
        read.push(message);
        if round % 4 == 3 {
            let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
            decrypt(&mut alices, &answer).unwrap();
        }
        for message in &read {
            assert!(decrypt(&mut restored(&bobs), message).is_none());
        }
    }
}

/// Every aligned 32-byte field of a state, as a thief would collect them.
fn windows(state: &[u8]) -> std::collections::HashSet<[u8; 32]> {
    state
        .windows(32)
        .map(|window| window.try_into().unwrap())
        .collect()
}

#[test]
fn no_key_of_the_past_is_left_in_the_state() {
    let rng = &mut rng(2);
    let (mut alices, mut bobs) = established(rng);
    // The fields of a stored session that change with every message in a chain are its chain keys.
    let after_one = {
        decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"one").unwrap()).unwrap();
        windows(&bobs.to_bytes())
    };
    decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"two").unwrap()).unwrap();
    let after_two = windows(&bobs.to_bytes());
    let chain_moved = after_one.difference(&after_two).count();
    assert!(chain_moved >= 32, "the old chain key is gone: {chain_moved}");

    // After a full turn nothing secret of the earlier state is left: only its fixed part remains, which is
    // suite, handshake digest and associated data, and the count and time of the KEM exchange.
    for _ in 0..2 {
        decrypt(&mut alices, &bobs.encrypt(rng, NOW, b"turn").unwrap()).unwrap();
        decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"turn").unwrap()).unwrap();
    }
    let later = bobs.to_bytes();
    let root_key = 2 + 1 + 32 + 32;
    let kept = windows(&later[root_key..]).intersection(&after_two).count();
    assert_eq!(kept, 0);
}

#[test]
fn a_session_heals_after_one_round_trip() {
    let rng = &mut rng(3);
    let (mut alices, mut bobs) = established(rng);
    decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"before").unwrap()).unwrap();

    // Somebody copies Bob's whole state, and reads along.
    let mut thief = restored(&bobs);
    let exposed = alices.encrypt(rng, NOW, b"exposed").unwrap();
    assert!(decrypt(&mut thief, &exposed).is_some(), "a copied state reads on");
    decrypt(&mut bobs, &exposed).unwrap();

    // Bob answers with a new key, Alice with another: the thief knows neither secret.
    let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
    decrypt(&mut alices, &answer).unwrap();
    let healed = alices.encrypt(rng, NOW, b"healed").unwrap();
    assert!(decrypt(&mut thief, &healed).is_none());
    assert!(decrypt(&mut bobs, &healed).is_some());
}

#[test]
fn a_thief_of_both_directions_is_shut_out_as_well() {
    let rng = &mut rng(4);
    let (mut alices, mut bobs) = established(rng);
    // This time the thief copies a state that holds a ratchet key in use.
    let mut thief = restored(&alices);
    let mut sent = bobs.encrypt(rng, NOW, b"one").unwrap();
    decrypt(&mut alices, &sent).unwrap();
    for _ in 0..2 {
        let message = alices.encrypt(rng, NOW, b"round").unwrap();
        decrypt(&mut bobs, &message).unwrap();
        sent = bobs.encrypt(rng, NOW, b"trip").unwrap();
        decrypt(&mut alices, &sent).unwrap();
    }
    assert!(decrypt(&mut thief, &sent).is_none());

    // Nor can the thief write in the owner's name: Bob's chain has moved on.
    let forged = thief.encrypt(rng, NOW, b"forged").unwrap();
    let before = bobs.to_bytes();
    assert!(decrypt(&mut bobs, &forged).is_none());
    assert_eq!(bobs.to_bytes(), before);
}

#[test]
fn a_state_at_rest_holds_no_key_for_the_next_turn() {
    let rng = &mut rng(5);
    let (mut alices, mut bobs) = established(rng);
    decrypt(&mut bobs, &alices.encrypt(rng, NOW, b"your turn").unwrap()).unwrap();
    // Stolen before Bob answers: the key he answers with is not made yet, so the copy answers with
    // another, and what Alice sends to Bob afterwards is lost to it.
    let mut thief = restored(&bobs);
    let answer = bobs.encrypt(rng, NOW, b"answer").unwrap();
    let stolen_answer = thief.encrypt(rng, NOW, b"answer").unwrap();
    assert_ne!(answer[2..34], stolen_answer[2..34], "ratchet keys");
    decrypt(&mut alices, &answer).unwrap();
    let next = alices.encrypt(rng, NOW, b"next").unwrap();
    assert!(decrypt(&mut thief, &next).is_none());
    assert!(decrypt(&mut bobs, &next).is_some());
}
