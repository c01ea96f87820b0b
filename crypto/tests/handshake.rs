//! Handshakes from outside: how a session begins, in either suite, and what it binds.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{
    Device, NOW, SUITES, alice_and_bob, begun_in, decrypt, initial, is_initial, restored, rng, stored,
};
use sottovoce_crypto::{AccountKeyPair, DecryptError, HandshakeError, Party, Session, SessionMessage, Suite};

#[test]
fn a_session_begins_with_and_without_one_time_prekeys() {
    let rng = &mut rng(1);
    let (alice, bob) = alice_and_bob(rng);
    for (suite, one_time) in SUITES
        .into_iter()
        .flat_map(|suite| [(suite, true), (suite, false)])
    {
        let mut alices = alice.begin(rng, suite, &bob, one_time);
        let message = initial(&alices.encrypt(rng, NOW, b"hello").unwrap());
        assert_eq!(message.suite(), suite);
        assert_eq!(message.signed_prekey_id(), 11);
        assert_eq!(message.one_time_prekey_id(), one_time.then_some(22));
        let kem_prekey_id = if one_time { 44 } else { 33 };
        assert_eq!(
            message.kem_prekey_id(),
            (suite == Suite::Pqxdh).then_some(kem_prekey_id)
        );
        let (mut bobs, plaintext) = bob.accept(&alice.party, &message).unwrap();
        assert_eq!(plaintext, b"hello");
        assert_eq!((alices.suite(), bobs.suite()), (suite, suite));
        let answer = bobs.encrypt(rng, NOW, b"hello yourself").unwrap();
        assert_eq!(decrypt(&mut alices, &answer).unwrap(), b"hello yourself");
    }
}

#[test]
fn messages_carry_the_handshake_until_the_first_reply() {
    let rng = &mut rng(2);
    for suite in SUITES {
        let (mut alices, mut bobs) = begun_in(rng, suite);
        for _ in 0..3 {
            let message = alices.encrypt(rng, NOW, b"are you there?").unwrap();
            assert!(is_initial(&message));
            alices = restored(&alices);
            assert!(decrypt(&mut bobs, &message).is_some());
        }
        let answer = bobs.encrypt(rng, NOW, b"yes").unwrap();
        assert!(!is_initial(&answer));
        decrypt(&mut alices, &answer).unwrap();
        assert!(!is_initial(&alices.encrypt(rng, NOW, b"good").unwrap()));
    }
}

#[test]
fn any_initial_message_begins_the_session_and_the_others_follow() {
    let rng = &mut rng(3);
    let (alice, bob) = alice_and_bob(rng);
    let mut alices =
        Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
    let sent: Vec<_> = (0..4_u8)
        .map(|number| alices.encrypt(rng, NOW, &[number]).unwrap())
        .collect();
    let (mut bobs, plaintext) = bob.accept(&alice.party, &initial(&sent[2])).unwrap();
    assert_eq!(plaintext, [2]);
    for number in [3, 0, 1] {
        assert_eq!(decrypt(&mut bobs, &sent[number]).unwrap(), [number as u8]);
    }
    assert!(decrypt(&mut bobs, &sent[2]).is_none(), "once only");
}

#[test]
fn the_handshake_digest_names_the_handshake_on_both_sides() {
    let rng = &mut rng(4);
    let (alice, bob) = alice_and_bob(rng);
    let mut digests = Vec::new();
    for _ in 0..2 {
        let mut alices =
            Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
        let first = initial(&alices.encrypt(rng, NOW, b"one").unwrap());
        let second = initial(&alices.encrypt(rng, NOW, b"two").unwrap());
        let (bobs, _) = bob.accept(&alice.party, &first).unwrap();
        assert_eq!(first.handshake_digest(), second.handshake_digest());
        assert_eq!(first.handshake_digest(), alices.handshake_digest());
        assert_eq!(first.handshake_digest(), bobs.handshake_digest());
        digests.push(first.handshake_digest());
    }
    assert_ne!(digests[0], digests[1]);
}

