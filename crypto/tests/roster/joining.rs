//! Joining: the roster a joiner takes up is the inviter's, whoever hands it over.

use proptest::prelude::*;
use sottovoce_crypto::statements::{
    Account, JoinError, Role, Roster, RosterChange, RosterEntry, RosterInvitation, RosterStateError,
    RunEntry, Signed,
};

use crate::people::{Channel, Person, rng};

/// A channel that the outsider has just been added to, by the admin.
fn joined() -> Channel {
    let mut channel = Channel::new(21);
    let add = RosterChange::Add(channel.outsider.account());
    let entry = channel.admin.changes(&mut channel.roster, add);
    channel.entries.push(entry);
    channel
}

fn history(channel: &Channel) -> Vec<Signed<RosterEntry>> {
    channel
        .entries
        .iter()
        .map(|entry| entry.signed().clone())
        .collect()
}

/// Joins as the outsider, by all ways, which must come to the same.
fn join(channel: &Channel, inviter: &Account, us: &Account) -> Result<Roster, JoinError> {
    let invitation = channel.roster.invitation();
    let by_snapshot = Roster::from_snapshot(&channel.roster.to_bytes(), &invitation, inviter, us);
    let by_history = Roster::from_history(&history(channel), &invitation, inviter, us);
    assert_eq!(by_snapshot, by_history);
    let by_checked = Roster::from_checked_history(&run(channel), &invitation, inviter, us);
    assert_eq!(by_snapshot, by_checked);
    by_snapshot
}

fn run(channel: &Channel) -> Vec<RunEntry> {
    channel.entries.iter().cloned().map(RunEntry::Current).collect()
}

#[test]
fn a_joiner_goes_on_from_the_inviters_roster() {
    let mut channel = joined();
    let mut theirs = join(&channel, &channel.admin.account(), &channel.outsider.account()).unwrap();
    assert_eq!(theirs.to_bytes(), channel.roster.to_bytes());
    let leave = channel.outsider.changes(&mut theirs, RosterChange::Leave);
    channel.roster.apply(&leave).unwrap();
    assert_eq!(theirs.to_bytes(), channel.roster.to_bytes());
}

#[test]
fn who_may_invite_is_an_admin_or_another_device_of_ours() {
    let channel = joined();
    let us = channel.outsider.account();
    for inviter in [&channel.owner, &channel.admin, &channel.outsider] {
        assert!(join(&channel, &inviter.account(), &us).is_ok());
    }
    let impostor = Person::new(&mut rng(22), "admin");
    for inviter in [&channel.member, &channel.banned, &impostor] {
        let refused = join(&channel, &inviter.account(), &us);
        assert_eq!(refused.unwrap_err(), JoinError::NotTheirsToInvite);
    }
    let not_us = Person::new(&mut rng(23), "outsider");
    for us in [channel.banned.account(), not_us.account()] {
        let refused = join(&channel, &channel.admin.account(), &us);
        assert_eq!(refused.unwrap_err(), JoinError::NotInvited);
    }
}

#[test]
fn a_server_cannot_show_a_joiner_another_roster() {
    let channel = joined();
    let (inviter, us) = (channel.admin.account(), channel.outsider.account());
    let invitation = channel.roster.invitation();
    let other = |snapshot: &Roster, entries: &[Signed<RosterEntry>]| {
        let refused = Roster::from_snapshot(&snapshot.to_bytes(), &invitation, &inviter, &us);
        assert_eq!(refused.unwrap_err(), JoinError::OtherRoster);
        Roster::from_history(entries, &invitation, &inviter, &us).unwrap_err()
    };
    // One with another member, by an admin who helps the server.
    let mut entries = history(&channel);
    entries.pop();
    let mut forked = Channel::new(21).roster;
    let spy = Person::new(&mut rng(24), "spy");
    for change in [RosterChange::Add(spy.account()), RosterChange::Add(us.clone())] {
        let entry = channel.other_admin.changes(&mut forked, change);
        entries.push(entry.signed().clone());
        assert_eq!(other(&forked, &entries), JoinError::OtherRoster);
    }
    // The same one, earlier and later.
    let mut later = channel.roster.clone();
    let entry = channel.owner.changes(&mut later, RosterChange::Confirm);
    let entries = [history(&channel), vec![entry.signed().clone()]].concat();
    assert_eq!(other(&later, &entries), JoinError::OtherRoster);
    let earlier = &history(&channel)[..channel.entries.len() - 1];
    assert_eq!(other(&Channel::new(21).roster, earlier), JoinError::OtherRoster);
    // Another channel, and none at all.
    let stranger = Channel::new(25);
    assert_eq!(
        other(&stranger.roster, &history(&stranger)),
        JoinError::OtherRoster
    );
    assert_eq!(other(&stranger.roster, &[]), JoinError::OtherRoster);
    assert_eq!(
        other(&stranger.roster, &history(&channel)[1..]),
        JoinError::OtherRoster
    );
    // Entries that break the rules.
    let mut entries = history(&channel);
    let theft = channel
        .member
        .entry(&channel.roster, RosterChange::HandOver(us.address.clone()));
    let last = entries.len() - 1;
    entries[last] = theft.signed().clone();
    assert!(matches!(other(&forked, &entries), JoinError::Entry(_)));
}

