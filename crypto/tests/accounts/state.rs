//! What is kept of accounts, read back.

use proptest::prelude::*;
use sottovoce_crypto::{MAX_FORMER_ACCOUNT_KEYS, PendingLink, StateError, TrustedAccount};

use super::people::{NOW, account, alice, device_id, first, identity, rng, shown};

fn trusted(keys: u8) -> TrustedAccount {
    let mut trusted = TrustedAccount::trust_on_first_use(shown(&first(&account(1), &alice())));
    for key in 2..=keys {
        let other = shown(&first(&account(key), &alice()));
        trusted.accept_account_key(&other).unwrap();
    }
    trusted
}

fn pending() -> PendingLink {
    PendingLink::new(&mut rng(1), NOW, device_id(2), identity(2).public())
}

#[test]
fn a_trusted_account_comes_back_from_its_bytes() {
    for keys in [1, 3, 20] {
        let trusted = trusted(keys);
        let bytes = trusted.to_bytes();
        assert_eq!(TrustedAccount::from_bytes(&bytes).unwrap(), trusted);
        let former = usize::from(keys - 1).min(MAX_FORMER_ACCOUNT_KEYS);
        let statement = trusted.manifest().signed().statement_bytes().len();
        assert_eq!(bytes.len(), 2 + 32 + 1 + former * 72 + 66 + statement);
    }
}

#[test]
fn a_stored_account_is_read_strictly() {
    let bytes = trusted(2).to_bytes();
    for length in 0..bytes.len() {
        assert!(TrustedAccount::from_bytes(&bytes[..length]).is_err());
    }
    assert!(TrustedAccount::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    let with = |place: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[place] = value;
        TrustedAccount::from_bytes(&bytes).unwrap_err()
    };
    assert_eq!(with(0, 2), StateError::UnsupportedVersion);
    assert_eq!(with(1, 1), StateError::Malformed);
    assert_eq!(with(34, 9), StateError::Malformed);
    // A former key that is the trusted one, and a former manifest of version 0.
    let mut same = bytes.to_vec();
    same.copy_within(2..34, 35);
    assert_eq!(TrustedAccount::from_bytes(&same), Err(StateError::Malformed));
    assert_eq!(with(35 + 32 + 7, 0), StateError::Malformed);
    // The signature, and what it is over.
    assert_eq!(with(35 + 72 + 5, bytes[35 + 72 + 5] ^ 1), StateError::Malformed);
    let last = bytes.len() - 20;
    assert_eq!(with(last, bytes[last] ^ 1), StateError::Malformed);
}

#[test]
fn a_pending_link_comes_back_from_its_bytes() {
    let bytes = pending().to_bytes();
    assert_eq!(bytes.len(), 155);
    let again = PendingLink::from_bytes(&bytes).unwrap();
    assert_eq!(again.to_bytes(), bytes);
    assert_eq!(again.offer().to_text(), pending().offer().to_text());
    for length in 0..bytes.len() {
        assert!(PendingLink::from_bytes(&bytes[..length]).is_err());
    }
    assert!(PendingLink::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    // A secret that is not the shown key's.
    let mut other = bytes.to_vec();
    other[20] ^= 1;
    assert_eq!(
        PendingLink::from_bytes(&other).unwrap_err(),
        StateError::Malformed
    );
}

proptest! {
    #[test]
    fn no_bytes_make_reading_an_account_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        kind in 9_u8..11,
    ) {
        let bytes = [&[1, kind][..], &bytes].concat();
        let _ = TrustedAccount::from_bytes(&bytes);
        let _ = PendingLink::from_bytes(&bytes);
    }
}
