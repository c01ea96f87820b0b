//! The chain of entries: founded, followed, and never forked.

use sottovoce_proto::v1::ListChannelsRequest;
use sottovoce_statements::{Role, RosterChange, RosterEntry};
use tonic_types::StatusExt;

use super::{Club, Person, found, genesis};
use crate::common::{TestServer, dump, reason, statement, with_token};

#[tokio::test]
async fn a_channel_is_founded_once_however_often_it_is_asked_for() {
    let club = Club::new().await;
    let before = dump(&club.server.database).await;
    let again = found(&club.channels, &club.alice, genesis(&club.alice.device, 1)).await;
    assert_eq!(again.unwrap(), club.id().as_bytes());
    assert_eq!(dump(&club.server.database).await, before);
    let other = found(&club.channels, &club.alice, genesis(&club.alice.device, 2)).await;
    assert_ne!(other.unwrap(), club.id().as_bytes());
    club.server.stop().await;
}

#[tokio::test]
async fn identical_foundings_at_one_time_make_one_channel() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let club = Club::founded(server, clients).await;
    let mut foundings = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (channels, alice) = (club.channels.clone(), club.alice.clone());
        foundings.spawn(async move { found(&channels, &alice, genesis(&alice.device, 7)).await.unwrap() });
    }
    let ids = foundings.join_all().await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(listed(&club, &club.alice, &[]).await.len(), 2);
    club.server.stop().await;
}

async fn listed(club: &Club, who: &Person, after: &[u8]) -> Vec<(Vec<u8>, u64)> {
    let request = ListChannelsRequest {
        after_channel_id: after.to_vec(),
    };
    let mut channels = club.channels.clone();
    let answer = channels.list_channels(with_token(&who.token, request));
    let listed = answer.await.unwrap().into_inner().channels;
    listed
        .into_iter()
        .map(|channel| (channel.channel_id, channel.head_height))
        .collect()
}

#[tokio::test]
async fn an_account_lists_the_channels_it_is_in_and_no_others() {
    let mut club = Club::new().await;
    let second = found(&club.channels, &club.bob, genesis(&club.bob.device, 3))
        .await
        .unwrap();
    let first = club.id().as_bytes().to_vec();
    let mut both = vec![(first.clone(), 2), (second.clone(), 0)];
    both.sort();
    assert_eq!(listed(&club, &club.alice, &[]).await, [(first.clone(), 2)]);
    assert_eq!(listed(&club, &club.bob, &[]).await, both);
    let after_the_first = listed(&club, &club.bob, &both[0].0).await;
    assert_eq!(after_the_first, both[1..]);
    let bob = club.bob.clone();
    club.change(&bob, RosterChange::Leave).await.unwrap();
    assert_eq!(listed(&club, &club.bob, &[]).await, [(second, 0)]);
    club.server.stop().await;
}

#[tokio::test]
async fn an_entry_that_does_not_follow_the_head_is_a_conflict_that_tells_the_head() {
    let mut club = Club::new().await;
    let alice = club.alice.clone();
    let fork = club.entry(&alice, RosterChange::Remove(club.bob.device.address.clone()));
    let taken = club.entry(&alice, RosterChange::Confirm);
    club.change(&alice, RosterChange::Confirm).await.unwrap();
    let on_nothing = RosterEntry {
        previous: [7; 32],
        ..club.entry(&alice, RosterChange::Confirm)
    };
    let gap = RosterEntry {
        height: club.height() + 2,
        ..club.entry(&alice, RosterChange::Confirm)
    };
    let before = dump(&club.server.database).await;
    for (what, entry) in [("fork", fork), ("on nothing", on_nothing), ("gap", gap)] {
        let status = club.append(&alice, entry).await.unwrap_err();
        assert_eq!(reason(&status), "ROSTER_CONFLICT", "{what}");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["height"], "3", "{what}");
    }
    assert_eq!(club.append(&alice, taken).await.unwrap(), 3, "a repeat is good");
    assert_eq!(dump(&club.server.database).await, before);
    club.server.stop().await;
}

#[tokio::test]
async fn an_entry_may_be_repeated_after_others_followed_and_after_its_signer_left() {
    let mut club = Club::new().await;
    let (alice, bob) = (club.alice.clone(), club.bob.clone());
    let confirmed = club.entry(&bob, RosterChange::Confirm);
    club.change(&bob, RosterChange::Confirm).await.unwrap();
    club.change(&alice, RosterChange::Confirm).await.unwrap();
    assert_eq!(club.append(&bob, confirmed.clone()).await.unwrap(), 3);
    let left = club.entry(&bob, RosterChange::Leave);
    club.change(&bob, RosterChange::Leave).await.unwrap();
    for (entry, height) in [(left, 5), (confirmed, 3)] {
        assert_eq!(club.append(&bob, entry).await.unwrap(), height);
    }
    let more = club.entry(&bob, RosterChange::Confirm);
    let status = club.append(&bob, more).await.unwrap_err();
    assert_eq!(reason(&status), "CHANNEL_UNKNOWN");
    club.server.stop().await;
}

