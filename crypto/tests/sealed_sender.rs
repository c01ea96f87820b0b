//! Sealed envelopes from the outside: who can open them, what they give away, and when they are believed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{
    AccountKeyPair, ConfirmError, ENVELOPE_OVERHEAD, EnvelopeDecodeError, EnvelopeOpenError,
    EnvelopeSealError, EnvelopeSender, IdentityKeyPair, MAX_SEALED_MESSAGE_LEN, OneTimePrekeyPair, Party,
    SealedEnvelope, Session, SessionMessage, SignedPrekeyPair, X3dhPrekeyBundle, X3dhPrekeys, seal_envelope,
};

const NOW: u64 = 1_800_000_000_000;

struct Device {
    party: Party,
    identity: IdentityKeyPair,
}

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn device(seed: u8, address: &str) -> Device {
    let identity = IdentityKeyPair::from_secret_bytes(&[seed; 32]).unwrap();
    let account = AccountKeyPair::from_secret_bytes(&[seed ^ 0x80; 32]).unwrap();
    let party = Party {
        address: Address::parse(address).unwrap(),
        device_id: DeviceId::from_bytes([seed; 16]),
        account_key: account.public(),
        identity_key: identity.public(),
    };
    Device { party, identity }
}

fn alice() -> Device {
    device(0x0a, "alice@one.example")
}

fn bob() -> Device {
    device(0x0b, "bob@two.example")
}

fn sender(device: &Device) -> EnvelopeSender {
    EnvelopeSender {
        address: device.party.address.clone(),
        device_id: device.party.device_id,
        manifest_version: 3,
        manifest_hash: [0x3c; 32],
    }
}

fn seal(seed: u8, message: &[u8]) -> Vec<u8> {
    seal_envelope(&mut rng(seed), &sender(&alice()), &bob().party, message).unwrap()
}

fn refused(device: &Device, bytes: &[u8]) {
    if let Ok(envelope) = SealedEnvelope::decode(bytes) {
        let opened = envelope.open(&device.identity, &device.party);
        assert_eq!(opened.unwrap_err(), EnvelopeOpenError::Refused);
    }
}

#[test]
fn the_recipient_learns_who_claims_to_have_sent_what() {
    let bytes = seal(1, b"a session message");
    let envelope = SealedEnvelope::decode(&bytes).unwrap();
    assert_eq!(envelope.encode(), bytes);
    let opened = envelope.open(&bob().identity, &bob().party).unwrap();
    assert_eq!(opened.sender().claimed(), &sender(&alice()));
    assert_eq!(opened.message(), b"a session message");
}

#[test]
fn the_bytes_of_an_envelope_do_not_change() {
    let bytes = seal(7, b"a session message");
    assert_eq!(
        hex::encode(&bytes[..33]),
        "0118b7279e7599928f72e167111e89af25fbdff045bd6faa83425ab2d1468c8b67"
    );
    assert_eq!(
        hex::encode(Sha256::digest(&bytes)),
        "d0e13bda86a28a0f40892b23e2fdd59e07684667efebda954d5f15c3e49551ce"
    );
}

#[test]
fn an_envelope_opens_for_its_recipient_only() {
    let bytes = seal(2, b"words");
    let bob = bob();
    refused(&alice(), &bytes);
    let as_other = |change: fn(&mut Party)| {
        let mut party = bob.party.clone();
        change(&mut party);
        let envelope = SealedEnvelope::decode(&bytes).unwrap();
        envelope.open(&bob.identity, &party).map(|_| ())
    };
    assert_eq!(as_other(|_| ()), Ok(()));
    let elsewhere = as_other(|party| party.address = Address::parse("bob@three.example").unwrap());
    assert_eq!(elsewhere, Err(EnvelopeOpenError::Refused));
    let other_device = as_other(|party| party.device_id = DeviceId::from_bytes([1; 16]));
    assert_eq!(other_device, Err(EnvelopeOpenError::Refused));
    let not_ours = as_other(|party| party.identity_key = alice().party.identity_key);
    assert_eq!(not_ours, Err(EnvelopeOpenError::NotOurKey));
}

#[test]
fn every_bit_of_an_envelope_is_authenticated() {
    let bytes = seal(3, b"words");
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << bit;
            refused(&bob(), &damaged);
        }
        refused(&bob(), &bytes[..position]);
    }
    refused(&bob(), &[bytes.as_slice(), &[0]].concat());
}

