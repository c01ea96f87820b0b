//! Posts: taken once, for exactly the members there are.

use sottovoce_proto::v1::PostRequest;
use sottovoce_statements::{DeviceId, RosterChange};
use tonic_types::StatusExt;

use super::{Club, Person, assert_quiet, next, numbers};
use crate::common::{Device, TestServer, add_device, dump, id, reason, with_token};

#[tokio::test]
async fn a_post_reaches_every_member_but_the_posting_device() {
    let club = Club::new().await;
    let mut alices = club.subscribe(&club.alice).await;
    let mut bobs = club.subscribe(&club.bob).await;
    let receipt = club.post(&club.alice, club.letter(1)).await.unwrap();
    // One is listening, the other comes later.
    let to_bob = next(&mut bobs).await;
    let to_carol = next(&mut club.subscribe(&club.carol).await).await;
    assert_eq!(to_bob, to_carol);
    assert_eq!(to_bob.sender, "alice@localhost");
    assert_eq!(to_bob.sender_device_id, club.alice.device.id.as_bytes());
    assert_eq!(to_bob.channel_id, club.id().as_bytes());
    assert_eq!(to_bob.ciphertext, b"1");
    assert_eq!(to_bob.received_at_ms, receipt.accepted_at_ms);
    assert_eq!((to_bob.envelope_id.len(), to_bob.ephemeral), (16, false));
    assert_quiet(&mut alices).await;
    club.server.stop().await;
}

#[tokio::test]
async fn the_other_devices_of_the_posting_account_get_it_too() {
    let club = Club::new().await;
    let second = DeviceId::from_bytes([0xee; 16]);
    add_device(&club.server.database, &club.alice.device, second).await;
    club.post(&club.alice, club.letter(1)).await.unwrap();
    // Delivered to both others by then.
    next(&mut club.subscribe(&club.bob).await).await;
    next(&mut club.subscribe(&club.carol).await).await;
    let rows = dump(&club.server.database).await;
    let envelopes: Vec<_> = rows.iter().filter(|row| row.starts_with("envelopes: ")).collect();
    assert_eq!(envelopes.len(), 3);
    let second = hex::encode(second.as_bytes());
    assert!(envelopes.iter().any(|row| row.to_lowercase().contains(&second)));
    let own = hex::encode(club.alice.device.id.as_bytes());
    assert!(!envelopes.iter().any(|row| row.to_lowercase().contains(&own)));
    club.server.stop().await;
}

#[tokio::test]
async fn a_repeated_post_gets_the_first_receipt_and_is_delivered_once() {
    let mut club = Club::new().await;
    let alice = club.alice.clone();
    let first = club.letter(1);
    let receipt = club.post(&alice, first.clone()).await.unwrap();
    assert_eq!(club.post(&alice, first.clone()).await.unwrap(), receipt);
    let mut bobs = club.subscribe(&club.bob).await;
    assert_eq!(numbers(&club.clients, &club.bob.token, &mut bobs, 1).await, [1]);
    // Also when the roster has changed since, and after it was acknowledged.
    club.change(&alice, RosterChange::Confirm).await.unwrap();
    assert_eq!(club.post(&alice, first.clone()).await.unwrap(), receipt);
    assert_quiet(&mut bobs).await;
    let other = |change: &dyn Fn(&mut PostRequest)| {
        let mut request = first.clone();
        change(&mut request);
        request
    };
    for other in [
        other(&|post| post.ciphertext.push(0)),
        other(&|post| post.roster_height += 1),
        other(&|post| post.channel_id = vec![7; 32]),
    ] {
        let status = club.post(&alice, other).await.unwrap_err();
        assert_eq!(reason(&status), "MESSAGE_ID_CONFLICT");
    }
    // A send and a post do not share an id either.
    let send = Device::letter(&club.bob.device, 1, b"1");
    let status = club
        .clients
        .mailbox
        .clone()
        .send(with_token(&alice.token, send))
        .await;
    assert_eq!(reason(&status.unwrap_err()), "MESSAGE_ID_CONFLICT");
    club.server.stop().await;
}