#[test]
fn an_invitation_that_contradicts_itself_is_refused() {
    let channel = joined();
    let (inviter, us) = (channel.admin.account(), channel.outsider.account());
    let bytes = channel.roster.invitation().to_bytes();
    assert_eq!(bytes.len(), sottovoce_crypto::statements::ROSTER_INVITATION_LEN);
    assert_eq!(
        RosterInvitation::from_bytes(&bytes),
        Ok(channel.roster.invitation())
    );
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        if position == 0 {
            let refused = RosterInvitation::from_bytes(&changed).unwrap_err();
            assert_eq!(refused, RosterStateError::UnsupportedVersion);
            continue;
        }
        let invitation = RosterInvitation::from_bytes(&changed).unwrap();
        let snapshot = channel.roster.to_bytes();
        assert!(Roster::from_snapshot(&snapshot, &invitation, &inviter, &us).is_err());
        assert!(Roster::from_history(&history(&channel), &invitation, &inviter, &us).is_err());
    }
    for length in 0..bytes.len() {
        assert!(RosterInvitation::from_bytes(&bytes[..length]).is_err());
    }
    assert!(RosterInvitation::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn every_flipped_bit_of_a_snapshot_is_refused() {
    let channel = joined();
    let invitation = channel.roster.invitation();
    let (inviter, us) = (channel.admin.account(), channel.outsider.account());
    let bytes = channel.roster.to_bytes();
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1 << (position % 8);
        let refused = Roster::from_snapshot(&changed, &invitation, &inviter, &us);
        assert_eq!(refused.unwrap_err(), JoinError::OtherRoster);
    }
}

#[test]
fn a_stored_roster_is_read_strictly() {
    let channel = joined();
    let bytes = channel.roster.to_bytes();
    assert_eq!(Roster::from_bytes(&bytes).unwrap(), channel.roster);
    for length in 0..bytes.len() {
        assert_eq!(
            Roster::from_bytes(&bytes[..length]),
            Err(RosterStateError::Malformed)
        );
    }
    let malformed = Err(RosterStateError::Malformed);
    assert_eq!(Roster::from_bytes(&[&bytes[..], &[0]].concat()), malformed);
    let with = |position: usize, new: &[u8]| {
        let mut changed = bytes.clone();
        changed[position..position + new.len()].copy_from_slice(new);
        Roster::from_bytes(&changed)
    };
    assert_eq!(with(0, &[2]), Err(RosterStateError::UnsupportedVersion));
    assert_eq!(with(1, &[0x0a]), malformed);
    assert_eq!(with(2, &[0; 32]), malformed, "a channel that is not its genesis");
    let (height, departed_at) = (2 + 32, 2 + 32 + 40);
    assert_eq!(with(height, &9_u64.to_be_bytes()), malformed, "a hash too few");
    assert_eq!(with(height, &7_u64.to_be_bytes()), malformed, "a hash too many");
    assert_eq!(
        with(departed_at, &9_u64.to_be_bytes()),
        malformed,
        "who leaves later"
    );
    let members = departed_at + 8 + 8 * 32;
    assert_eq!(bytes[members..members + 4], [0, 0, 0, 6]);
    assert_eq!(with(members, &[0, 0, 0, 7]), malformed);
    assert_eq!(with(members, &[0xff; 4]), malformed);
    // The first is the second admin: "admin2@chat.example", key, role, version.
    let role = members + 4 + 1 + 19 + 32;
    assert_eq!(bytes[role], Role::Admin as u8);
    assert_eq!(with(role, &[0]), malformed);
    assert_eq!(with(role, &[3]), malformed, "a second owner");
    assert_eq!(with(members + 5, b"o"), malformed, "out of order");
    let banned = bytes.len() - 4 - 1 - 19;
    assert_eq!(with(banned + 5, b"member"), malformed, "a banned member");
    assert_eq!(with(banned, &[0, 0, 0, 2]), malformed);
}

proptest! {
    #[test]
    fn a_roster_that_is_read_is_what_would_be_written(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = Channel::new(21).roster.to_bytes();
        for (position, byte) in changes {
            let position = position.index(bytes.len());
            bytes[position] = byte;
        }
        if let Ok(roster) = Roster::from_bytes(&bytes) {
            prop_assert_eq!(roster.to_bytes(), bytes);
        }
    }

    #[test]
    fn no_bytes_make_reading_a_roster_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Roster::from_bytes(&bytes);
        let _ = RosterInvitation::from_bytes(&bytes);
        let _ = Signed::<RosterEntry>::from_parts(&bytes, &[0; 64]);
        let mut state = vec![0x01, 0x0b];
        state.extend_from_slice(&bytes);
        let _ = Roster::from_bytes(&state);
        let mut statement = b"Sottovoce-v1\x06\x02".to_vec();
        statement.extend_from_slice(&bytes);
        let _ = Signed::<RosterEntry>::from_parts(&statement, &[0; 64]);
    }
}
