//! The recovery blob and its code.

use proptest::prelude::*;
use sottovoce_crypto::{
    AccountMaterial, BackupCode, CodeError, RECOVERY_BLOB_LEN, RecoveryCode, RecoveryError,
};

use super::people::{account, alice, bob, device, first, manifest, rng};

fn material(devices: u8) -> AccountMaterial {
    let numbers: Vec<u8> = (1..=devices).collect();
    let manifest = manifest(&account(1), &alice(), 3, [3; 32], &numbers);
    AccountMaterial::new(account(1), manifest).unwrap()
}

#[test]
fn an_account_comes_back_under_its_code() {
    let code = RecoveryCode::generate(&mut rng(1));
    let blob = code.seal(&mut rng(2), &material(2));
    let written_down = code.to_text();
    let typed = RecoveryCode::parse(&written_down.to_lowercase().replace('-', " ")).unwrap();
    let (account_keys, manifest) = typed.open(&alice(), &blob).unwrap().into_parts();
    assert_eq!(account_keys.public(), account(1).public());
    assert_eq!(&manifest, material(2).manifest());
    // It goes on from there.
    let next = account_keys.next_manifest(&manifest, &[device(7)], &[]).unwrap();
    assert_eq!(next.version, 4);
}

#[test]
fn another_code_or_address_opens_nothing() {
    let code = RecoveryCode::generate(&mut rng(1));
    let other = RecoveryCode::generate(&mut rng(9));
    let blob = code.seal(&mut rng(2), &material(2));
    assert_eq!(other.open(&alice(), &blob).unwrap_err(), RecoveryError::WrongCode);
    assert_eq!(code.open(&bob(), &blob).unwrap_err(), RecoveryError::WrongCode);
}

#[test]
fn every_bit_and_length_of_a_blob_is_authenticated() {
    let code = RecoveryCode::generate(&mut rng(1));
    let blob = code.seal(&mut rng(2), &material(2));
    for bit in (0..blob.len() * 8).step_by(5).chain(0..8) {
        let mut bytes = blob.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = code.open(&alice(), &bytes).unwrap_err();
        let version = bit < 8;
        assert_eq!(error == RecoveryError::UnsupportedVersion, version, "bit {bit}");
    }
    for length in 0..blob.len() {
        assert_eq!(
            code.open(&alice(), &blob[..length]).unwrap_err(),
            RecoveryError::WrongCode
        );
    }
    assert!(code.open(&alice(), &[&blob[..], &[0]].concat()).is_err());
}

#[test]
fn a_blob_tells_nothing_by_its_length_and_is_new_each_time() {
    let code = RecoveryCode::generate(&mut rng(1));
    let rng = &mut rng(2);
    let (small, large) = (code.seal(rng, &material(1)), code.seal(rng, &material(16)));
    assert_eq!((small.len(), large.len()), (RECOVERY_BLOB_LEN, RECOVERY_BLOB_LEN));
    assert!(code.open(&alice(), &large).is_ok());
    assert_ne!(code.seal(rng, &material(1)), small);
    let secret = account(1).to_secret_bytes();
    assert!(!small.windows(32).any(|window| window == secret.as_slice()));
}

#[test]
fn the_fetch_token_is_the_codes_and_the_accounts() {
    let (one, other) = (
        RecoveryCode::generate(&mut rng(1)),
        RecoveryCode::generate(&mut rng(2)),
    );
    let again = RecoveryCode::parse(&one.to_text()).unwrap();
    assert_eq!(one.fetch_token(&alice()), again.fetch_token(&alice()));
    assert_ne!(one.fetch_token(&alice()), other.fetch_token(&alice()));
    assert_ne!(one.fetch_token(&alice()), one.fetch_token(&bob()));
}

#[test]
fn codes_have_this_form_and_one_meaning() {
    let code = RecoveryCode::generate(&mut rng(1));
    let text = code.to_text();
    let groups: Vec<&str> = text.split('-').collect();
    assert_eq!(groups.len(), 8);
    assert!(groups.iter().all(|group| group.len() == 4));
    assert_eq!(text.as_str(), RECOVERY_CODE);
    assert_eq!(BackupCode::parse(&text).unwrap_err(), CodeError::Mistyped);
    assert_eq!(RecoveryCode::parse("").unwrap_err(), CodeError::NotACode);
    assert_eq!(RecoveryCode::parse(&text[1..]).unwrap_err(), CodeError::NotACode);
    assert_eq!(
        RecoveryCode::parse(&format!("{}0", *text)).unwrap_err(),
        CodeError::NotACode
    );
    assert_eq!(
        RecoveryCode::parse(&text.replace('-', "*")).unwrap_err(),
        CodeError::NotACode
    );
}

#[test]
fn material_is_of_one_account() {
    assert!(AccountMaterial::new(account(2), first(&account(1), &alice())).is_none());
    assert_eq!(format!("{:?}", material(1)), "AccountMaterial([redacted])");
}

proptest! {
    #[test]
    fn no_blob_makes_opening_panic(bytes in prop::collection::vec(any::<u8>(), RECOVERY_BLOB_LEN - 1)) {
        let code = RecoveryCode::generate(&mut rng(1));
        let bytes = [&[1], &bytes[..]].concat();
        prop_assert_eq!(code.open(&alice(), &bytes).unwrap_err(), RecoveryError::WrongCode);
    }
}

// Computed apart from this package, from SPEC.md 15.12 alone.
const RECOVERY_CODE: &str = "08ZK-E81T-4HVC-89B6-MREC-AQ1W-N27K-1MNJ";
