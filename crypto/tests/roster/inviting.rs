//! What protects a joiner from the inviter: the chain, if every signature in it is checked, and nothing else.

use sottovoce_crypto::statements::{JoinError, Roster, RosterChange, RosterEntry, RunEntry, Signed};

use crate::catching_up::{channel, current};
use crate::people::{Channel, next};

fn run(channel: &Channel) -> Vec<RunEntry> {
    channel.entries.iter().cloned().map(RunEntry::Current).collect()
}

/// The channel's bytes with a plain member written down as the owner.
fn usurped(channel: &Channel) -> Vec<u8> {
    let mut bytes = channel.roster.to_bytes();
    for (person, role) in [(&channel.member, 3), (&channel.owner, 1)] {
        let key = *person.account.public().as_bytes();
        let at = bytes.windows(32).position(|bytes| *bytes == key).unwrap();
        bytes[at + 32] = role;
    }
    bytes
}

#[test]
fn an_inviter_can_invent_a_snapshot_and_no_checked_history() {
    let channel = Channel::new(5);
    let (inviter, us) = (channel.member.account(), channel.other_member.account());
    let bytes = usurped(&channel);
    let invitation = Roster::from_bytes(&bytes).unwrap().invitation();
    // The specification says that a snapshot is the inviter's word and no more.
    let joined = Roster::from_snapshot(&bytes, &invitation, &inviter, &us).unwrap();
    assert_eq!(*joined.owner(), channel.member.address);
    assert_eq!(joined.channel_id(), channel.roster.channel_id());
    let refused = Roster::from_checked_history(&run(&channel), &invitation, &inviter, &us);
    assert_eq!(refused.unwrap_err(), JoinError::OtherRoster);
    // A chain of entries without their signers' signatures is the inviter's word as well.
    let mut forged = channel.roster.clone();
    let theft = next(
        &channel.roster,
        channel.owner.signer(),
        RosterChange::HandOver(channel.member.address.clone()),
    );
    let theft = channel.member.sign(theft);
    assert!(
        channel.owner.check(theft.clone()).is_err(),
        "no checked entry comes of it"
    );
    let signed = channel.entries.iter().map(|entry| entry.signed().clone());
    let entries: Vec<Signed<RosterEntry>> = signed.chain([theft]).collect();
    let real = channel
        .owner
        .entry(&forged, entries.last().unwrap().claimed().change.clone());
    forged.apply(&real).unwrap();
    let joined = Roster::from_history(&entries, &forged.invitation(), &inviter, &us);
    assert_eq!(joined.unwrap().to_bytes(), forged.to_bytes());
}

#[test]
fn a_checked_history_is_the_whole_chain_and_all_confirmed() {
    let mut channel = channel();
    channel.owner.publish(&[1]);
    let (inviter, us) = (channel.admin.account(), channel.member.account());
    // The device that founded the channel and made all its entries is revoked.
    let mut run: Vec<_> = channel
        .entries
        .iter()
        .map(|entry| RunEntry::Past(channel.owner.check_past(entry.signed().clone()).unwrap()))
        .collect();
    let join = |run: &[RunEntry], roster: &Roster| {
        Roster::from_checked_history(run, &roster.invitation(), &inviter, &us)
    };
    let mut roster = channel.roster.clone();
    assert_eq!(
        join(&run, &roster).unwrap_err(),
        JoinError::Unconfirmed { height: 0 }
    );
    run.push(current(&channel.owner, 1, &mut roster, RosterChange::Confirm));
    assert_eq!(join(&run, &roster).unwrap().to_bytes(), roster.to_bytes());
    for (from, to) in [(1, run.len()), (0, run.len() - 1), (0, 0)] {
        assert!(join(&run[from..to], &roster).is_err());
    }
}