#[tokio::test]
async fn of_two_admins_who_sign_for_one_height_exactly_one_is_taken() {
    let mut club = Club::new().await;
    let (alice, bob) = (club.alice.clone(), club.bob.clone());
    let admin = RosterChange::SetRole {
        address: bob.device.address.clone(),
        role: Role::Admin,
    };
    club.change(&alice, admin).await.unwrap();
    for round in 0..20 {
        let name = format!("guest{round}");
        let guest = Person::join(&club.clients, &name).await;
        let add = club.entry(&alice, RosterChange::Add(guest.account()));
        let remove = club.entry(&bob, RosterChange::Confirm);
        let (first, second) = tokio::join!(
            club.append(&alice, add.clone()),
            club.append(&bob, remove.clone())
        );
        let (by, winner, loser) = match (first, second) {
            (Ok(_), Err(loser)) => (&alice, add, loser),
            (Err(loser), Ok(_)) => (&bob, remove, loser),
            both => panic!("{both:?}"),
        };
        assert_eq!(reason(&loser), "ROSTER_CONFLICT");
        club.roster.apply(&super::checked(&by.device, winner)).unwrap();
    }
    // What everybody reads is one chain, and the one that the winners have.
    let answer = club.entries(&club.carol, 0).await.unwrap();
    assert_eq!(answer.head_height, club.height());
    let last = answer.entries.last().unwrap();
    assert_eq!(answer.entries.len() as u64, club.height() + 1);
    use sha2::{Digest, Sha256};
    assert_eq!(
        Sha256::digest(&last.statement).as_slice(),
        club.roster.head().hash
    );
    club.server.stop().await;
}

#[tokio::test]
async fn an_entry_is_taken_from_the_device_that_signed_it_alone() {
    let club = Club::new().await;
    let entry = club.entry(&club.alice, RosterChange::Confirm);
    let signed = statement(entry.clone(), &club.alice.device.identity);
    let status = club.append_signed(&club.bob, signed).await.unwrap_err();
    assert_eq!(reason(&status), "ROSTER_REFUSED");
    let forged = statement(entry.clone(), &club.bob.device.identity);
    let status = club.append_signed(&club.alice, forged).await.unwrap_err();
    assert_eq!(reason(&status), "SIGNATURE_INVALID");
    let mut newer = entry.clone();
    newer.signer.manifest_version = 2;
    let mut other = entry;
    other.signer.manifest_hash = [9; 32];
    for entry in [newer, other] {
        let status = club.append(&club.alice, entry).await.unwrap_err();
        assert_eq!(reason(&status), "MANIFEST_CONFLICT");
    }
    club.server.stop().await;
}

#[tokio::test]
async fn an_account_is_in_no_more_channels_than_it_may() {
    let server = TestServer::start_limited(|limits| limits.max_channels_per_account = 2).await;
    let mut club = Club::on(server).await;
    let (alice, bob) = (club.alice.clone(), club.bob.clone());
    found(&club.channels, &bob, genesis(&bob.device, 2))
        .await
        .unwrap();
    let status = found(&club.channels, &bob, genesis(&bob.device, 3))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "QUOTA_EXCEEDED");
    assert_eq!(
        status.get_error_details().error_info().unwrap().metadata["limit"],
        "2"
    );
    found(&club.channels, &bob, genesis(&bob.device, 2))
        .await
        .expect("a repeat is good whatever the count");
    // Nor is he added to a third; once he has left one he is.
    let dave = Person::join(&club.clients, "dave").await;
    for salt in [2, 3] {
        found(&club.channels, &dave, genesis(&dave.device, salt))
            .await
            .unwrap();
    }
    let status = club
        .change(&alice, RosterChange::Add(dave.account()))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "QUOTA_EXCEEDED");
    club.change(&bob, RosterChange::Leave).await.unwrap();
    found(&club.channels, &bob, genesis(&bob.device, 3))
        .await
        .unwrap();
    club.server.stop().await;
}

#[tokio::test]
async fn a_roster_has_no_more_entries_than_it_may() {
    let server = TestServer::start_limited(|limits| limits.max_roster_entries = 4).await;
    let mut club = Club::on(server).await;
    let alice = club.alice.clone();
    club.change(&alice, RosterChange::Confirm).await.unwrap();
    let status = club.change(&alice, RosterChange::Confirm).await.unwrap_err();
    assert_eq!(reason(&status), "QUOTA_EXCEEDED");
    club.server.stop().await;
}
