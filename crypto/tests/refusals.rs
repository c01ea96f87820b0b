//! Handshakes that must not come about: wrong suites, wrong prekeys, wrong keys, keys that add nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{Device, HANDSHAKE_LEN, NOW, alice_and_bob, begun, initial, rng};
use sottovoce_crypto::statements::{DeviceId, KemPrekeyRole, X25519Key};
use sottovoce_crypto::{
    DecodeError, HandshakeError, IdentityKeyPair, KemPrekeyPair, OneTimePrekey, OneTimePrekeyPair, Party,
    PrekeyBundle, Prekeys, Session, SessionMessage, SignedPrekeyPair, Suite,
};

#[test]
fn another_suite_is_refused_and_nothing_falls_back() {
    let rng = &mut rng(5);
    let (mut alices, _) = begun(rng);
    let message = alices.encrypt(rng, NOW, b"hello").unwrap();
    for suite in (0..=u8::MAX).filter(|&suite| suite != 0x01 && suite != 0x02) {
        let mut other = message.clone();
        other[2] = suite;
        assert_eq!(SessionMessage::decode(&other), Err(DecodeError::UnsupportedSuite));
    }
}

#[test]
fn a_handshake_of_one_suite_is_not_taken_up_in_the_other() {
    let rng = &mut rng(6);
    let (alice, bob) = alice_and_bob(rng);
    let (identity, us) = (&bob.identity, &bob.party);
    let pqxdh = initial(
        &alice
            .begin(rng, Suite::Pqxdh, &bob, true)
            .encrypt(rng, NOW, b"hi")
            .unwrap(),
    );
    let x3dh = initial(
        &alice
            .begin(rng, Suite::X3dh, &bob, true)
            .encrypt(rng, NOW, b"hi")
            .unwrap(),
    );
    let taken = Session::accept(NOW, identity, us, &alice.party, &bob.prekeys(&x3dh), &x3dh);
    assert_eq!(taken.unwrap_err(), HandshakeError::OtherSuite);
    let taken = Session::accept_x3dh(NOW, identity, us, &alice.party, &bob.x3dh_prekeys(&pqxdh), &pqxdh);
    assert_eq!(taken.unwrap_err(), HandshakeError::OtherSuite);

    // Somebody on the way takes the KEM out of a message.
    let mut stripped = alice
        .begin(rng, Suite::Pqxdh, &bob, true)
        .encrypt(rng, NOW, b"hi")
        .unwrap();
    stripped[2] = Suite::X3dh.byte();
    stripped.drain(2 + 42..2 + HANDSHAKE_LEN);
    let stripped = initial(&stripped);
    assert_eq!(stripped.suite(), Suite::X3dh);
    assert_eq!(
        bob.accept(&alice.party, &stripped).unwrap_err(),
        HandshakeError::Refused,
        "the suite is bound into the keys"
    );
}

#[test]
fn a_kem_prekey_that_is_not_the_peers_is_refused() {
    let rng = &mut rng(7);
    let (alice, bob) = alice_and_bob(rng);
    let carol = Device::new(rng, "carol@one.example", 0xca);
    let others = PrekeyBundle {
        kem_prekey: carol.bundle().kem_prekey,
        ..bob.bundle()
    };
    let for_another = KemPrekeyPair::generate(
        rng,
        &bob.identity,
        DeviceId::from_bytes([0xff; 16]),
        KemPrekeyRole::OneTime,
        1,
        NOW,
    );
    let for_another = PrekeyBundle {
        kem_prekey: for_another
            .unwrap()
            .statement()
            .clone()
            .verify(&bob.party.identity_key)
            .unwrap(),
        ..bob.bundle()
    };
    for bundle in [others, for_another] {
        let begun = Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, &bundle);
        assert_eq!(begun.unwrap_err(), HandshakeError::NotTheirPrekey);
    }
}

