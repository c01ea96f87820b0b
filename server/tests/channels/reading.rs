//! Reading a roster: members all of it, who left as far as they were there, and strangers nothing.

use sottovoce_statements::{Roster, RosterChange, RosterEntry, Signed};

use super::{Club, Person, manifest};
use crate::common::{TestServer, reason};

#[tokio::test]
async fn who_was_removed_reads_up_to_the_entry_that_did_it_and_strangers_nothing() {
    let mut club = Club::new().await;
    let (alice, bob, carol) = (club.alice.clone(), club.bob.clone(), club.carol.clone());
    let dave = Person::join(&club.clients, "dave").await;
    club.change(&alice, RosterChange::Remove(bob.device.address.clone()))
        .await
        .unwrap();
    club.change(&alice, RosterChange::Confirm).await.unwrap();
    for (who, head) in [(&alice, 4), (&carol, 4), (&bob, 3)] {
        let answer = club.entries(who, 0).await.unwrap();
        assert_eq!(
            (answer.head_height, answer.entries.len() as u64),
            (head, head + 1)
        );
        let answer = club.entries(who, head).await.unwrap();
        assert_eq!(answer.entries.len(), 1);
        let beyond = club.entries(who, head + 1).await.unwrap();
        assert_eq!((beyond.head_height, beyond.entries.len()), (head, 0));
        assert!(club.entries(who, u64::MAX).await.unwrap().entries.is_empty());
    }
    let status = club.entries(&dave, 0).await.unwrap_err();
    assert_eq!(reason(&status), "CHANNEL_UNKNOWN");
    // Somebody who comes back reads what happened in between.
    club.change(&alice, RosterChange::Add(bob.account()))
        .await
        .unwrap();
    assert_eq!(club.entries(&bob, 0).await.unwrap().entries.len(), 6);
    club.server.stop().await;
}

#[tokio::test]
async fn a_long_roster_is_read_page_by_page_and_adds_up() {
    let server = TestServer::start_limited(|limits| limits.rates.scale = 1_000).await;
    let mut club = Club::on(server).await;
    let alice = club.alice.clone();
    for _ in 0..300 {
        club.change(&alice, RosterChange::Confirm).await.unwrap();
    }
    let mut read = Vec::new();
    loop {
        let answer = club.entries(&club.bob, read.len() as u64).await.unwrap();
        assert_eq!(answer.head_height, 302);
        assert!(answer.entries.len() <= 256);
        if answer.entries.is_empty() {
            break;
        }
        read.extend(answer.entries);
    }
    assert_eq!(read.len(), 303);
    let mut roster: Option<Roster> = None;
    for entry in read {
        let signed = Signed::<RosterEntry>::from_parts(&entry.statement, &entry.signature).unwrap();
        let by = sottovoce_statements::CurrentEntry::check(signed, &manifest(&alice.device)).unwrap();
        match &mut roster {
            None => roster = Some(Roster::found(&by).unwrap()),
            Some(roster) => drop(roster.apply(&by).unwrap()),
        }
    }
    assert_eq!(roster.unwrap().to_bytes(), club.roster.to_bytes());
    club.server.stop().await;
}
