//! Catching up: what becomes of a revoked device's entries, and whose word confirms them.

use sottovoce_crypto::statements::{
    ApplyError, CatchUpError, ChangeError, CheckError, CurrentEntry, EntrySigner, Roster, RosterChange,
    RosterEntry, RunEntry, Signed,
};

use crate::people::{Channel, Person, device_id, next, rng};

/// The next entry, by one device under one version of its account's manifest.
pub(crate) fn signed_by(
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
pub(crate) fn channel() -> Channel {
    let mut channel = Channel::new(11);
    channel.owner = channel.owner.with_second_device(&mut rng(12));
    channel
}

/// Takes a run that must be refused, and checks that the roster is as it was.
pub(crate) fn refused(roster: &Roster, run: &[RunEntry]) -> CatchUpError {
    let mut changed = roster.clone();
    let error = changed.catch_up(run).unwrap_err();
    assert_eq!(changed.to_bytes(), roster.to_bytes());
    error
}

/// Signs by a device, checks as somebody does who knows it was revoked, and adds to a branch of the chain.
pub(crate) fn past(
    person: &Person,
    device: usize,
    version: u64,
    branch: &mut Roster,
    change: RosterChange,
) -> RunEntry {
    let signed = signed_by(person, device, version, branch, change);
    // Whoever was there at the time took it in.
    let manifest = &person.manifests[version as usize - 1];
    branch
        .apply(&CurrentEntry::check(signed.clone(), manifest).unwrap())
        .unwrap();
    RunEntry::Past(person.check_past(signed).unwrap())
}

pub(crate) fn current(person: &Person, device: usize, branch: &mut Roster, change: RosterChange) -> RunEntry {
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
    let outsider = channel.banned.newest();
    let stranger = CatchUpError::Entry(ApplyError::Refused(ChangeError::NotAMember));
    assert_eq!(away.catch_up_standing_by(&run, outsider), Err(stranger));
    let unconfirmed = CatchUpError::Unconfirmed {
        height: add_height(&channel),
    };
    assert_eq!(
        away.catch_up_standing_by(&run, channel.admin.newest()),
        Err(unconfirmed)
    );
    // Nor under a manifest that still has the device: it may be the thief who asks.
    let unknowing = &channel.owner.manifests[1];
    assert_eq!(away.catch_up_standing_by(&run, unknowing), Err(unconfirmed));
    assert_eq!(away, channel.roster);
    assert_eq!(
        away.catch_up_standing_by(&run, channel.owner.newest()),
        Ok(branch.head())
    );
    assert_eq!(away, branch);
}
