//! Statements from outside: one encoding each, one purpose each, and no bit of them to spare.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use sottovoce_statements::{
    AccountDeletion, AccountKey, Address, AuthChallenge, DeviceBinding, DeviceId, DeviceManifest,
    IdentityKey, MAX_DEVICES, MAX_STATEMENT_LEN, ManifestDevice, ServerName, Signed, SignedPrekey, Statement,
    StatementError, X25519Key,
};

fn signer(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn identity(seed: u8) -> IdentityKey {
    IdentityKey::from_slice(signer(seed).verifying_key().as_bytes()).expect("a public key")
}

fn account(seed: u8) -> AccountKey {
    AccountKey::from_slice(signer(seed).verifying_key().as_bytes()).expect("a public key")
}

fn sign<S: Statement>(statement: S, seed: u8) -> Signed<S> {
    Signed::sign_with(statement, |bytes| signer(seed).sign(bytes).to_bytes()).expect("it can be encoded")
}

fn alice() -> Address {
    Address::parse("alice@chat.example").expect("a valid address")
}

fn manifest(devices: &[(u8, u8)]) -> DeviceManifest {
    let devices = devices
        .iter()
        .map(|(id, key)| ManifestDevice {
            device_id: DeviceId::from_bytes([*id; 16]),
            identity_key: identity(*key),
        })
        .collect();
    DeviceManifest {
        address: alice(),
        version: 1,
        previous: [0; 32],
        devices,
    }
}

fn binding() -> DeviceBinding {
    DeviceBinding {
        account_key: account(1),
        address: alice(),
        device_id: DeviceId::from_bytes([2; 16]),
    }
}

fn prekey() -> SignedPrekey {
    SignedPrekey {
        device_id: DeviceId::from_bytes([2; 16]),
        id: 7,
        key: X25519Key::from_slice(&[9; 32]).expect("a public key"),
        created_at_ms: 1_800_000_000_000,
    }
}

fn challenge() -> AuthChallenge {
    AuthChallenge {
        server: ServerName::parse("chat.example").expect("a valid name"),
        device_id: DeviceId::from_bytes([2; 16]),
        nonce: vec![3; 40],
        expires_at_ms: 1_800_000_000_000,
    }
}

/// Everything that must hold of every kind of statement.
fn holds_for<S: Statement + Clone + PartialEq + core::fmt::Debug>(statement: &S, key: &S::Signer, seed: u8) {
    let signed = sign(statement.clone(), seed);
    let (bytes, signature) = (signed.statement_bytes().to_vec(), *signed.signature_bytes());

    let arrived = Signed::<S>::from_parts(&bytes, &signature).expect("it was just written");
    assert_eq!(arrived.claimed(), statement);
    assert_eq!(*arrived.verify(key).expect("it was just signed"), *statement);

    for cut in 0..bytes.len() {
        assert!(
            Signed::<S>::from_parts(&bytes[..cut], &signature).is_err(),
            "cut at {cut}"
        );
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(
        Signed::<S>::from_parts(&longer, &signature).expect_err("longer"),
        StatementError::TrailingBytes
    );
    for short in [&signature[..63], &[]] {
        assert_eq!(
            Signed::<S>::from_parts(&bytes, short).expect_err("a short signature"),
            StatementError::SignatureLength
        );
    }
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        let believed = Signed::<S>::from_parts(&flipped, &signature).is_ok_and(|s| s.verify(key).is_ok());
        assert!(!believed, "a flipped bit in byte {position} was believed");
    }
    for position in 0..signature.len() {
        let mut flipped = signature;
        flipped[position] ^= 1;
        let arrived = Signed::<S>::from_parts(&bytes, &flipped).expect("the statement is whole");
        assert!(
            arrived.verify(key).is_err(),
            "a flipped bit in signature byte {position} was believed"
        );
    }
}

#[test]
fn no_bit_of_a_statement_can_change() {
    holds_for(&manifest(&[(1, 2), (2, 3)]), &account(1), 1);
    holds_for(&binding(), &identity(2), 2);
    holds_for(&prekey(), &identity(2), 2);
    holds_for(&challenge(), &identity(2), 2);
    holds_for(&AccountDeletion(challenge()), &identity(2), 2);
}

#[test]
fn a_statement_serves_its_own_purpose_only() {
    let signed = sign(binding(), 2);
    let (bytes, signature) = (signed.statement_bytes(), signed.signature_bytes());
    let wrong = StatementError::Header;
    assert_eq!(
        Signed::<DeviceManifest>::from_parts(bytes, signature).expect_err("a binding"),
        wrong
    );
    assert_eq!(
        Signed::<SignedPrekey>::from_parts(bytes, signature).expect_err("a binding"),
        wrong
    );
    assert_eq!(
        Signed::<AuthChallenge>::from_parts(bytes, signature).expect_err("a binding"),
        wrong
    );
}

#[test]
fn signing_in_and_deleting_are_two_purposes_of_one_challenge() {
    let (entering, deleting) = (sign(challenge(), 2), sign(AccountDeletion(challenge()), 2));
    let (bytes, signature) = (entering.statement_bytes(), entering.signature_bytes());
    let refused = Signed::<AccountDeletion>::from_parts(bytes, signature);
    assert_eq!(refused.expect_err("it lets in"), StatementError::Header);
    let (bytes, signature) = (deleting.statement_bytes(), deleting.signature_bytes());
    let refused = Signed::<AuthChallenge>::from_parts(bytes, signature);
    assert_eq!(refused.expect_err("it deletes"), StatementError::Header);
    // Nor does the signature serve for the bytes of the other.
    let forged = Signed::<AuthChallenge>::from_parts(entering.statement_bytes(), signature);
    assert!(forged.expect("its form is good").verify(&identity(2)).is_err());
}

#[test]
fn another_key_does_not_verify() {
    assert!(sign(binding(), 2).verify(&identity(3)).is_err());
    assert!(sign(manifest(&[(1, 2)]), 1).verify(&account(2)).is_err());
}

#[test]
fn a_manifest_has_one_order_and_no_doubles() {
    let refused = |manifest: DeviceManifest| {
        Signed::sign_with(manifest, |_| [0; 64]).expect_err("such a manifest cannot be written")
    };
    assert_eq!(refused(manifest(&[(2, 2), (1, 3)])), StatementError::DeviceOrder);
    assert_eq!(refused(manifest(&[(1, 2), (1, 3)])), StatementError::DeviceOrder);
    assert_eq!(refused(manifest(&[(1, 2), (2, 2)])), StatementError::DeviceOrder);
    assert_eq!(refused(manifest(&[])), StatementError::FieldRange);
    assert_eq!(
        refused(DeviceManifest {
            version: 0,
            ..manifest(&[(1, 2)])
        }),
        StatementError::FieldRange
    );
    assert_eq!(
        refused(DeviceManifest {
            version: 2,
            ..manifest(&[(1, 2)])
        }),
        StatementError::FieldRange
    );
    assert_eq!(
        refused(DeviceManifest {
            previous: [1; 32],
            ..manifest(&[(1, 2)])
        }),
        StatementError::FieldRange
    );
}

#[test]
fn the_largest_manifest_fits_and_a_larger_one_does_not() {
    let devices = |count: u8| (1..=count).map(|n| (n, n)).collect::<Vec<_>>();
    let most = u8::try_from(MAX_DEVICES).expect("few");
    let mut largest = manifest(&devices(most));
    let name = format!(
        "{}@{}",
        "a".repeat(32),
        ["b".repeat(63), "c".repeat(64)].join(".")
    );
    largest.address = Address::parse(&name).expect("the longest address");
    assert!(sign(largest, 1).statement_bytes().len() <= MAX_STATEMENT_LEN);
    let refused = Signed::sign_with(manifest(&devices(most + 1)), |_| [0; 64]);
    assert_eq!(refused.expect_err("too many devices"), StatementError::FieldRange);
    let refused = Signed::<DeviceManifest>::from_parts(&[0; MAX_STATEMENT_LEN + 1], &[0; 64]);
    assert_eq!(refused.expect_err("too long"), StatementError::TooLong);
}

#[test]
fn a_zero_prekey_id_and_an_empty_nonce_are_refused() {
    let refused = Signed::sign_with(SignedPrekey { id: 0, ..prekey() }, |_| [0; 64]);
    assert_eq!(refused.expect_err("id zero"), StatementError::FieldRange);
    for nonce in [vec![], vec![0; 65]] {
        let refused = Signed::sign_with(AuthChallenge { nonce, ..challenge() }, |_| [0; 64]);
        assert_eq!(
            refused.expect_err("a nonce out of range"),
            StatementError::FieldRange
        );
    }
}

/// The bytes are the protocol: whoever changes them makes another one.
#[test]
fn the_bytes_are_these() {
    let hex = |bytes: &[u8]| hex::encode(bytes);
    let header = hex(b"Sottovoce-v1");
    let address = format!("12{}", hex(b"alice@chat.example"));
    let (one, two) = (
        hex(signer(1).verifying_key().as_bytes()),
        hex(signer(2).verifying_key().as_bytes()),
    );
    let (zeros, id) = ("00".repeat(32), "02".repeat(16));

    let manifest = sign(manifest(&[(2, 2)]), 1);
    let expected = format!("{header}0101{address}0000000000000001{zeros}01{id}01{two}");
    assert_eq!(hex(manifest.statement_bytes()), expected);
    let expected = format!("{header}020201{one}{address}{id}");
    assert_eq!(hex(sign(binding(), 2).statement_bytes()), expected);
    let expected = format!("{header}0302{id}0000000702{}000001a3185c5000", "09".repeat(32));
    assert_eq!(hex(sign(prekey(), 2).statement_bytes()), expected);
    let server = hex(b"chat.example");
    let expected = format!("{header}04020c{server}{id}28{}000001a3185c5000", "03".repeat(40));
    assert_eq!(hex(sign(challenge(), 2).statement_bytes()), expected);
    let expected = format!("{header}07020c{server}{id}28{}000001a3185c5000", "03".repeat(40));
    assert_eq!(
        hex(sign(AccountDeletion(challenge()), 2).statement_bytes()),
        expected
    );
}

/// Bytes that parse can only be the bytes that would have been written.
fn is_canonical<S: Statement + Clone>(bytes: &[u8]) -> bool {
    let Ok(signed) = Signed::<S>::from_parts(bytes, &[0; 64]) else {
        return true;
    };
    let again = Signed::sign_with(signed.claimed().clone(), |_| [0; 64]);
    again.is_ok_and(|again| again.statement_bytes() == bytes)
}

proptest! {
    #[test]
    fn whatever_parses_has_one_encoding(
        which in 0..5usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        tail in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = match which {
            0 => sign(manifest(&[(1, 2), (2, 3)]), 1).statement_bytes().to_vec(),
            1 => sign(binding(), 2).statement_bytes().to_vec(),
            2 => sign(prekey(), 2).statement_bytes().to_vec(),
            3 => sign(challenge(), 2).statement_bytes().to_vec(),
            _ => sign(AccountDeletion(challenge()), 2).statement_bytes().to_vec(),
        };
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        bytes.extend(tail);
        prop_assert!(is_canonical::<DeviceManifest>(&bytes));
        prop_assert!(is_canonical::<DeviceBinding>(&bytes));
        prop_assert!(is_canonical::<SignedPrekey>(&bytes));
        prop_assert!(is_canonical::<AuthChallenge>(&bytes));
        prop_assert!(is_canonical::<AccountDeletion>(&bytes));
    }
}
