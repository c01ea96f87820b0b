//! The bytes of signed statements, written out by hand as the specification lays them down.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{NOW, rng};
use sottovoce_crypto::statements::{
    AccountDeletion, Address, AuthChallenge, DeviceBinding, DeviceId, DeviceManifest, ManifestDevice,
    ServerName, Signed, SignedPrekey, Statement, StatementError, X25519Key,
};
use sottovoce_crypto::{AccountKeyPair, IdentityKeyPair};

struct Keys {
    account: AccountKeyPair,
    identity: IdentityKeyPair,
}

fn keys() -> Keys {
    let rng = &mut rng(1);
    Keys {
        account: AccountKeyPair::generate(rng),
        identity: IdentityKeyPair::generate(rng),
    }
}

const DEVICE: DeviceId = DeviceId::from_bytes([0xa1; 16]);

fn address() -> Address {
    Address::parse("a@b.c").unwrap()
}

fn manifest(keys: &Keys) -> DeviceManifest {
    DeviceManifest {
        address: address(),
        version: 1,
        previous: [0; 32],
        devices: vec![ManifestDevice {
            device_id: DEVICE,
            identity_key: keys.identity.public(),
        }],
    }
}

fn binding(keys: &Keys) -> DeviceBinding {
    DeviceBinding {
        account_key: keys.account.public(),
        address: address(),
        device_id: DEVICE,
    }
}

fn prekey() -> SignedPrekey {
    SignedPrekey {
        device_id: DEVICE,
        id: 11,
        key: X25519Key::from_slice(&[9; 32]).unwrap(),
        created_at_ms: NOW,
    }
}

fn challenge() -> AuthChallenge {
    AuthChallenge {
        server: ServerName::parse("b.c:443").unwrap(),
        device_id: DEVICE,
        nonce: vec![1, 2, 3],
        expires_at_ms: NOW,
    }
}

fn deletion() -> AccountDeletion {
    AccountDeletion(challenge())
}

#[test]
fn statements_have_these_bytes() {
    let keys = keys();
    let account_key = *keys.account.public().as_bytes();
    let identity_key = *keys.identity.public().as_bytes();
    let now = NOW.to_be_bytes();

    let signed = keys.account.sign_manifest(manifest(&keys)).unwrap();
    let version = 1_u64.to_be_bytes();
    let expected: &[&[u8]] = &[
        b"Sottovoce-v1\x01\x01\x05a@b.c",
        &version,
        &[0; 32],
        &[1],
        &[0xa1; 16],
        &[1],
        &identity_key,
    ];
    assert_eq!(signed.statement_bytes(), expected.concat());

    let signed = keys.identity.sign_binding(binding(&keys)).unwrap();
    let expected: &[&[u8]] = &[
        b"Sottovoce-v1\x02\x02\x01",
        &account_key,
        b"\x05a@b.c",
        &[0xa1; 16],
    ];
    assert_eq!(signed.statement_bytes(), expected.concat());

    let signed = keys.identity.sign_prekey(prekey()).unwrap();
    let expected: &[&[u8]] = &[
        b"Sottovoce-v1\x03\x02",
        &[0xa1; 16],
        &[0, 0, 0, 11, 2],
        &[9; 32],
        &now,
    ];
    assert_eq!(signed.statement_bytes(), expected.concat());

    let signed = keys.identity.sign_challenge(challenge()).unwrap();
    let expected: &[&[u8]] = &[
        b"Sottovoce-v1\x04\x02\x07b.c:443",
        &[0xa1; 16],
        &[3, 1, 2, 3],
        &now,
    ];
    assert_eq!(signed.statement_bytes(), expected.concat());

    let signed = keys.identity.sign_deletion(deletion()).unwrap();
    let expected: &[&[u8]] = &[
        b"Sottovoce-v1\x07\x02\x07b.c:443",
        &[0xa1; 16],
        &[3, 1, 2, 3],
        &now,
    ];
    assert_eq!(signed.statement_bytes(), expected.concat());
}

/// Every shorter, longer and differently headed form of a statement is refused.
fn check_strict<S: Statement + std::fmt::Debug>(signed: &Signed<S>) {
    let (bytes, signature) = (signed.statement_bytes(), signed.signature_bytes());
    assert!(Signed::<S>::from_parts(bytes, signature).is_ok());
    for length in 0..bytes.len() {
        assert!(Signed::<S>::from_parts(&bytes[..length], signature).is_err());
    }
    let longer = [bytes, &[0]].concat();
    assert_eq!(
        Signed::<S>::from_parts(&longer, signature).unwrap_err(),
        StatementError::TrailingBytes
    );
    for position in 0..14 {
        let mut changed = bytes.to_vec();
        changed[position] ^= 0x40;
        assert_eq!(
            Signed::<S>::from_parts(&changed, signature).unwrap_err(),
            StatementError::Header
        );
    }
    assert_eq!(
        Signed::<S>::from_parts(bytes, &signature[..63]).unwrap_err(),
        StatementError::SignatureLength
    );
    assert_eq!(
        Signed::<S>::from_parts(&vec![0; 1_537], signature).unwrap_err(),
        StatementError::TooLong
    );
}