#[test]
fn an_envelope_of_any_other_form_is_malformed() {
    let bytes = seal(4, b"");
    assert_eq!(bytes.len(), ENVELOPE_OVERHEAD, "the shortest there is");
    assert_eq!(ENVELOPE_OVERHEAD, 267);
    let malformed = Err(EnvelopeDecodeError::Malformed);
    for length in 0..bytes.len() {
        assert_eq!(SealedEnvelope::decode(&bytes[..length]), malformed);
    }
    let with = |position: usize, field: &[u8]| {
        let mut changed = bytes.clone();
        changed[position..position + field.len()].copy_from_slice(field);
        SealedEnvelope::decode(&changed)
    };
    for version in [0, 2, 0xff] {
        assert_eq!(with(0, &[version]), Err(EnvelopeDecodeError::UnsupportedVersion));
    }
    assert_eq!(with(1, &[0xff; 32]), malformed, "an unreduced key");
    assert_eq!(with(1, &[0; 32]), malformed, "a zero key");
    let longest = [bytes.as_slice(), &[0; MAX_SEALED_MESSAGE_LEN]].concat();
    assert!(SealedEnvelope::decode(&longest).is_ok());
    assert_eq!(SealedEnvelope::decode(&[longest, vec![0]].concat()), malformed);
}

#[test]
fn an_ephemeral_key_that_contributes_nothing_is_refused() {
    // The u-coordinates of small order that are keys at all.
    for point in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ] {
        let mut bytes = seal(5, b"words");
        bytes[1..33].copy_from_slice(&hex::decode(point).unwrap());
        assert!(SealedEnvelope::decode(&bytes).is_ok());
        refused(&bob(), &bytes);
    }
}

#[test]
fn a_sender_on_no_manifest_and_a_message_over_the_limit_are_refused() {
    let nobody = EnvelopeSender {
        manifest_version: 0,
        ..sender(&alice())
    };
    let sealed = seal_envelope(&mut rng(6), &nobody, &bob().party, b"words");
    assert_eq!(sealed, Err(EnvelopeSealError::NoManifest));
    let seal = |length: usize| seal_envelope(&mut rng(6), &sender(&alice()), &bob().party, &vec![0; length]);
    assert_eq!(seal(MAX_SEALED_MESSAGE_LEN + 1), Err(EnvelopeSealError::TooLong));
    let longest = SealedEnvelope::decode(&seal(MAX_SEALED_MESSAGE_LEN).unwrap()).unwrap();
    let opened = longest.open(&bob().identity, &bob().party).unwrap();
    assert_eq!(opened.message().len(), MAX_SEALED_MESSAGE_LEN);
}

#[test]
fn two_envelopes_have_nothing_in_common() {
    let rng = &mut rng(8);
    let mut seal = || seal_envelope(rng, &sender(&alice()), &bob().party, b"words").unwrap();
    let (one, two) = (seal(), seal());
    let equal = one.iter().zip(&two).skip(1).filter(|(a, b)| a == b).count();
    // A 256th of 271 bytes by chance.
    assert!(equal < 20, "{equal} bytes are equal");
}

#[test]
fn an_envelope_says_nothing_of_its_sender_by_its_length() {
    let longest = format!("{}@{}.{}", "a".repeat(32), "b".repeat(63), "c".repeat(64));
    assert_eq!(longest.len(), 161);
    for address in ["a@b", "alice@one.example:65535", &longest] {
        let device = device(9, address);
        let bytes = seal_envelope(&mut rng(9), &sender(&device), &bob().party, b"words").unwrap();
        assert_eq!(bytes.len(), ENVELOPE_OVERHEAD + 5);
        let opened = SealedEnvelope::decode(&bytes)
            .unwrap()
            .open(&bob().identity, &bob().party);
        assert_eq!(opened.unwrap().sender().claimed().address.as_str(), address);
    }
}

/// Bob's prekeys, and a session that Alice began with them.
fn begun() -> (SignedPrekeyPair, OneTimePrekeyPair, Session) {
    let rng = &mut rng(10);
    let (alice, bob) = (alice(), bob());
    let signed_prekey = SignedPrekeyPair::generate(rng, &bob.identity, bob.party.device_id, 1, NOW).unwrap();
    let one_time_prekey = OneTimePrekeyPair::generate(rng, 1);
    let statement = signed_prekey.statement().clone();
    let bundle = X3dhPrekeyBundle {
        signed_prekey: statement.verify(&bob.party.identity_key).unwrap(),
        one_time_prekey: Some(one_time_prekey.public()),
    };
    let session =
        Session::initiate_x3dh(rng, NOW, &alice.identity, &alice.party, &bob.party, &bundle).unwrap();
    (signed_prekey, one_time_prekey, session)
}

