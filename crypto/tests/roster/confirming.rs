//! Confirming what a device did that was since revoked: only by who knows of the revocation, and on whose
//! word a fork stands.

use sottovoce_crypto::statements::{
    ApplyError, CatchUpError, ChangeError, CheckError, CurrentEntry, Roster, RosterChange, RunEntry,
};

use crate::catching_up::{channel, current, past, refused, signed_by};
use crate::people::{Channel, next, rng};

/// A channel whose owner's first device was stolen and revoked, and what the thief made with it.
fn stolen() -> (Channel, Roster, RunEntry) {
    let mut channel = channel();
    channel.owner.publish(&[1]);
    let mut branch = channel.roster.clone();
    let add = RosterChange::Add(channel.outsider.account());
    let thief = past(&channel.owner, 0, 2, &mut branch, add);
    (channel, branch, thief)
}

fn unconfirmed(channel: &Channel) -> CatchUpError {
    let height = channel.roster.head().height + 1;
    CatchUpError::Unconfirmed { height }
}

#[test]
fn an_entry_in_ignorance_of_a_revocation_confirms_nothing() {
    let (channel, mut branch, thief) = stolen();
    // The owner's other device has not heard of manifest 3 and goes on from the thief's entry.
    let mut run = vec![thief];
    for change in [
        RosterChange::Unban(channel.banned.address.clone()),
        RosterChange::Confirm,
    ] {
        let signed = signed_by(&channel.owner, 1, 2, &branch, change);
        let unknowing = channel.owner.check(signed.clone()).unwrap();
        branch.apply(&unknowing).unwrap();
        run.push(RunEntry::Current(unknowing));
        assert_eq!(refused(&channel.roster, &run), unconfirmed(&channel));
        // Nor if the manifest that it names is at hand.
        let owner = &channel.owner;
        let entry = CurrentEntry::check_made_under(signed, owner.newest(), &owner.manifests[1]);
        *run.last_mut().unwrap() = RunEntry::Current(entry.unwrap());
        assert_eq!(refused(&channel.roster, &run), unconfirmed(&channel));
    }
    // Once it has heard of it, it does, whatever it makes.
    let change = RosterChange::Ban(channel.banned.address.clone());
    run.push(current(&channel.owner, 1, &mut branch, change));
    assert_eq!(channel.roster.clone().catch_up(&run), Ok(branch.head()));
}

#[test]
fn what_an_entry_confirms_is_read_from_the_manifest_it_names() {
    let (mut channel, mut branch, thief) = stolen();
    let signed = signed_by(&channel.owner, 1, 3, &branch, RosterChange::Confirm);
    channel.owner.publish(&[1]);
    let owner = &channel.owner;
    // Under the newest but one: whether the device is on it, nobody can say who has not got it.
    let blind = owner.check(signed.clone()).unwrap();
    let run = [thief.clone(), RunEntry::Current(blind.clone())];
    assert_eq!(refused(&channel.roster, &run), unconfirmed(&channel));
    let knowing = CurrentEntry::check_made_under(signed.clone(), owner.newest(), &owner.manifests[2]);
    let knowing = knowing.unwrap();
    branch.apply(&blind).unwrap();
    let run = [thief, RunEntry::Current(knowing)];
    assert_eq!(channel.roster.clone().catch_up(&run), Ok(branch.head()));
    // Another manifest than the one it names is none, nor another account's.
    for (manifest, verdict) in [
        (&owner.manifests[1], CheckError::UnknownManifest),
        (&owner.manifests[3], CheckError::UnknownManifest),
        (channel.admin.newest(), CheckError::OtherAccount),
    ] {
        let checked = CurrentEntry::check_made_under(signed.clone(), owner.newest(), manifest);
        assert_eq!(checked.unwrap_err(), verdict);
    }
}

#[test]
fn the_owner_confirms_what_others_did_only_in_so_many_words() {
    let mut channel = channel();
    channel.admin = channel.admin.with_second_device(&mut rng(14));
    channel.admin.publish(&[1]);
    let mut branch = channel.roster.clone();
    let add = RosterChange::Add(channel.outsider.account());
    let mut run = vec![past(&channel.admin, 0, 2, &mut branch, add)];
    let unban = RosterChange::Unban(channel.banned.address.clone());
    run.push(current(&channel.owner, 0, &mut branch, unban));
    assert_eq!(refused(&channel.roster, &run), unconfirmed(&channel));
    run.push(current(&channel.owner, 0, &mut branch, RosterChange::Confirm));
    assert_eq!(channel.roster.clone().catch_up(&run), Ok(branch.head()));
}

