//! Entries and manifests: which device may speak for an account.

use sottovoce_crypto::statements::{
    ApplyError, ChangeError, CheckError, CurrentEntry, PastEntry, RosterChange,
};

use crate::catching_up::{channel, current, signed_by};
use crate::people::{Channel, Person, rng};

#[test]
fn an_entry_is_checked_against_the_newest_manifest_known() {
    let mut channel = channel();
    let by = |channel: &Channel, version| {
        signed_by(&channel.owner, 0, version, &channel.roster, RosterChange::Confirm)
    };
    let check = |channel: &Channel, entry_version, known: usize| {
        CurrentEntry::check(by(channel, entry_version), &channel.owner.manifests[known - 1])
    };
    channel.owner.publish(&[0, 1]);
    assert!(check(&channel, 3, 3).is_ok());
    assert!(check(&channel, 2, 3).is_ok(), "the device is on both");
    assert!(check(&channel, 1, 3).is_ok(), "the device is on both");
    assert_eq!(check(&channel, 3, 2).unwrap_err(), CheckError::UnknownManifest);

    // A hash that is not that version's is a conflict where it can be known, at the newest and one before.
    for (version, verdict) in [
        (3, Some(CheckError::ManifestConflict)),
        (2, Some(CheckError::ManifestConflict)),
        (1, None),
    ] {
        let mut entry = by(&channel, version).claimed().clone();
        entry.signer.manifest_hash = [9; 32];
        let checked = channel.owner.check(channel.owner.sign(entry));
        assert_eq!(checked.err(), verdict, "version {version}");
    }

    // Another account's manifest is no help, nor one of the same address under another key.
    let namesake = Person::new(&mut rng(13), "owner");
    for other in [&channel.admin, &namesake] {
        let checked = CurrentEntry::check(by(&channel, 3), other.newest());
        assert_eq!(checked.unwrap_err(), CheckError::OtherAccount);
        let checked = PastEntry::check(by(&channel, 3), other.newest(), channel.owner.newest());
        assert_eq!(checked.unwrap_err(), CheckError::OtherAccount);
        let checked = PastEntry::check(by(&channel, 3), channel.owner.newest(), other.newest());
        assert_eq!(checked.unwrap_err(), CheckError::OtherAccount);
    }
    // Another device's signature is none.
    let entry = by(&channel, 3).claimed().clone();
    let signed = channel.owner.devices[1].sign_roster_entry(entry).unwrap();
    assert_eq!(
        channel.owner.check(signed.clone()).unwrap_err(),
        CheckError::Signature
    );
    assert_eq!(
        channel.owner.check_past(signed).unwrap_err(),
        CheckError::Signature
    );
}

#[test]
fn a_past_entry_is_checked_against_the_manifest_it_was_made_under() {
    let mut channel = channel();
    let owner = &mut channel.owner;
    owner.publish(&[1]);
    owner.publish(&[1]);
    let signed = signed_by(owner, 0, 2, &channel.roster, RosterChange::Confirm);
    let check = |newest: usize, made_under: usize| {
        PastEntry::check(
            signed.clone(),
            &owner.manifests[newest - 1],
            &owner.manifests[made_under - 1],
        )
        .err()
    };
    assert_eq!(check(4, 2), None);
    assert_eq!(check(4, 1), Some(CheckError::UnknownManifest));
    assert_eq!(check(4, 3), Some(CheckError::UnknownManifest));
    assert_eq!(
        check(1, 2),
        Some(CheckError::UnknownManifest),
        "the newest cannot be older"
    );
    let mut entry = signed.claimed().clone();
    entry.signer.manifest_hash = [9; 32];
    let checked = PastEntry::check(owner.sign(entry), &owner.manifests[3], &owner.manifests[1]);
    assert_eq!(checked.unwrap_err(), CheckError::ManifestConflict);
    // A newest manifest that does not follow on the one it was made under is of another history.
    let mut other = (**owner.newest()).clone();
    (other.version, other.previous) = (3, [9; 32]);
    let other = owner.account.sign_manifest(other).unwrap();
    let other = other.verify(&owner.account.public()).unwrap();
    let checked = PastEntry::check(signed.clone(), &other, &owner.manifests[1]);
    assert_eq!(checked.unwrap_err(), CheckError::ManifestConflict);
}

#[test]
fn an_account_cannot_go_back_to_a_manifest_the_chain_has_passed() {
    let channel = channel();
    let (owner, mut roster) = (&channel.owner, channel.roster.clone());
    assert_eq!(roster.member(&owner.address).unwrap().manifest_version, 1);
    current(owner, 1, &mut roster, RosterChange::Confirm);
    assert_eq!(roster.member(&owner.address).unwrap().manifest_version, 2);
    // Everybody refuses it, even who has heard of no newer manifest than the first.
    let signed = signed_by(owner, 0, 1, &roster, RosterChange::Confirm);
    let entry = CurrentEntry::check(signed, &owner.manifests[0]).unwrap();
    let before = roster.to_bytes();
    let stale = ApplyError::Refused(ChangeError::StaleManifest);
    assert_eq!(roster.apply(&entry).unwrap_err(), stale);
    assert_eq!(roster.to_bytes(), before);
}
