//! Entries and manifests: which device may speak for an account, and what becomes of a revoked one's words.

use sottovoce_crypto::statements::{
    ApplyError, CatchUpError, ChangeError, CheckError, CurrentEntry, EntrySigner, PastEntry, Roster,
    RosterChange, RosterEntry, RunEntry, Signed,
};

use crate::people::{Channel, Person, device_id, next, rng};

/// The next entry, by one device under one version of its account's manifest.
fn signed_by(
    person: &Person,
    device: usize,
    version: u64,
    roster: &Roster,
    change: RosterChange,
) -> Signed<RosterEntry> {
    let entry = next(roster, person.signer_at(device, version), change);
    person.devices[device].sign_roster_entry(entry).unwrap()
}

/// A channel whose owner has two devices, on version 2 of the manifest.
fn channel() -> Channel {
    let mut channel = Channel::new(11);
    channel.owner = channel.owner.with_second_device(&mut rng(12));
    channel
}

/// Takes a run that must be refused, and checks that the roster is as it was.
fn refused(roster: &Roster, run: &[RunEntry]) -> CatchUpError {
    let mut changed = roster.clone();
    let error = changed.catch_up(run).unwrap_err();
    assert_eq!(changed.to_bytes(), roster.to_bytes());
    error
}

/// Signs by a device, checks as somebody does who knows it was revoked, and adds to a branch of the chain.
fn past(person: &Person, device: usize, version: u64, branch: &mut Roster, change: RosterChange) -> RunEntry {
    let signed = signed_by(person, device, version, branch, change);
    // Whoever was there at the time took it in.
    let manifest = &person.manifests[version as usize - 1];
    branch
        .apply(&CurrentEntry::check(signed.clone(), manifest).unwrap())
        .unwrap();
    RunEntry::Past(person.check_past(signed).unwrap())
}

fn current(person: &Person, device: usize, branch: &mut Roster, change: RosterChange) -> RunEntry {
    let signed = signed_by(person, device, person.newest().version, branch, change);
    let entry = person.check(signed).unwrap();
    branch.apply(&entry).unwrap();
    RunEntry::Current(entry)
}

#[test]
fn a_revoked_device_cannot_extend_the_chain() {
    let mut channel = channel();
    let add = RosterChange::Add(channel.outsider.account());
    let signed = signed_by(&channel.owner, 0, 2, &channel.roster, add.clone());
    assert!(channel.owner.check(signed.clone()).is_ok());
    channel.owner.publish(&[1]);
    assert_eq!(
        channel.owner.check(signed.clone()).unwrap_err(),
        CheckError::Revoked
    );
    // Nor as an entry of the past, unless somebody stands by it.
    let entry = RunEntry::Past(channel.owner.check_past(signed).unwrap());
    let height = channel.roster.head().height + 1;
    let unconfirmed = CatchUpError::Unconfirmed { height };
    assert_eq!(refused(&channel.roster, &[entry]), unconfirmed);
    // It cannot claim the manifest that revoked it either.
    let liar = EntrySigner {
        device_id: device_id(0),
        ..channel.owner.signer_at(1, 3)
    };
    let lie = next(&channel.roster, liar, add);
    let signed = channel.owner.devices[0].sign_roster_entry(lie).unwrap();
    assert_eq!(
        channel.owner.check(signed.clone()).unwrap_err(),
        CheckError::Revoked
    );
    assert_eq!(channel.owner.check_past(signed).unwrap_err(), CheckError::Revoked);
}

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

#[test]
fn an_account_stands_by_what_its_revoked_device_did() {
    let mut channel = channel();
    channel.owner.publish(&[1]);
    let mut branch = channel.roster.clone();
    let add = past(
        &channel.owner,
        0,
        2,
        &mut branch,
        RosterChange::Add(channel.outsider.account()),
    );
    let other = current(&channel.admin, 0, &mut branch, RosterChange::Confirm);
    let height = add_height(&channel);
    let unconfirmed = CatchUpError::Unconfirmed { height };
    assert_eq!(
        refused(&channel.roster, &[add.clone(), other.clone()]),
        unconfirmed
    );
    let confirm = current(&channel.owner, 1, &mut branch, RosterChange::Confirm);
    let mut away = channel.roster.clone();
    assert_eq!(
        away.catch_up(&[add.clone(), other.clone(), confirm.clone()]),
        Ok(branch.head())
    );
    assert_eq!(away.to_bytes(), branch.to_bytes());
    // Known entries are passed over, and gaps are not.
    assert_eq!(away.catch_up(&[add.clone(), other.clone()]), Ok(branch.head()));
    let gap = ApplyError::Gap {
        height: height - 1,
        found: height + 1,
    };
    assert_eq!(
        refused(&channel.roster, &[other, confirm]),
        CatchUpError::Entry(gap)
    );
}