#[test]
fn a_prekey_that_is_not_the_peers_is_refused() {
    let rng = &mut rng(8);
    let (alice, bob) = alice_and_bob(rng);
    let carol = Device::new(rng, "carol@one.example", 0xca);
    let begin = |rng: &mut _, bundle: &PrekeyBundle| {
        Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, bundle).map(|_| ())
    };
    assert_eq!(
        begin(rng, &carol.bundle()),
        Err(HandshakeError::NotTheirPrekey),
        "another device's"
    );

    let of = |rng: &mut _, signer: &Device, device_id| {
        let prekey = SignedPrekeyPair::generate(rng, &signer.identity, device_id, 1, NOW).unwrap();
        PrekeyBundle {
            signed_prekey: prekey
                .statement()
                .clone()
                .verify(&signer.party.identity_key)
                .unwrap(),
            ..bob.bundle()
        }
    };
    let by_carol = of(rng, &carol, bob.party.device_id);
    assert_eq!(
        begin(rng, &by_carol),
        Err(HandshakeError::NotTheirPrekey),
        "verified under another key"
    );
    let for_another = of(rng, &bob, DeviceId::from_bytes([0xff; 16]));
    assert_eq!(
        begin(rng, &for_another),
        Err(HandshakeError::NotTheirPrekey),
        "signed for another device"
    );
}

#[test]
fn prekeys_that_the_message_does_not_name_are_refused() {
    let rng = &mut rng(9);
    let (alice, bob) = alice_and_bob(rng);
    let device_id = bob.party.device_id;
    let other_signed = SignedPrekeyPair::generate(rng, &bob.identity, device_id, 12, NOW).unwrap();
    let foreign_signed =
        SignedPrekeyPair::generate(rng, &bob.identity, DeviceId::from_bytes([1; 16]), 11, NOW).unwrap();
    let other_one_time = OneTimePrekeyPair::generate(rng, 23);

    let other_kem = KemPrekeyPair::generate(rng, &bob.identity, device_id, KemPrekeyRole::OneTime, 45, NOW);
    let other_kem = other_kem.unwrap();

    let attempt = |message: &_, prekeys: Prekeys<'_>| {
        Session::accept(NOW, &bob.identity, &bob.party, &alice.party, &prekeys, message).map(|_| ())
    };
    for one_time in [true, false] {
        let mut alices = alice.begin(rng, Suite::Pqxdh, &bob, one_time);
        let message = &initial(&alices.encrypt(rng, NOW, b"hello").unwrap());
        let named = bob.prekeys(message);
        let not_named = match named.one_time_prekey {
            Some(_) => None,
            None => Some(&bob.one_time_prekey),
        };
        let other_role = if one_time {
            &bob.last_resort
        } else {
            &bob.kem_prekey
        };
        for wrong in [
            Prekeys {
                signed_prekey: &other_signed,
                ..named
            },
            Prekeys {
                signed_prekey: &foreign_signed,
                ..named
            },
            Prekeys {
                one_time_prekey: not_named,
                ..named
            },
            Prekeys {
                one_time_prekey: Some(&other_one_time),
                ..named
            },
            Prekeys {
                kem_prekey: &other_kem,
                ..named
            },
            Prekeys {
                kem_prekey: other_role,
                ..named
            },
        ] {
            assert_eq!(attempt(message, wrong), Err(HandshakeError::OtherPrekeys));
        }
        assert_eq!(attempt(message, named), Ok(()));
    }
}

#[test]
fn prekeys_of_the_same_number_and_another_secret_are_refused() {
    let rng = &mut rng(10);
    let (alice, bob) = alice_and_bob(rng);
    let device_id = bob.party.device_id;
    let mut alices = alice.begin(rng, Suite::Pqxdh, &bob, true);
    let message = initial(&alices.encrypt(rng, NOW, b"hello").unwrap());
    let signed = SignedPrekeyPair::generate(rng, &bob.identity, device_id, 11, NOW).unwrap();
    let one_time = OneTimePrekeyPair::generate(rng, 22);
    let kem =
        KemPrekeyPair::generate(rng, &bob.identity, device_id, KemPrekeyRole::OneTime, 44, NOW).unwrap();
    let named = bob.prekeys(&message);
    for prekeys in [
        Prekeys {
            signed_prekey: &signed,
            ..named
        },
        Prekeys {
            one_time_prekey: Some(&one_time),
            ..named
        },
        Prekeys {
            kem_prekey: &kem,
            ..named
        },
    ] {
        let refused = Session::accept(NOW, &bob.identity, &bob.party, &alice.party, &prekeys, &message);
        assert_eq!(refused.unwrap_err(), HandshakeError::Refused);
    }
}