#[test]
fn one_devices_entries_are_not_confirmed_with_anothers() {
    let mut channel = channel();
    channel.owner.devices.push({
        let rng = &mut rng(15);
        sottovoce_crypto::IdentityKeyPair::generate(rng)
    });
    // Device 0 is revoked by manifest 4, device 2 by manifest 5.
    for devices in [&[0, 1, 2][..], &[1, 2], &[1]] {
        channel.owner.publish(devices);
    }
    let mut branch = channel.roster.clone();
    let mut run = Vec::new();
    for device in [0, 2] {
        run.push(past(
            &channel.owner,
            device,
            3,
            &mut branch,
            RosterChange::Confirm,
        ));
    }
    let signed = signed_by(&channel.owner, 1, 4, &branch, RosterChange::Confirm);
    let owner = &channel.owner;
    let half = CurrentEntry::check_made_under(signed, owner.newest(), &owner.manifests[3]).unwrap();
    branch.apply(&half).unwrap();
    run.push(RunEntry::Current(half));
    let height = channel.roster.head().height + 2;
    assert_eq!(
        refused(&channel.roster, &run),
        CatchUpError::Unconfirmed { height }
    );
    run.push(current(&channel.owner, 1, &mut branch, RosterChange::Confirm));
    assert_eq!(channel.roster.clone().catch_up(&run), Ok(branch.head()));
}

#[test]
fn an_entry_that_is_known_confirms_nothing_behind_a_new_one() {
    let (channel, _, _) = stolen();
    let mut ours = channel.roster.clone();
    let known = current(&channel.admin, 0, &mut ours, RosterChange::Confirm);
    let also_known = current(&channel.other_admin, 0, &mut ours, RosterChange::Confirm);
    let mut admin = channel.admin;
    admin
        .devices
        .push(sottovoce_crypto::IdentityKeyPair::generate(&mut rng(16)));
    admin.publish(&[0, 1]);
    let mut branch = ours.clone();
    let signed = signed_by(&admin, 1, 2, &branch, RosterChange::Confirm);
    admin.publish(&[0]);
    let by_revoked = RunEntry::Past(admin.check_past(signed.clone()).unwrap());
    branch
        .apply(&CurrentEntry::check(signed, &admin.manifests[1]).unwrap())
        .unwrap();
    // Known entries of the same account, of the owner and of others, in whatever order.
    let owners = channel.entries.iter().cloned().map(RunEntry::Current);
    let known: Vec<_> = owners.chain([known, also_known]).collect();
    let height = ours.head().height + 1;
    for at in 0..=known.len() {
        let mut run = known.clone();
        run.insert(at, by_revoked.clone());
        assert_eq!(refused(&ours, &run), CatchUpError::Unconfirmed { height });
        run.reverse();
        assert_eq!(refused(&ours, &run), CatchUpError::Unconfirmed { height });
    }
    let confirm = current(&admin, 0, &mut branch, RosterChange::Confirm);
    let mut run = [&known[..], &[by_revoked, confirm]].concat();
    assert_eq!(ours.clone().catch_up(&run), Ok(branch.head()));
    run.rotate_left(known.len());
    assert_eq!(ours.catch_up(&run), Ok(branch.head()));
}

#[test]
fn a_long_revoked_device_makes_no_fork() {
    let (channel, mut theirs, thief) = stolen();
    // The chain has gone on without the thief's entry, and the owner has said nothing since.
    let mut ours = channel.roster.clone();
    current(&channel.admin, 0, &mut ours, RosterChange::Confirm);
    assert_eq!(
        refused(&ours, std::slice::from_ref(&thief)),
        unconfirmed(&channel)
    );
    let mut loose = next(
        &channel.roster,
        channel.owner.signer_at(0, 2),
        RosterChange::Confirm,
    );
    loose.previous = [0xee; 32];
    let loose = channel.owner.check_past(channel.owner.sign(loose)).unwrap();
    assert_eq!(refused(&ours, &[RunEntry::Past(loose)]), unconfirmed(&channel));
    // An entry behind it that does not stand on it changes nothing about that.
    let apart = current(&channel.owner, 1, &mut ours.clone(), RosterChange::Confirm);
    assert_eq!(refused(&ours, &[thief.clone(), apart]), unconfirmed(&channel));
    // If the owner confirms it on its own branch, there are two chains.
    let confirm = current(&channel.owner, 1, &mut theirs, RosterChange::Confirm);
    let error = refused(&ours, &[thief.clone(), confirm]);
    assert!(
        matches!(error, CatchUpError::Entry(ApplyError::Fork { .. })),
        "{error:?}"
    );
    // Once the chain has passed the manifest, the device is nobody.
    current(&channel.owner, 1, &mut ours, RosterChange::Confirm);
    let stale = ApplyError::Refused(ChangeError::StaleManifest);
    assert_eq!(refused(&ours, &[thief]), CatchUpError::Entry(stale));
}