#[test]
fn both_sides_must_name_both_parties_alike() {
    let rng = &mut rng(6);
    let (alice, bob) = alice_and_bob(rng);
    let carol = Device::new(rng, "carol@one.example", 0xca);
    let mut alices =
        Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
    let message = initial(&alices.encrypt(rng, NOW, b"hello").unwrap());

    // What the responder believes of the initiator, one field at a time.
    let account_key = AccountKeyPair::generate(rng).public();
    let wrong = [
        Party {
            address: carol.party.address.clone(),
            ..alice.party.clone()
        },
        Party {
            device_id: carol.party.device_id,
            ..alice.party.clone()
        },
        Party {
            account_key,
            ..alice.party.clone()
        },
        Party {
            identity_key: carol.party.identity_key,
            ..alice.party.clone()
        },
    ];
    for them in &wrong {
        assert_eq!(bob.accept(them, &message).unwrap_err(), HandshakeError::Refused);
    }

    // What the initiator believes of the responder. (Another identity key or device id fails sooner: the
    // prekey is not that device's.)
    let wrong = [
        Party {
            address: carol.party.address.clone(),
            ..bob.party.clone()
        },
        Party {
            account_key,
            ..bob.party.clone()
        },
    ];
    for them in &wrong {
        let mut alices =
            Session::initiate(rng, NOW, &alice.identity, &alice.party, them, &bob.bundle()).unwrap();
        let message = initial(&alices.encrypt(rng, NOW, b"hello").unwrap());
        assert_eq!(
            bob.accept(&alice.party, &message).unwrap_err(),
            HandshakeError::Refused
        );
    }
    assert!(bob.accept(&alice.party, &message).is_ok());
}

#[test]
fn every_byte_of_an_initial_message_is_authenticated() {
    let rng = &mut rng(7);
    let (alice, bob) = alice_and_bob(rng);
    for suite in SUITES {
        let bytes = alice
            .begin(rng, suite, &bob, true)
            .encrypt(rng, NOW, b"hello")
            .unwrap();
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1;
            if let Ok(SessionMessage::Initial(message)) = SessionMessage::decode(&damaged) {
                assert!(bob.accept(&alice.party, &message).is_err(), "byte {position}");
            }
        }
        assert!(bob.accept(&alice.party, &initial(&bytes)).is_ok());
    }
}

#[test]
fn devices_of_two_accounts_may_bear_the_same_id() {
    let rng = &mut rng(18);
    let alice = Device::new(rng, "alice@one.example", 7);
    let bob = Device::new(rng, "bob@two.example", 7);
    let mut session =
        Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
    let message = initial(&session.encrypt(rng, NOW, b"what a chance").unwrap());
    assert!(bob.accept(&alice.party, &message).is_ok());
}

#[test]
fn two_devices_of_one_account_may_talk() {
    let rng = &mut rng(12);
    let (phone, mut laptop) = (
        Device::new(rng, "alice@one.example", 0xa1),
        Device::new(rng, "alice@one.example", 0xa2),
    );
    laptop.party.account_key = phone.party.account_key;
    let mut session = Session::initiate(
        rng,
        NOW,
        &phone.identity,
        &phone.party,
        &laptop.party,
        &laptop.bundle(),
    )
    .unwrap();
    let message = initial(&session.encrypt(rng, NOW, b"note to self").unwrap());
    assert_eq!(laptop.accept(&phone.party, &message).unwrap().1, b"note to self");
}

#[test]
fn an_initial_message_of_another_handshake_leaves_the_session_alone() {
    let rng = &mut rng(17);
    let (alice, bob) = alice_and_bob(rng);
    let mut begin = || {
        let mut session =
            Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
        let message = session.encrypt(rng, NOW, b"hello").unwrap();
        (session, message)
    };
    let (_, first) = begin();
    let (_, second) = begin();
    let (mut bobs, _) = bob.accept(&alice.party, &initial(&first)).unwrap();
    let before = stored(&bobs);
    let refused = bobs.decrypt(NOW, &SessionMessage::decode(&second).unwrap());
    assert_eq!(refused.unwrap_err(), DecryptError::OtherSession);
    assert_eq!(stored(&bobs), before);
}
