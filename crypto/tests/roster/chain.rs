//! The chain: what is next, what is missing, what was seen before, and what parts from it.

use sottovoce_crypto::statements::{
    ApplyError, ChangeError, ChannelId, CurrentEntry, HeadStanding, MAX_RECENT_ENTRIES, Roster, RosterChange,
    RosterEntry, RosterHead,
};

use crate::people::{Channel, Person, found, rng};

/// Applies what must be refused, and checks that the roster is as it was.
fn refused(roster: &Roster, entry: &CurrentEntry) -> ApplyError {
    let mut changed = roster.clone();
    let error = changed.apply(entry).unwrap_err();
    assert_eq!(changed, *roster);
    assert_eq!(changed.to_bytes(), roster.to_bytes());
    error
}

fn replay(entries: &[CurrentEntry]) -> Roster {
    let mut roster = Roster::found(&entries[0]).unwrap();
    for entry in &entries[1..] {
        roster.apply(entry).unwrap();
    }
    roster
}

#[test]
fn a_channel_is_named_after_its_genesis() {
    let rng = &mut rng(1);
    let owner = Person::new(rng, "owner");
    let (roster, genesis) = found(rng, &owner);
    assert_eq!(roster.channel_id(), ChannelId::from_bytes(genesis.head().hash));
    assert_eq!(roster.channel_id(), genesis.channel_id());
    assert_eq!((roster.head().height, roster.departed_at()), (0, 0));
    assert_eq!(*roster.owner(), owner.address);
    assert_eq!(roster.members().len(), 1);
    let (another, _) = found(rng, &owner);
    assert_ne!(another.channel_id(), roster.channel_id());

    let leave = owner.entry(&roster, RosterChange::Leave);
    assert!(Roster::found(&leave).is_err());
    assert_eq!(refused(&roster, &genesis), ApplyError::AlreadyApplied);
    assert_eq!(
        refused(&another, &genesis),
        ApplyError::OtherChannel,
        "a genesis is for its own channel"
    );
}

#[test]
fn who_applies_the_same_entries_holds_the_same_bytes() {
    let channel = Channel::new(2);
    let one = replay(&channel.entries);
    // The other was away in between, went through storage, and got everything twice.
    let mut other = Roster::found(&channel.entries[0]).unwrap();
    for entry in &channel.entries[1..] {
        other.apply(entry).unwrap();
        other = Roster::from_bytes(&other.to_bytes()).unwrap();
        assert_eq!(refused(&other, entry), ApplyError::AlreadyApplied);
        assert_eq!(refused(&other, &channel.entries[0]), ApplyError::AlreadyApplied);
    }
    assert_eq!(one.to_bytes(), other.to_bytes());
    assert_eq!(one, channel.roster);
}

#[test]
fn an_entry_after_a_gap_waits_for_those_between() {
    let channel = Channel::new(3);
    let entries = &channel.entries;
    let mut roster = replay(&entries[..2]);
    let gap = |found| ApplyError::Gap { height: 1, found };
    assert_eq!(refused(&roster, &entries[3]), gap(3));
    assert_eq!(refused(&roster, &entries[5]), gap(5));
    roster.apply(&entries[2]).unwrap();
    roster.apply(&entries[3]).unwrap();
}

#[test]
fn another_entry_at_a_known_height_is_a_fork() {
    let channel = Channel::new(4);
    let mut theirs = channel.roster.clone();
    let mut ours = channel.roster.clone();
    let entry = channel.admin.changes(&mut ours, RosterChange::Confirm);
    let other = channel.member.changes(&mut theirs, RosterChange::Leave);
    let fork = ApplyError::Fork {
        height: entry.height,
        ours: entry.head().hash,
        theirs: other.head().hash,
    };
    assert_eq!(refused(&ours, &other), fork);
    // What stands on the other entry says only that there is one.
    let next = channel.owner.changes(&mut theirs, RosterChange::Confirm);
    let unlinked = |entry: &CurrentEntry| ApplyError::Unlinked {
        height: entry.height,
        theirs: entry.head().hash,
    };
    assert_eq!(refused(&ours, &next), unlinked(&next));
    // So does an entry of the past, long after.
    for _ in 0..20 {
        channel.owner.changes(&mut ours, RosterChange::Confirm);
    }
    assert_eq!(refused(&ours, &other), fork);
    assert_eq!(refused(&ours, &next), unlinked(&next));
    // And so does a head that a channel message names.
    let standing = HeadStanding::Fork {
        ours: entry.head().hash,
    };
    assert_eq!(ours.standing(&other.head()), standing);
}

