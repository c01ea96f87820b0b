//! Handshakes that must not come about: wrong suites, wrong prekeys, wrong keys, keys that add nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{Device, NOW, alice_and_bob, begun, initial, rng};
use sottovoce_crypto::statements::{DeviceId, X25519Key};
use sottovoce_crypto::{
    DecodeError, HandshakeError, IdentityKeyPair, OneTimePrekey, OneTimePrekeyPair, Party, PrekeyBundle,
    Session, SessionMessage, SignedPrekeyPair, Suite,
};

#[test]
fn another_suite_is_refused_and_nothing_falls_back() {
    let rng = &mut rng(5);
    let (mut alices, _) = begun(rng);
    let message = alices.encrypt(rng, b"hello").unwrap();
    for suite in (0..=u8::MAX).filter(|&suite| suite != Suite::X3dh.byte()) {
        let mut other = message.clone();
        other[2] = suite;
        assert_eq!(SessionMessage::decode(&other), Err(DecodeError::UnsupportedSuite));
    }
}

#[test]
fn a_prekey_that_is_not_the_peers_is_refused() {
    let rng = &mut rng(8);
    let (alice, bob) = alice_and_bob(rng);
    let carol = Device::new(rng, "carol@one.example", 0xca);
    let begin = |rng: &mut _, bundle: &PrekeyBundle| {
        Session::initiate(rng, &alice.identity, &alice.party, &bob.party, bundle).map(|_| ())
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
            one_time_prekey: None,
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

    let attempt = |message: &_, signed: &_, one_time: Option<&_>| {
        Session::accept(
            NOW,
            &bob.identity,
            &bob.party,
            &alice.party,
            signed,
            one_time,
            message,
        )
        .map(|_| ())
    };
    for bundle in [bob.bundle(), bob.bundle_without_one_time_prekey()] {
        let mut alices = Session::initiate(rng, &alice.identity, &alice.party, &bob.party, &bundle).unwrap();
        let message = &initial(&alices.encrypt(rng, b"hello").unwrap());
        let named = bundle.one_time_prekey.map(|_| &bob.one_time_prekey);
        let not_named = match named {
            Some(_) => None,
            None => Some(&bob.one_time_prekey),
        };
        let others = Err(HandshakeError::OtherPrekeys);
        assert_eq!(attempt(message, &other_signed, named), others);
        assert_eq!(attempt(message, &foreign_signed, named), others);
        assert_eq!(attempt(message, &bob.signed_prekey, not_named), others);
        assert_eq!(
            attempt(message, &bob.signed_prekey, Some(&other_one_time)),
            others
        );
        assert_eq!(attempt(message, &bob.signed_prekey, named), Ok(()));
    }
}

#[test]
fn prekeys_of_the_same_number_and_another_secret_are_refused() {
    let rng = &mut rng(10);
    let (alice, bob) = alice_and_bob(rng);
    let mut alices =
        Session::initiate(rng, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
    let message = initial(&alices.encrypt(rng, b"hello").unwrap());
    let signed = SignedPrekeyPair::generate(rng, &bob.identity, bob.party.device_id, 11, NOW).unwrap();
    let one_time = OneTimePrekeyPair::generate(rng, 22);
    for (signed, one_time) in [(&signed, &bob.one_time_prekey), (&bob.signed_prekey, &one_time)] {
        let refused = Session::accept(
            NOW,
            &bob.identity,
            &bob.party,
            &alice.party,
            signed,
            Some(one_time),
            &message,
        );
        assert_eq!(refused.unwrap_err(), HandshakeError::Refused);
    }
}

#[test]
fn a_device_holds_no_session_with_itself() {
    let rng = &mut rng(11);
    let (alice, bob) = alice_and_bob(rng);
    let begin = |rng: &mut _, us: &Party, them: &Party, bundle: &_| {
        Session::initiate(rng, &alice.identity, us, them, bundle).map(|_| ())
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
        Session::initiate(rng, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
    let message = initial(&alices.encrypt(rng, b"hello").unwrap());
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
    let begun = Session::initiate(rng, &other, &alice.party, &bob.party, &bob.bundle());
    assert_eq!(begun.unwrap_err(), HandshakeError::NotOurKey);
    let mut alices =
        Session::initiate(rng, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
    let message = initial(&alices.encrypt(rng, b"hello").unwrap());
    let accepted = Session::accept(
        NOW,
        &other,
        &bob.party,
        &alice.party,
        &bob.signed_prekey,
        Some(&bob.one_time_prekey),
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
    let refused = Session::initiate(rng, &alice.identity, &alice.party, &bob.party, &bundle);
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
        one_time_prekey: None,
    };
    let refused = Session::initiate(rng, &alice.identity, &alice.party, &bob.party, &bundle);
    assert_eq!(refused.unwrap_err(), HandshakeError::Refused);
}

#[test]
fn an_initial_message_whose_keys_contribute_nothing_is_refused() {
    let rng = &mut rng(16);
    let (alice, bob) = alice_and_bob(rng);
    let mut alices =
        Session::initiate(rng, &alice.identity, &alice.party, &bob.party, &bob.bundle()).unwrap();
    let bytes = alices.encrypt(rng, b"hello").unwrap();
    // The ephemeral key, then the ratchet key.
    for position in [12, 44] {
        let mut forged = bytes.clone();
        forged[position..position + 32].copy_from_slice(point_of_small_order().as_bytes());
        assert_eq!(
            bob.accept(&alice.party, &initial(&forged)).unwrap_err(),
            HandshakeError::Refused
        );
    }
}