#[tokio::test]
async fn identical_posts_at_one_time_make_one() {
    let club = Club::new().await;
    let mut posts = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (mut channels, token) = (club.channels.clone(), club.alice.token.clone());
        let request = club.letter(1);
        posts.spawn(async move {
            channels
                .post(with_token(&token, request))
                .await
                .unwrap()
                .into_inner()
        });
    }
    let receipts = posts.join_all().await;
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0]));
    let mut bobs = club.subscribe(&club.bob).await;
    assert_eq!(numbers(&club.clients, &club.bob.token, &mut bobs, 1).await, [1]);
    assert_quiet(&mut bobs).await;
    club.server.stop().await;
}

#[tokio::test]
async fn a_post_under_another_roster_than_the_newest_is_refused_with_the_head() {
    let mut club = Club::new().await;
    let alice = club.alice.clone();
    let old = club.letter(1);
    club.change(&alice, RosterChange::Confirm).await.unwrap();
    let ahead = PostRequest {
        roster_height: 4,
        ..club.letter(1)
    };
    let before = dump(&club.server.database).await;
    for request in [old, ahead] {
        let status = club.post(&alice, request).await.unwrap_err();
        assert_eq!(reason(&status), "ROSTER_STALE");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["height"], "3");
    }
    assert_eq!(dump(&club.server.database).await, before);
    club.post(&alice, club.letter(1))
        .await
        .expect("a refused post leaves its id free");
    club.server.stop().await;
}

#[tokio::test]
async fn who_comes_gets_what_follows_and_who_goes_gets_nothing_more() {
    let mut club = Club::new().await;
    let (alice, bob, carol) = (club.alice.clone(), club.bob.clone(), club.carol.clone());
    let dave = Person::join(&club.clients, "dave").await;
    let stranger = club.post(&dave, club.letter(9)).await.unwrap_err();
    assert_eq!(reason(&stranger), "CHANNEL_UNKNOWN");
    club.post(&alice, club.letter(1)).await.unwrap();
    let mut bobs = club.subscribe(&bob).await;
    let mut carols = club.subscribe(&carol).await;
    let mut daves = club.subscribe(&dave).await;
    assert_eq!(numbers(&club.clients, &bob.token, &mut bobs, 1).await, [1]);
    club.change(&alice, RosterChange::Add(dave.account()))
        .await
        .unwrap();
    club.change(&alice, RosterChange::Remove(bob.device.address.clone()))
        .await
        .unwrap();
    let status = club.post(&bob, club.letter(1)).await.unwrap_err();
    assert_eq!(reason(&status), "CHANNEL_UNKNOWN");
    club.post(&alice, club.letter(2)).await.unwrap();
    assert_eq!(numbers(&club.clients, &dave.token, &mut daves, 1).await, [2]);
    assert_eq!(numbers(&club.clients, &carol.token, &mut carols, 2).await, [1, 2]);
    assert_quiet(&mut bobs).await;
    assert_quiet(&mut daves).await;
    club.server.stop().await;
}

#[tokio::test]
async fn posts_of_several_members_come_to_all_in_one_order() {
    let club = Club::new().await;
    let mut posting = tokio::task::JoinSet::new();
    for (who, numbers) in [(&club.alice, 0..40), (&club.bob, 100..140)] {
        let (channels, who) = (club.channels.clone(), who.clone());
        let letters: Vec<_> = numbers.map(|n| club.letter(n)).collect();
        posting.spawn(async move {
            for letter in letters {
                channels
                    .clone()
                    .post(with_token(&who.token, letter))
                    .await
                    .unwrap();
            }
        });
    }
    posting.join_all().await;
    let mut carols = club.subscribe(&club.carol).await;
    let all = numbers(&club.clients, &club.carol.token, &mut carols, 80).await;
    let by = |alice: bool| {
        all.iter()
            .copied()
            .filter(move |n| (*n < 100) == alice)
            .collect::<Vec<_>>()
    };
    assert_eq!(by(true), (0..40).collect::<Vec<_>>());
    assert_eq!(by(false), (100..140).collect::<Vec<_>>());
    // Each other's posts in the order in which everybody has them.
    let mut alices = club.subscribe(&club.alice).await;
    assert_eq!(
        numbers(&club.clients, &club.alice.token, &mut alices, 40).await,
        by(false)
    );
    let mut bobs = club.subscribe(&club.bob).await;
    assert_eq!(
        numbers(&club.clients, &club.bob.token, &mut bobs, 40).await,
        by(true)
    );
    club.server.stop().await;
}

