//! Safety numbers, read out and scanned.

use proptest::prelude::*;
use sottovoce_crypto::statements::{Account, AccountKey, Address};
use sottovoce_crypto::{AccountKeyPair, SafetyNumber, SafetyNumberError};

use super::people::{account, alice, bob};

fn is(address: &Address, account_key: &AccountKey) -> Account {
    Account {
        address: address.clone(),
        account_key: *account_key,
    }
}

fn alices(bobs_key: &AccountKey) -> SafetyNumber {
    SafetyNumber::between(&is(&alice(), &account(1).public()), &is(&bob(), bobs_key))
}

fn bobs(alices_key: &AccountKey) -> SafetyNumber {
    SafetyNumber::between(&is(&bob(), &account(2).public()), &is(&alice(), alices_key))
}

#[test]
fn a_safety_number_has_these_digits_on_both_sides() {
    let (alices, bobs) = (alices(&account(2).public()), bobs(&account(1).public()));
    assert_eq!(alices.to_string(), bobs.to_string());
    assert_eq!(alices.to_string(), SAFETY_NUMBER);
    assert_eq!(alices.digits(), SAFETY_NUMBER.replace(' ', ""));
    assert_eq!(alices.digits().len(), 60);
}

#[test]
fn a_safety_number_changes_with_either_key_and_address() {
    let base = alices(&account(2).public()).digits();
    assert_ne!(alices(&account(3).public()).digits(), base);
    let elsewhere = Address::parse("bob@three.example").unwrap();
    let moved = SafetyNumber::between(
        &is(&alice(), &account(1).public()),
        &is(&elsewhere, &account(2).public()),
    );
    assert_ne!(moved.digits(), base);
    // Each half is one account's: the other one keeps its digits.
    let halves = |digits: &str| [digits[..30].to_owned(), digits[30..].to_owned()];
    let kept = halves(&moved.digits())
        .iter()
        .filter(|half| halves(&base).contains(half))
        .count();
    assert_eq!(kept, 1);
}

#[test]
fn a_scanned_number_matches_or_says_why_not() {
    let (alices_key, bobs_key) = (account(1).public(), account(2).public());
    let alices = alices(&bobs_key);
    let scanned = bobs(&alices_key).to_scannable();
    assert_eq!(alices.compare(&scanned), Ok(()));

    // Somebody between them has given Bob another key for Alice, or shows Alice another for Bob.
    let deceived = bobs(&account(9).public()).to_scannable();
    assert_eq!(alices.compare(&deceived), Err(SafetyNumberError::Mismatch));
    let other_bob = SafetyNumber::between(&is(&bob(), &account(9).public()), &is(&alice(), &alices_key));
    assert_eq!(
        alices.compare(&other_bob.to_scannable()),
        Err(SafetyNumberError::Mismatch)
    );

    let carol = Address::parse("carol@one.example").unwrap();
    let carols = SafetyNumber::between(&is(&carol, &account(3).public()), &is(&alice(), &alices_key));
    assert_eq!(
        alices.compare(&carols.to_scannable()),
        Err(SafetyNumberError::OtherAccounts)
    );
    // One's own screen proves nothing.
    assert_eq!(
        alices.compare(&alices.to_scannable()),
        Err(SafetyNumberError::OtherAccounts)
    );

    let mut newer = scanned.clone();
    newer[0] = 2;
    assert_eq!(alices.compare(&newer), Err(SafetyNumberError::UnsupportedVersion));
    for length in 0..scanned.len() {
        assert_eq!(
            alices.compare(&scanned[..length]),
            Err(SafetyNumberError::Malformed)
        );
    }
    let longer = [&scanned[..], &[0]].concat();
    assert_eq!(alices.compare(&longer), Err(SafetyNumberError::Malformed));
}

#[test]
fn every_bit_of_a_scanned_number_counts() {
    let alices = alices(&account(2).public());
    let scanned = bobs(&account(1).public()).to_scannable();
    for bit in 0..scanned.len() * 8 {
        let mut bytes = scanned.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(alices.compare(&bytes).is_err(), "bit {bit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn both_sides_always_see_the_same_digits(one in any::<[u8; 32]>(), other in any::<[u8; 32]>()) {
        let key = |secret| AccountKeyPair::from_secret_bytes(secret).unwrap().public();
        let (one, other) = (key(&one), key(&other));
        let there = SafetyNumber::between(&is(&alice(), &one), &is(&bob(), &other));
        let here = SafetyNumber::between(&is(&bob(), &other), &is(&alice(), &one));
        prop_assert_eq!(there.to_string(), here.to_string());
        prop_assert_eq!(there.compare(&here.to_scannable()), Ok(()));
        prop_assert_eq!(there.to_string().len(), 71);
    }

    #[test]
    fn no_scan_makes_comparing_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let number = alices(&account(2).public());
        prop_assert!(number.compare(&bytes).is_err());
        prop_assert!(number.compare(&[&[1], &bytes[..]].concat()).is_err());
    }
}

// Computed apart from this package, from SPEC.md 15.10 alone.
const SAFETY_NUMBER: &str = "50009 05740 96444 17246 04992 12024 72301 34952 65912 04531 37006 77566";