fn add_height(channel: &Channel) -> u64 {
    channel.roster.head().height + 1
}

#[test]
fn the_owner_stands_by_what_others_did() {
    let mut channel = channel();
    channel.admin = channel.admin.with_second_device(&mut rng(14));
    channel.admin.publish(&[1]);
    let mut branch = channel.roster.clone();
    let add = past(
        &channel.admin,
        0,
        2,
        &mut branch,
        RosterChange::Add(channel.outsider.account()),
    );
    let by_admin = current(
        &channel.other_admin,
        0,
        &mut branch.clone(),
        RosterChange::Confirm,
    );
    let unconfirmed = CatchUpError::Unconfirmed {
        height: add_height(&channel),
    };
    assert_eq!(refused(&channel.roster, &[add.clone(), by_admin]), unconfirmed);
    let by_owner = current(&channel.owner, 0, &mut branch, RosterChange::Confirm);
    let mut away = channel.roster.clone();
    assert_eq!(away.catch_up(&[add, by_owner]), Ok(branch.head()));
}

#[test]
fn an_owner_made_by_a_revoked_device_confirms_nothing() {
    let mut channel = channel();
    channel.owner.publish(&[1]);
    let mut branch = channel.roster.clone();
    let theft = past(&channel.owner, 0, 2, &mut branch, theft_of(&channel));
    let accomplice = current(&channel.member, 0, &mut branch, RosterChange::Confirm);
    let unconfirmed = CatchUpError::Unconfirmed {
        height: add_height(&channel),
    };
    assert_eq!(
        refused(&channel.roster, &[theft.clone(), accomplice.clone()]),
        unconfirmed
    );
    // Nor if the device goes on after that.
    let mut longer = channel.roster.clone();
    let again = theft_of(&channel);
    let again = past(&channel.owner, 0, 2, &mut longer, again);
    let more = past(&channel.owner, 0, 2, &mut longer, RosterChange::Confirm);
    let helped = current(&channel.member, 0, &mut longer, RosterChange::Confirm);
    assert_eq!(refused(&channel.roster, &[again, more, helped]), unconfirmed);
    let confirm = current(&channel.owner, 1, &mut branch, RosterChange::Confirm);
    let mut away = channel.roster.clone();
    assert_eq!(away.catch_up(&[theft, accomplice, confirm]), Ok(branch.head()));
}

fn theft_of(channel: &Channel) -> RosterChange {
    RosterChange::HandOver(channel.member.address.clone())
}

#[test]
fn a_device_that_was_away_may_stand_by_its_own_account() {
    let mut channel = channel();
    channel.owner.publish(&[1]);
    let mut branch = channel.roster.clone();
    let add = past(
        &channel.owner,
        0,
        2,
        &mut branch,
        RosterChange::Add(channel.outsider.account()),
    );
    let mut away = channel.roster.clone();
    let run = [add];
    let outsider = channel.banned.signer();
    let stranger = CatchUpError::Entry(ApplyError::Refused(ChangeError::NotAMember));
    assert_eq!(away.catch_up_standing_by(&run, &outsider), Err(stranger));
    let unconfirmed = CatchUpError::Unconfirmed {
        height: add_height(&channel),
    };
    assert_eq!(
        away.catch_up_standing_by(&run, &channel.admin.signer()),
        Err(unconfirmed)
    );
    assert_eq!(away, channel.roster);
    assert_eq!(
        away.catch_up_standing_by(&run, &channel.owner.signer_at(1, 3)),
        Ok(branch.head())
    );
    assert_eq!(away, branch);
}