#[test]
fn a_statement_of_any_other_form_is_refused() {
    let keys = keys();
    check_strict(&keys.account.sign_manifest(manifest(&keys)).unwrap());
    check_strict(&keys.identity.sign_binding(binding(&keys)).unwrap());
    check_strict(&keys.identity.sign_prekey(prekey()).unwrap());
    check_strict(&keys.identity.sign_challenge(challenge()).unwrap());
    check_strict(&keys.identity.sign_deletion(deletion()).unwrap());
}

#[test]
fn a_statement_serves_one_purpose() {
    let keys = keys();
    let entering = keys.identity.sign_challenge(challenge()).unwrap();
    let deleting = keys.identity.sign_deletion(deletion()).unwrap();
    let (bytes, signature) = (entering.statement_bytes(), entering.signature_bytes());
    let refused = Signed::<AccountDeletion>::from_parts(bytes, signature).unwrap_err();
    assert_eq!(refused, StatementError::Header);
    let (bytes, signature) = (deleting.statement_bytes(), deleting.signature_bytes());
    let refused = Signed::<AuthChallenge>::from_parts(bytes, signature).unwrap_err();
    assert_eq!(refused, StatementError::Header);
    let signed = keys.identity.sign_prekey(prekey()).unwrap();
    let (bytes, signature) = (signed.statement_bytes(), signed.signature_bytes());
    let header = StatementError::Header;
    assert_eq!(
        Signed::<DeviceBinding>::from_parts(bytes, signature).unwrap_err(),
        header
    );
    assert_eq!(
        Signed::<AuthChallenge>::from_parts(bytes, signature).unwrap_err(),
        header
    );
    assert_eq!(
        Signed::<DeviceManifest>::from_parts(bytes, signature).unwrap_err(),
        header
    );
}

#[test]
fn a_statement_verifies_under_its_signers_key_only() {
    let keys = keys();
    let other = IdentityKeyPair::generate(&mut rng(2)).public();
    let signed = keys.identity.sign_prekey(prekey()).unwrap();
    assert!(signed.clone().verify(&other).is_err());
    for position in 14..signed.statement_bytes().len() {
        let mut changed = signed.statement_bytes().to_vec();
        changed[position] ^= 1;
        // Some changes do not parse; those that do, do not verify.
        if let Ok(forged) = Signed::<SignedPrekey>::from_parts(&changed, signed.signature_bytes()) {
            assert!(forged.verify(&keys.identity.public()).is_err(), "byte {position}");
        }
    }
    assert!(signed.verify(&keys.identity.public()).is_ok());
}

#[test]
fn a_manifest_that_breaks_its_rules_is_refused() {
    let keys = keys();
    let good = manifest(&keys);
    let sign = |change: &dyn Fn(&mut DeviceManifest)| {
        let mut changed = good.clone();
        change(&mut changed);
        keys.account.sign_manifest(changed).map(|_| ())
    };
    let second = |id: u8, identity: &IdentityKeyPair| ManifestDevice {
        device_id: DeviceId::from_bytes([id; 16]),
        identity_key: identity.public(),
    };
    let other = IdentityKeyPair::generate(&mut rng(2));
    let (range, order) = (Err(StatementError::FieldRange), Err(StatementError::DeviceOrder));
    assert_eq!(sign(&|m| m.version = 0), range);
    assert_eq!(
        sign(&|m| m.version = 2),
        range,
        "a later version names the one before"
    );
    assert_eq!(
        sign(&|m| m.previous = [1; 32]),
        range,
        "the first version names none"
    );
    assert_eq!(sign(&|m| m.devices.clear()), range);
    assert_eq!(sign(&|m| m.devices.push(second(0xa0, &other))), order);
    assert_eq!(sign(&|m| m.devices.push(second(0xa1, &other))), order);
    assert_eq!(sign(&|m| m.devices.push(second(0xa2, &keys.identity))), order);
    assert_eq!(sign(&|m| m.devices.push(second(0xa2, &other))), Ok(()));
    let many = |m: &mut DeviceManifest| {
        m.devices = (0..17)
            .map(|id| second(id, &IdentityKeyPair::generate(&mut rng(id))))
            .collect();
    };
    assert_eq!(sign(&many), range);
    assert_eq!(
        sign(&|m| {
            many(m);
            m.devices.pop();
        }),
        Ok(())
    );
}

#[test]
fn numbers_and_nonces_out_of_range_are_refused() {
    let keys = keys();
    let range = StatementError::FieldRange;
    let numbered = |id| {
        keys.identity
            .sign_prekey(SignedPrekey { id, ..prekey() })
            .map(|_| ())
    };
    assert_eq!(numbered(0), Err(range));
    assert_eq!(numbered(u32::MAX), Ok(()));
    let with_nonce = |length| {
        let nonce = vec![7; length];
        keys.identity
            .sign_challenge(AuthChallenge { nonce, ..challenge() })
            .map(|_| ())
    };
    assert_eq!(with_nonce(0), Err(range));
    assert_eq!(with_nonce(64), Ok(()));
    assert_eq!(with_nonce(65), Err(range));

    // Nor are they read.
    let signed = keys.identity.sign_prekey(prekey()).unwrap();
    let mut bytes = signed.statement_bytes().to_vec();
    bytes[14 + 16..14 + 20].fill(0);
    let read = Signed::<SignedPrekey>::from_parts(&bytes, signed.signature_bytes());
    assert_eq!(read.unwrap_err(), range);
}