#[test]
fn sealed_envelopes_come_in_buckets() {
    let rng = &mut rng(11);
    let (_, _, mut session) = begun();
    let mut sealed_len = |length: usize| {
        let message = session.encrypt(rng, NOW, &vec![b'x'; length]).unwrap();
        seal_envelope(rng, &sender(&alice()), &bob().party, &message)
            .unwrap()
            .len()
    };
    let shortest = sealed_len(0);
    for (length, bucket) in [(1, 256), (256, 256), (257, 512), (5_000, 8_192), (65_536, 65_536)] {
        assert_eq!(sealed_len(length), shortest - 256 + bucket, "{length} bytes");
    }
}

#[test]
fn a_claimed_sender_is_confirmed_by_a_message_of_its_session_only() {
    let rng = &mut rng(12);
    let (signed_prekey, one_time_prekey, mut alices) = begun();
    let (alice, bob, carol) = (alice(), bob(), device(0x0c, "carol@one.example"));
    let message = alices.encrypt(rng, NOW, b"it is me").unwrap();
    let open = |sender: &EnvelopeSender| {
        let bytes = seal_envelope(&mut crate::rng(13), sender, &bob.party, &message).unwrap();
        SealedEnvelope::decode(&bytes)
            .unwrap()
            .open(&bob.identity, &bob.party)
            .unwrap()
    };
    let prekeys = X3dhPrekeys {
        signed_prekey: &signed_prekey,
        one_time_prekey: Some(&one_time_prekey),
    };
    let accept = |them: &Party, message: &[u8]| {
        let SessionMessage::Initial(initial) = SessionMessage::decode(message).unwrap() else {
            panic!("not an initial message");
        };
        Session::accept_x3dh(NOW, &bob.identity, &bob.party, them, &prekeys, &initial)
    };

    // Carol claims Alice's message as hers.
    let opened = open(&sender(&carol));
    assert!(opened.sender().is(&carol.party) && !opened.sender().is(&alice.party));
    let confirmed = opened.confirm(&carol.party, |message| accept(&carol.party, message).map(|_| ()));
    assert!(matches!(confirmed, Err(ConfirmError::Undecryptable(_))));
    // Bob confirms nobody but whom the envelope claims.
    let other = opened.confirm(&alice.party, |_| -> Result<(), ()> { panic!("not to be tried") });
    assert_eq!(other.unwrap_err(), ConfirmError::OtherSender);

    let opened = open(&sender(&alice));
    let (confirmed, (_, decrypted)) = opened
        .confirm(&alice.party, |message| accept(&alice.party, message))
        .unwrap();
    assert_eq!(confirmed.party(), &alice.party);
    assert_eq!(decrypted.plaintext.as_slice(), b"it is me");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_sealed_in_an_envelope_comes_out_of_it(
        message in proptest::collection::vec(any::<u8>(), 0..2_000),
        seed: u8,
        manifest_version in 1..=u64::MAX,
        manifest_hash: [u8; 32],
        position: proptest::sample::Index,
        mask in 1..=u8::MAX,
    ) {
        let bob = bob();
        let sender = EnvelopeSender { manifest_version, manifest_hash, ..sender(&alice()) };
        let bytes = seal_envelope(&mut rng(seed), &sender, &bob.party, &message).unwrap();
        let again = seal_envelope(&mut rng(seed), &sender, &bob.party, &message).unwrap();
        prop_assert_eq!(&bytes, &again, "nothing but the generator's draw is random");
        let opened = SealedEnvelope::decode(&bytes).unwrap().open(&bob.identity, &bob.party).unwrap();
        prop_assert_eq!(opened.sender().claimed(), &sender);
        prop_assert_eq!(opened.message(), &message);
        let mut damaged = bytes.clone();
        damaged[position.index(bytes.len())] ^= mask;
        refused(&bob, &damaged);
    }

    #[test]
    fn no_bytes_make_opening_an_envelope_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for bytes in [bytes.clone(), [&[1], bytes.as_slice()].concat()] {
            if let Ok(envelope) = SealedEnvelope::decode(&bytes) {
                prop_assert_eq!(envelope.encode(), bytes.as_slice());
            }
            refused(&bob(), &bytes);
        }
    }
}
