//! What has a time: scheduled messages and their share of a mailbox, and envelopes that expire.

use std::time::{Duration, Instant};

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{CancelScheduledRequest, Delivery, SendRequest};
use tonic::Status;

use super::flags::now_ms;
use super::{Pair, acknowledge, alice_and_bob, assert_quiet, next, next_envelope, subscribe};
use crate::common::{Clients, Device, Look, TestServer, execute, id, reason, with_token};

async fn send(p: &Pair, request: SendRequest) -> Result<Vec<u8>, Status> {
    let request = with_token(&p.alices, request);
    let answer = p.clients.mailbox.clone().send(request).await?;
    Ok(answer.into_inner().receipt_id)
}

/// Message `n`, due at this time; 0 is at once.
fn due(p: &Pair, n: u64, deliver_after_ms: u64) -> SendRequest {
    SendRequest {
        delivery: Some(Delivery {
            deliver_after_ms,
            ..Delivery::default()
        }),
        ..Device::letter(&p.bob, n, n.to_string().as_bytes())
    }
}

async fn cancel(p: &Pair, n: u64) -> bool {
    let request = CancelScheduledRequest {
        client_message_id: id(n),
    };
    let answer = p
        .clients
        .mailbox
        .clone()
        .cancel_scheduled(with_token(&p.alices, request))
        .await;
    answer.unwrap().into_inner().cancelled
}

/// What is counted in bob's mailbox: envelopes, and bytes.
async fn counted(p: &Pair) -> String {
    let mut look = Look::into(&p.server.database).await;
    let counts = "SELECT CAST(mailbox_messages AS TEXT) || ' of ' || CAST(mailbox_bytes AS TEXT) \
                  FROM devices JOIN accounts ON accounts.id = devices.account \
                  WHERE address = 'bob@localhost'";
    let counts = look.texts(counts).await.remove(0);
    look.close().await;
    counts
}

#[tokio::test]
async fn scheduled_messages_leave_most_of_a_mailbox_to_all_others() {
    let p = alice_and_bob(TestServer::start_limited(|limits| limits.max_mailbox_messages = 16).await).await;
    let in_an_hour = now_ms() + 3_600_000;
    let receipt = send(&p, due(&p, 1, in_an_hour)).await.unwrap();
    send(&p, due(&p, 2, in_an_hour)).await.unwrap();
    let full = send(&p, due(&p, 3, in_an_hour)).await.unwrap_err();
    assert_eq!(reason(&full), "MAILBOX_FULL");
    let again = send(&p, due(&p, 1, in_an_hour)).await;
    assert_eq!(again.unwrap(), receipt, "a repeat takes no more room");
    for n in 10..24 {
        send(&p, due(&p, n, 0))
            .await
            .expect("there is room for what goes at once");
    }
    let full = send(&p, due(&p, 24, 0)).await.unwrap_err();
    assert_eq!(reason(&full), "MAILBOX_FULL", "both count in the mailbox");
    assert!(cancel(&p, 2).await);
    send(&p, due(&p, 3, in_an_hour))
        .await
        .expect("what was refused left its id free, and what was taken back its room");
    p.server.stop().await;
}

#[tokio::test]
async fn a_cancellation_asked_for_again_is_told_the_same() {
    let p = alice_and_bob(TestServer::start().await).await;
    let in_an_hour = now_ms() + 3_600_000;
    let receipt = send(&p, due(&p, 1, in_an_hour)).await.unwrap();
    send(&p, due(&p, 2, 0)).await.unwrap();
    for _ in 0..3 {
        assert!(cancel(&p, 1).await, "it was taken back");
        assert!(!cancel(&p, 2).await, "it was never waiting");
        assert!(!cancel(&p, 3).await, "it was never sent");
    }
    assert_eq!(counted(&p).await, "1 of 1", "and counted out once");
    let again = send(&p, due(&p, 1, in_an_hour)).await;
    assert_eq!(again.unwrap(), receipt, "the id stays used");
    p.server.stop().await;
}