#[test]
fn a_device_holds_no_session_with_itself() {
    let rng = &mut rng(11);
    let (alice, bob) = alice_and_bob(rng);
    let begin = |rng: &mut _, us: &Party, them: &Party, bundle: &_| {
        Session::initiate(rng, NOW, &alice.identity, us, them, bundle).map(|_| ())
    };
    assert_eq!(
        begin(rng, &alice.party, &alice.party, &alice.bundle()),
        Err(HandshakeError::SameDevice)
    );
    let same_key = Party {
        identity_key: alice.party.identity_key,
        ..bob.party.clone()
    };
    assert_eq!(
        begin(rng, &alice.party, &same_key, &bob.bundle()),
        Err(HandshakeError::SameDevice)
    );
    let same_name = Party {
        address: alice.party.address.clone(),
        device_id: alice.party.device_id,
        ..bob.party.clone()
    };
    assert_eq!(
        begin(rng, &alice.party, &same_name, &bob.bundle()),
        Err(HandshakeError::SameDevice)
    );

    let mut alices =
        Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
    let message = initial(&alices.encrypt(rng, NOW, b"hello").unwrap());
    assert_eq!(
        bob.accept(&bob.party, &message).unwrap_err(),
        HandshakeError::SameDevice
    );
}

#[test]
fn a_key_pair_that_is_not_ours_is_refused() {
    let rng = &mut rng(13);
    let (alice, bob) = alice_and_bob(rng);
    let other = IdentityKeyPair::generate(rng);
    let begun = Session::initiate(rng, NOW, &other, &alice.party, &bob.party, &bob.bundle());
    assert_eq!(begun.unwrap_err(), HandshakeError::NotOurKey);
    let mut alices =
        Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
    let message = initial(&alices.encrypt(rng, NOW, b"hello").unwrap());
    let accepted = Session::accept(
        NOW,
        &other,
        &bob.party,
        &alice.party,
        &bob.prekeys(&message),
        &message,
    );
    assert_eq!(accepted.unwrap_err(), HandshakeError::NotOurKey);
}

/// A point of order four: canonical, and it contributes nothing.
fn point_of_small_order() -> X25519Key {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    X25519Key::from_slice(&bytes).unwrap()
}

#[test]
fn a_one_time_prekey_that_contributes_nothing_is_refused() {
    let rng = &mut rng(14);
    let (alice, bob) = alice_and_bob(rng);
    let bundle = PrekeyBundle {
        one_time_prekey: Some(OneTimePrekey {
            id: 22,
            key: point_of_small_order(),
        }),
        ..bob.bundle()
    };
    let refused = Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, &bundle);
    assert_eq!(refused.unwrap_err(), HandshakeError::Refused);
}

#[test]
fn a_signed_prekey_that_contributes_nothing_is_refused() {
    let rng = &mut rng(15);
    let (alice, bob) = alice_and_bob(rng);
    let mut prekey = *bob.signed_prekey.statement().claimed();
    prekey.key = point_of_small_order();
    let statement = bob.identity.sign_prekey(prekey).unwrap();
    let bundle = PrekeyBundle {
        signed_prekey: statement.verify(&bob.party.identity_key).unwrap(),
        ..bob.bundle_of_last_resort()
    };
    let refused = Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, &bundle);
    assert_eq!(refused.unwrap_err(), HandshakeError::Refused);
}

#[test]
fn an_initial_message_whose_keys_contribute_nothing_is_refused() {
    let rng = &mut rng(16);
    let (alice, bob) = alice_and_bob(rng);
    let mut alices =
        Session::initiate(rng, NOW, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
    let bytes = alices.encrypt(rng, NOW, b"hello").unwrap();
    // The ephemeral key, then the ratchet key.
    for position in [12, 2 + HANDSHAKE_LEN] {
        let mut forged = bytes.clone();
        forged[position..position + 32].copy_from_slice(point_of_small_order().as_bytes());
        assert_eq!(
            bob.accept(&alice.party, &initial(&forged)).unwrap_err(),
            HandshakeError::Refused
        );
    }
}