#[test]
fn only_a_members_word_makes_a_fork() {
    let channel = Channel::new(5);
    let add = RosterChange::Add(channel.outsider.account());
    for stranger in [&channel.outsider, &channel.banned] {
        for height in 1..=channel.roster.head().height + 1 {
            let forged = RosterEntry {
                height,
                previous: [7; 32],
                ..stranger.forge(&channel.roster, add.clone())
            };
            let entry = stranger.check(stranger.sign(forged)).unwrap();
            assert_eq!(
                refused(&channel.roster, &entry),
                ApplyError::Refused(ChangeError::NotAMember)
            );
        }
    }
}

#[test]
fn an_entry_its_signer_could_not_make_is_no_fork() {
    let channel = Channel::new(8);
    let head = channel.roster.head().height;
    let forged = |height: u64, signer: &Person, change: RosterChange| {
        let entry = RosterEntry {
            height,
            previous: channel.entries[height as usize - 1].head().hash,
            ..signer.forge(&channel.roster, change)
        };
        signer.check(signer.sign(entry)).unwrap()
    };
    let outsider = channel.outsider.account();
    let member = || channel.member.address.clone();
    let not_allowed = ApplyError::Refused(ChangeError::NotAllowed);
    for height in 1..=head {
        for (signer, change, verdict) in [
            (&channel.member, RosterChange::HandOver(member()), not_allowed),
            (&channel.member, RosterChange::Add(outsider.clone()), not_allowed),
            (&channel.admin, RosterChange::HandOver(member()), not_allowed),
            (
                &channel.owner,
                RosterChange::Leave,
                ApplyError::Refused(ChangeError::OwnerStays),
            ),
        ] {
            let entry = forged(height, signer, change);
            assert_eq!(refused(&channel.roster, &entry), verdict);
        }
        // What is theirs to make is one.
        for (signer, change) in [
            (&channel.member, RosterChange::Leave),
            (&channel.admin, RosterChange::Add(outsider.clone())),
            (&channel.owner, RosterChange::HandOver(member())),
        ] {
            let error = refused(&channel.roster, &forged(height, signer, change));
            assert!(matches!(error, ApplyError::Fork { .. }), "{error:?}");
        }
    }
}

#[test]
fn an_entry_on_an_invented_one_is_no_fork() {
    let channel = Channel::new(9);
    let mut roster = channel.roster.clone();
    for _ in 0..MAX_RECENT_ENTRIES {
        channel.owner.changes(&mut roster, RosterChange::Confirm);
    }
    let head = roster.head().height;
    let oldest = head - (MAX_RECENT_ENTRIES as u64 - 1);
    for height in [oldest, oldest + 1, head - 1, head, head + 1] {
        let forged = RosterEntry {
            height,
            previous: [0xee; 32],
            ..channel.member.forge(&roster, RosterChange::Confirm)
        };
        let entry = channel.member.check(channel.member.sign(forged)).unwrap();
        let theirs = entry.head().hash;
        assert_eq!(refused(&roster, &entry), ApplyError::Unlinked { height, theirs });
    }
    // The channel goes on, and may rid itself of who claims such things.
    let remove = RosterChange::Remove(channel.member.address.clone());
    channel.owner.changes(&mut roster, remove);
}

#[test]
fn an_entry_of_another_channel_is_refused() {
    let channel = Channel::new(6);
    let forged = RosterEntry {
        channel_id: ChannelId::from_bytes([1; 32]),
        ..channel.owner.forge(&channel.roster, RosterChange::Confirm)
    };
    let entry = channel.owner.check(channel.owner.sign(forged)).unwrap();
    assert_eq!(refused(&channel.roster, &entry), ApplyError::OtherChannel);
}

#[test]
fn a_head_is_told_apart_as_far_back_as_hashes_are_kept() {
    let channel = Channel::new(7);
    let mut roster = channel.roster.clone();
    let mut heads = vec![roster.head()];
    for _ in 0..MAX_RECENT_ENTRIES {
        channel.owner.changes(&mut roster, RosterChange::Confirm);
        heads.push(roster.head());
    }
    let height = roster.head().height;
    let ahead = RosterHead {
        height: height + 1,
        hash: [0; 32],
    };
    assert_eq!(roster.standing(&ahead), HeadStanding::Ahead);
    assert_eq!(roster.standing(&heads[MAX_RECENT_ENTRIES]), HeadStanding::Current);
    assert_eq!(roster.standing(&heads[1]), HeadStanding::Earlier);
    assert_eq!(roster.standing(&heads[0]), HeadStanding::Forgotten);
    for entry in &channel.entries {
        assert_eq!(refused(&roster, entry), ApplyError::Forgotten);
    }
    assert_eq!(Roster::from_bytes(&roster.to_bytes()).unwrap(), roster);
}