#[tokio::test]
async fn scheduled_bytes_leave_most_of_a_mailbox_to_all_others() {
    let p = alice_and_bob(TestServer::start_limited(|limits| limits.max_mailbox_bytes = 8_000).await).await;
    let later = |n: u64, length: usize| SendRequest {
        delivery: due(&p, n, now_ms() + 3_600_000).delivery,
        ..Device::letter(&p.bob, n, &vec![1; length])
    };
    let full = send(&p, later(1, 1_001)).await.unwrap_err();
    assert_eq!(reason(&full), "MAILBOX_FULL");
    send(&p, later(2, 600)).await.unwrap();
    send(&p, later(3, 400)).await.unwrap();
    let full = send(&p, later(4, 1)).await.unwrap_err();
    assert_eq!(reason(&full), "MAILBOX_FULL");
    assert_eq!(counted(&p).await, "2 of 1000", "what was refused is not counted");
    send(&p, Device::letter(&p.bob, 5, &[1; 7_000])).await.unwrap();
    p.server.stop().await;
}

#[tokio::test]
async fn many_who_schedule_at_one_time_get_no_more_than_the_share() {
    let p = alice_and_bob(TestServer::start_limited(|limits| limits.max_mailbox_messages = 64).await).await;
    let mut sends = tokio::task::JoinSet::new();
    let in_an_hour = now_ms() + 3_600_000;
    for n in 0..32 {
        let request = with_token(&p.alices, due(&p, n, in_an_hour));
        let mut mailbox = p.clients.mailbox.clone();
        sends.spawn(async move { mailbox.send(request).await });
    }
    let taken = sends
        .join_all()
        .await
        .iter()
        .filter(|answer| answer.is_ok())
        .count();
    assert_eq!(taken, 8);
    assert_eq!(counted(&p).await.split(' ').next().unwrap(), "8");
    p.server.stop().await;
}

#[tokio::test]
async fn what_was_scheduled_comes_in_the_order_of_its_times_and_then_of_the_sends() {
    let p = alice_and_bob(TestServer::start().await).await;
    let soon = now_ms() + 1_500;
    // Taken in another order than they are due; the last three are due together.
    for (n, at) in [
        (5, soon + 2),
        (1, soon),
        (2, soon + 1),
        (3, soon + 1),
        (4, soon + 1),
    ] {
        send(&p, due(&p, n, at)).await.unwrap();
    }
    // All within one millisecond, as a server under load takes them.
    execute(&p.server.database, "UPDATE scheduled SET received_at_ms = 1").await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    let mut numbers = Vec::new();
    for _ in 0..5 {
        numbers.push(next_envelope(&mut stream).await.ciphertext);
    }
    let expected: Vec<_> = (1..=5).map(|n| n.to_string().into_bytes()).collect();
    assert_eq!(numbers, expected);
    p.server.stop().await;
}

#[tokio::test]
async fn what_was_scheduled_before_a_restart_comes_once_after_it() {
    let p = alice_and_bob(TestServer::start().await).await;
    let soon = now_ms() + 1_000;
    send(&p, due(&p, 1, soon)).await.unwrap();
    let folder = p.server.stop().await;
    while now_ms() < soon {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let server = TestServer::start_in(folder, |_| {}).await;
    let clients: Clients = server.connect().await;
    let mut stream = subscribe(&clients, &p.bobs).await;
    // It may be there already, or come after the queue was found empty.
    let envelope = loop {
        if let Event::Envelope(envelope) = next(&mut stream).await {
            break envelope;
        }
    };
    assert_eq!(envelope.ciphertext, b"1");
    acknowledge(&clients, &p.bobs, vec![envelope.envelope_id]).await;
    drop(stream);
    let mut stream = subscribe(&clients, &p.bobs).await;
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    assert_quiet(&mut stream).await;
    server.stop().await;
}

#[tokio::test]
async fn what_has_expired_is_deleted_and_makes_room_though_nobody_listens() {
    let p = alice_and_bob(TestServer::start_limited(|limits| limits.max_mailbox_messages = 600).await).await;
    let brief = |n| SendRequest {
        delivery: Some(Delivery {
            expires_after_s: 1,
            ..Delivery::default()
        }),
        ..Device::letter(&p.bob, n, b"12345")
    };
    // More than one batch.
    for n in 0..599 {
        send(&p, brief(n)).await.unwrap();
    }
    send(&p, due(&p, 1_000, 0)).await.unwrap();
    let begun = Instant::now();
    while counted(&p).await != "1 of 4" {
        assert!(begun.elapsed() < Duration::from_secs(30), "it still counts");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut look = Look::into(&p.server.database).await;
    let rows = look.texts("SELECT CAST(COUNT(*) AS TEXT) FROM envelopes").await;
    assert_eq!(rows, ["1"], "of the rows one is left");
    look.close().await;
    send(&p, brief(2_000)).await.expect("there is room again");
    p.server.stop().await;
}
