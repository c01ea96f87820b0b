//! Linking a new device.

use proptest::prelude::*;
use sottovoce_crypto::statements::{DeviceBinding, DeviceManifest, Verified, X25519Key};
use sottovoce_crypto::{
    AccountKeyPair, CodeError, GrantOpenError, GrantSealError, GrantedAccount, LinkingFailed, LinkingOffer,
    MAX_LINKING_AGE_MS, MAX_LINKING_DATA_LEN, PendingLink, TrustedAccount,
};

use super::people::{
    NOW, account, alice, bindings, device, device_id, first, identity, manifest, rng, shown, verify,
};

/// A new device with this number, waiting.
fn waiting(number: u8) -> PendingLink {
    PendingLink::new(
        &mut rng(number),
        NOW,
        device_id(number),
        identity(number).public(),
    )
}

/// The manifest with the offered device, and the bindings of the others.
fn prepared(
    account: &AccountKeyPair,
    offer: &LinkingOffer,
) -> (Verified<DeviceManifest>, Vec<Verified<DeviceBinding>>) {
    let one = first(account, &alice());
    let two = account.next_manifest(&one, &[device(9)], &[]).unwrap();
    let three = account.next_manifest(&two, &[offer.device()], &[]).unwrap();
    (three, shown(&two).bindings().to_vec())
}

fn granted(offer: &LinkingOffer, seed: u8) -> Vec<u8> {
    let (manifest, bindings) = prepared(&account(1), offer);
    offer
        .seal_grant(&mut rng(seed), &manifest, &bindings, b"name, read receipts")
        .unwrap()
}

/// Opens what must not open, and sees that nothing is used up.
fn refused(pending: PendingLink, now_ms: u64, grant: &[u8]) -> (PendingLink, GrantOpenError) {
    let before = pending.to_bytes();
    let LinkingFailed { error, pending } = pending.open(now_ms, grant).unwrap_err();
    assert_eq!(pending.to_bytes(), before);
    (*pending, error)
}

#[test]
fn a_device_is_linked_through_what_its_screen_shows() {
    let pending = waiting(5);
    let text = pending.offer().to_text();
    let offer = LinkingOffer::parse(&text).unwrap();
    assert_eq!(offer.device(), device(5));
    let (manifest, bindings) = prepared(&account(1), &offer);
    let grant = offer
        .seal_grant(&mut rng(1), &manifest, &bindings, b"name, read receipts")
        .unwrap();

    let granted: GrantedAccount = pending.open(NOW + 60_000, &grant).unwrap();
    assert_eq!(granted.address(), &alice());
    assert_eq!(granted.account_key(), &account(1).public());
    assert_eq!(granted.manifest(), &manifest);
    assert_eq!(granted.app_data(), b"name, read receipts");

    // Only the key that was offered signs the binding that makes the account whole.
    assert_eq!(
        granted.join(&identity(6)).unwrap_err(),
        GrantOpenError::NotThisDevice
    );
    let joined = granted.join(&identity(5)).unwrap();
    let all = joined.bindings().iter().map(|b| b.signed().clone()).collect();
    assert_eq!(verify(&manifest, all).unwrap(), joined);
    assert_eq!(
        joined,
        shown(&manifest),
        "in the manifest's order, like everybody sees it"
    );
    // Peers, who refused the manifest while the binding was missing, take it now.
    let mut peer = TrustedAccount::trust_on_first_use(shown(&first(&account(1), &alice())));
    peer.advance(&joined).unwrap();
    assert!(peer.party(device_id(5)).is_some());
}

#[test]
fn the_account_secret_does_not_go_to_a_linked_device() {
    let pending = waiting(5);
    let grant = granted(pending.offer(), 1);
    let granted = pending.open(NOW, &grant).unwrap();
    let shown = format!("{granted:?}");
    assert_eq!(shown, "GrantedAccount([redacted])");
    let secret = account(1).to_secret_bytes();
    let all = [
        granted.manifest().signed().statement_bytes(),
        granted.app_data(),
        &grant,
    ]
    .concat();
    assert!(!all.windows(32).any(|window| window == secret.as_slice()));
}