#[tokio::test]
async fn a_full_mailbox_goes_without_and_holds_up_nobody() {
    let server = TestServer::start_limited(|limits| limits.max_mailbox_messages = 3).await;
    let club = Club::on(server).await;
    let mut carols = club.subscribe(&club.carol).await;
    for n in 1..=6 {
        club.post(&club.alice, club.letter(n)).await.unwrap();
        assert_eq!(
            numbers(&club.clients, &club.carol.token, &mut carols, 1).await,
            [n]
        );
    }
    let mut bobs = club.subscribe(&club.bob).await;
    assert_eq!(
        numbers(&club.clients, &club.bob.token, &mut bobs, 3).await,
        [1, 2, 3]
    );
    assert_quiet(&mut bobs).await;
    club.post(&club.alice, club.letter(7)).await.unwrap();
    assert_eq!(numbers(&club.clients, &club.bob.token, &mut bobs, 1).await, [7]);
    club.server.stop().await;
}

#[tokio::test]
async fn a_ciphertext_is_kept_once_and_is_gone_with_the_last_acknowledgement() {
    let club = Club::new().await;
    let marked = PostRequest {
        ciphertext: b"an unmistakable ciphertext".to_vec(),
        ..club.letter(1)
    };
    let marker = hex::encode(&marked.ciphertext);
    club.post(&club.alice, marked).await.unwrap();
    let mut bobs = club.subscribe(&club.bob).await;
    let mut carols = club.subscribe(&club.carol).await;
    let (to_bob, to_carol) = (next(&mut bobs).await, next(&mut carols).await);
    let kept = async || {
        let rows = dump(&club.server.database).await;
        rows.iter()
            .filter(|row| row.to_lowercase().contains(&marker))
            .count()
    };
    assert_eq!(kept().await, 1);
    super::acknowledge(&club.clients, &club.bob.token, vec![to_bob.envelope_id]).await;
    assert_eq!(kept().await, 1);
    super::acknowledge(&club.clients, &club.carol.token, vec![to_carol.envelope_id]).await;
    assert_eq!(kept().await, 0);
    club.server.stop().await;
}

#[tokio::test]
async fn a_long_post_waits_whole_beside_messages_in_their_order() {
    let club = Club::new().await;
    let long = PostRequest {
        ciphertext: vec![0xc7; 128 * 1024],
        ..club.letter(1)
    };
    let mut carols = club.subscribe(&club.carol).await;
    club.post(&club.alice, long.clone()).await.unwrap();
    assert_eq!(next(&mut carols).await.ciphertext, long.ciphertext);
    Device::send_numbers(&club.clients, &club.alice.token, &club.bob.device, 2..=2).await;
    let mut bobs = club.subscribe(&club.bob).await;
    let (first, second) = (next(&mut bobs).await, next(&mut bobs).await);
    assert_eq!((first.ciphertext, first.channel_id.len()), (long.ciphertext, 32));
    assert_eq!((second.ciphertext, second.channel_id.len()), (b"2".to_vec(), 0));
    club.server.stop().await;
}

#[tokio::test]
async fn a_device_that_has_used_its_message_ids_up_posts_no_more() {
    let server = TestServer::start_limited(|limits| limits.max_receipts_per_device = 2).await;
    let club = Club::on(server).await;
    for n in 1..=2 {
        club.post(&club.alice, club.letter(n)).await.unwrap();
    }
    let status = club.post(&club.alice, club.letter(3)).await.unwrap_err();
    assert_eq!(reason(&status), "SERVER_FULL");
    assert_eq!(
        status.get_error_details().error_info().unwrap().metadata["limit"],
        "2"
    );
    club.post(&club.alice, club.letter(2))
        .await
        .expect("a repeat is good");
    club.post(&club.bob, club.letter(3)).await.expect("others go on");
    assert_eq!(club.letter(3).client_message_id, id(3));
    club.server.stop().await;
}
