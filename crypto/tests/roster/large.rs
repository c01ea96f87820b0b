//! Channels as large as they may be.

use std::time::{Duration, Instant};

use sottovoce_crypto::statements::{
    Account, Address, ApplyError, ChangeError, MAX_BANNED, MAX_MEMBERS, MAX_RECENT_ENTRIES,
    MAX_ROSTER_ENTRY_LEN, MAX_ROSTER_LEN, ROSTER_INVITATION_LEN, ROSTER_SALT_LEN, Roster, RosterChange,
};

use crate::people::{Person, found, rng};

/// The longest address there is, with a number in it.
fn longest(number: usize) -> Address {
    let server = ["s".repeat(63), "t".repeat(64)].join(".");
    Address::parse(&format!("{number:032}@{server}")).unwrap()
}

/// The owner, and a roster of as many members as there may be, added by the owner one by one.
fn full(owner: &Person) -> Roster {
    let (mut roster, _) = found(&mut rng(31), owner);
    for number in 1..MAX_MEMBERS {
        let account = Account {
            address: longest(number),
            account_key: owner.account.public(),
        };
        owner.changes(&mut roster, RosterChange::Add(account));
    }
    roster
}

#[test]
fn a_channel_of_ten_thousand_members_works_and_takes_no_more() {
    let mut owner = Person::new(&mut rng(30), "owner");
    owner.address = longest(0);
    owner.manifests.clear();
    owner.publish(&[0]);
    let mut roster = full(&owner);
    assert_eq!(roster.members().len(), MAX_MEMBERS);

    let one_more = |number| {
        RosterChange::Add(Account {
            address: longest(number),
            account_key: owner.account.public(),
        })
    };
    let add = owner.entry(&roster, one_more(MAX_MEMBERS));
    assert_eq!(add.signed().statement_bytes().len(), MAX_ROSTER_ENTRY_LEN);
    let refused = roster.clone().apply(&add).unwrap_err();
    assert_eq!(refused, ApplyError::Refused(ChangeError::ChannelFull));

    for number in 0..MAX_BANNED {
        let ban = RosterChange::Ban(longest(MAX_MEMBERS + number));
        owner.changes(&mut roster, ban);
    }
    let refused = roster.next_entry(RosterChange::Ban(longest(1)), owner.signer());
    assert_eq!(refused.unwrap_err(), ChangeError::ChannelFull);

    let bytes = roster.to_bytes();
    assert_eq!(bytes.len(), MAX_ROSTER_LEN);
    assert_eq!(Roster::from_bytes(&bytes).unwrap(), roster);
    let longer = [&bytes[..], &[0]].concat();
    assert!(Roster::from_bytes(&longer).is_err());

    owner.changes(&mut roster, RosterChange::Remove(longest(7)));
    owner.changes(&mut roster, one_more(7));
}

/// An entry costs the same in a large channel as in a small one, but for the depth of a tree.
#[test]
fn an_entry_is_applied_without_a_walk_through_the_members() {
    let owner = Person::new(&mut rng(30), "owner");
    let (small, _) = found(&mut rng(31), &owner);
    let large = full(&owner);
    let time = |roster: &Roster| {
        let entries: Vec<_> = (0..200)
            .scan(roster.clone(), |roster, _| {
                Some(owner.changes(roster, RosterChange::Confirm))
            })
            .collect();
        // The best of several, as others use the machine too.
        let run = || {
            let mut roster = roster.clone();
            let start = Instant::now();
            entries.iter().for_each(|entry| {
                roster.apply(entry).unwrap();
            });
            start.elapsed()
        };
        (0..7).map(|_| run()).min().unwrap()
    };
    let (small, large) = (time(&small), time(&large));
    // A copy of 10,000 members for each entry would make it hundreds of times slower.
    assert!(
        large < small * 20 + Duration::from_millis(10),
        "{small:?} and {large:?}"
    );
}

#[test]
fn the_limits_of_rosters_are_as_the_specification_says() {
    assert_eq!((MAX_MEMBERS, MAX_BANNED), (10_000, 10_000));
    assert_eq!((MAX_RECENT_ENTRIES, ROSTER_SALT_LEN), (256, 16));
    assert_eq!((MAX_ROSTER_ENTRY_LEN, ROSTER_INVITATION_LEN), (533, 105));
    assert_eq!(MAX_ROSTER_LEN, 3_658_250);
}