#[test]
fn an_offer_is_read_as_bytes_and_however_its_text_is_typed() {
    let pending = waiting(5);
    let (bytes, text) = (pending.offer().to_bytes(), pending.offer().to_text());
    assert_eq!((bytes.len(), text.len()), (LinkingOffer::LEN, 188));
    assert_eq!(hex::encode(&bytes[..17]), format!("01{}", "05".repeat(16)));
    assert_eq!(LinkingOffer::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    let typed: String = text.to_lowercase().chars().flat_map(|c| [c, ' ']).collect();
    assert_eq!(LinkingOffer::parse(&typed).unwrap().to_bytes(), bytes);

    for length in 0..bytes.len() {
        assert_eq!(
            LinkingOffer::from_bytes(&bytes[..length]).unwrap_err(),
            CodeError::NotACode
        );
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(
        LinkingOffer::from_bytes(&longer).unwrap_err(),
        CodeError::NotACode
    );
    let mut newer = bytes.to_vec();
    newer[0] = 2;
    assert_eq!(
        LinkingOffer::from_bytes(&newer).unwrap_err(),
        CodeError::UnsupportedVersion
    );
    let mistyped = format!("{}{}", if text.starts_with('0') { '2' } else { '0' }, &text[1..]);
    assert_eq!(LinkingOffer::parse(&mistyped).unwrap_err(), CodeError::Mistyped);
    assert_eq!(format!("{:?}", pending.offer()), "LinkingOffer([redacted])");
    assert_eq!(format!("{pending:?}"), "PendingLink([redacted])");
}

#[test]
fn every_bit_and_length_of_a_grant_is_authenticated() {
    let mut pending = waiting(5);
    let grant = granted(pending.offer(), 1);
    for bit in (0..grant.len() * 8).step_by(7) {
        let mut bytes = grant.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (again, error) = refused(pending, NOW, &bytes);
        let version = bit < 8;
        assert_eq!(error == GrantOpenError::UnsupportedVersion, version, "bit {bit}");
        pending = again;
    }
    for length in 0..grant.len() {
        let (again, error) = refused(pending, NOW, &grant[..length]);
        assert_eq!(error, GrantOpenError::Refused, "{length} bytes");
        pending = again;
    }
    // After all that, the right one still opens.
    assert!(pending.open(NOW, &grant).is_ok());
}

#[test]
fn a_server_that_swaps_keys_gets_and_forges_nothing() {
    // The server shows the primary an offer of its own in place of the ephemeral key, which it can only
    // if it carried the offer; it lacks the pairing secret either way.
    let pending = waiting(5);
    let shown = pending.offer().to_bytes();
    let attacker = waiting(77);
    let swapped = [&shown[..49], &attacker.offer().to_bytes()[49..81], &shown[81..]].concat();
    let swapped = LinkingOffer::from_bytes(&swapped).unwrap();
    let grant = granted(&swapped, 1);
    let (pending, error) = refused(pending, NOW, &grant);
    assert_eq!(error, GrantOpenError::Refused);
    let (_, error) = refused(attacker, NOW, &grant);
    assert_eq!(error, GrantOpenError::Refused);

    // It knows every public part of the offer, and makes a grant without the pairing secret.
    let guessed = [&shown[..81], &[0; 32]].concat();
    let forged = granted(&LinkingOffer::from_bytes(&guessed).unwrap(), 1);
    let (pending, error) = refused(pending, NOW, &forged);
    assert_eq!(error, GrantOpenError::Refused);

    // A grant for the same device that was shown another offer.
    let other = PendingLink::new(&mut rng(6), NOW, device_id(5), identity(5).public());
    let (_, error) = refused(pending, NOW, &granted(other.offer(), 1));
    assert_eq!(error, GrantOpenError::Refused);
}

#[test]
fn who_breaks_x25519_still_lacks_the_pairing_secret() {
    // The stored state has the ephemeral secret, as a quantum computer would compute it, and the secret
    // that was on the screen: without the latter nothing opens.
    let pending = waiting(5);
    let grant = granted(pending.offer(), 1);
    let mut known = pending.to_bytes().to_vec();
    let secret = known.len() - 32;
    known[secret..].fill(0);
    let thief = PendingLink::from_bytes(&known).unwrap();
    let (_, error) = refused(thief, NOW, &grant);
    assert_eq!(error, GrantOpenError::Refused);
}

#[test]
fn an_old_offer_is_not_answered() {
    let pending = waiting(5);
    let grant = granted(pending.offer(), 1);
    let (pending, error) = refused(pending, NOW + MAX_LINKING_AGE_MS + 1, &grant);
    assert_eq!(error, GrantOpenError::Expired);
    assert!(pending.open(NOW + MAX_LINKING_AGE_MS, &grant).is_ok());
}

#[test]
fn a_grant_that_would_not_be_taken_is_not_made() {
    let ours = account(1);
    let pending = waiting(5);
    let offer = pending.offer();
    let (good, others) = prepared(&ours, offer);
    let seal = |manifest: &Verified<DeviceManifest>, bindings: &[_], data: &[u8]| {
        offer.seal_grant(&mut rng(1), manifest, bindings, data)
    };
    assert!(seal(&good, &others, &vec![7; MAX_LINKING_DATA_LEN]).is_ok());
    assert_eq!(
        seal(&good, &others, &vec![7; MAX_LINKING_DATA_LEN + 1]),
        Err(GrantSealError::TooLong)
    );
    assert_eq!(
        seal(&first(&ours, &alice()), &[], b""),
        Err(GrantSealError::DeviceNotListed)
    );
    // The id of the offer, under the key of another.
    let mut stolen = device(6);
    stolen.device_id = device_id(5);
    let wrong = ours
        .next_manifest(&first(&ours, &alice()), &[stolen], &[])
        .unwrap();
    assert_eq!(
        seal(&wrong, &others[..1], b""),
        Err(GrantSealError::DeviceNotListed)
    );

    let reversed: Vec<_> = others.iter().rev().cloned().collect();
    let elsewhere = shown(&manifest(&account(2), &alice(), 2, [1; 32], &[1, 9]));
    for bindings in [&others[..1], &reversed, elsewhere.bindings(), &[]] {
        assert_eq!(seal(&good, bindings, b""), Err(GrantSealError::Bindings));
    }
}

#[test]
fn a_grant_to_a_key_of_small_order_is_refused() {
    let mut bytes = waiting(5).offer().to_bytes().to_vec();
    bytes[49..81].fill(0);
    bytes[49] = 1;
    assert!(X25519Key::from_slice(&bytes[49..81]).is_ok());
    let offer = LinkingOffer::from_bytes(&bytes).unwrap();
    let (manifest, others) = prepared(&account(1), &offer);
    assert_eq!(
        offer.seal_grant(&mut rng(1), &manifest, &others, b""),
        Err(GrantSealError::BadOffer)
    );
}

#[test]
fn the_first_device_may_be_linked_to_an_account_of_the_most_devices() {
    let ours = account(1);
    let pending = waiting(5);
    let numbers: Vec<u8> = (1..=16).collect();
    let full = manifest(&ours, &alice(), 7, [7; 32], &numbers);
    let others: Vec<_> = shown(&full)
        .bindings()
        .iter()
        .filter(|binding| binding.device_id != device_id(5))
        .cloned()
        .collect();
    let grant = pending
        .offer()
        .seal_grant(&mut rng(1), &full, &others, b"")
        .unwrap();
    let joined = pending.open(NOW, &grant).unwrap().join(&identity(5)).unwrap();
    assert_eq!(joined, verify(&full, bindings(&full)).unwrap());
}

proptest! {
    #[test]
    fn no_grant_makes_opening_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let bytes = [&[1], &bytes[..]].concat();
        prop_assert!(waiting(5).open(NOW, &bytes).is_err());
        let _ = LinkingOffer::from_bytes(&bytes);
    }
}
