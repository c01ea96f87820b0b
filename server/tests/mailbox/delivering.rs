//! Streams: the order things come in, what waits, and how a stream ends.

use std::time::Duration;

use sottovoce_proto::v1::SubscribeRequest;
use sottovoce_proto::v1::subscribe_response::Event;

use super::{acknowledge, alice_and_bob, assert_quiet, end, next, next_envelope, numbers, subscribe};
use crate::common::{Device, TestServer, reason, told, with_token};

#[tokio::test]
async fn a_message_says_who_sent_it_and_arrives_as_it_was_sent() {
    let p = alice_and_bob(TestServer::start().await).await;
    let request = with_token(&p.alices, Device::letter(&p.bob, 1, b"sealed"));
    let receipt = p
        .clients
        .mailbox
        .clone()
        .send(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(receipt.receipt_id.len(), 16);
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    let envelope = next_envelope(&mut stream).await;
    assert_eq!(envelope.ciphertext, b"sealed");
    assert_eq!(envelope.sender, "alice@localhost");
    assert_eq!(envelope.sender_device_id, p.alice.id.as_bytes());
    assert_eq!(envelope.received_at_ms, receipt.accepted_at_ms);
    assert_eq!(envelope.envelope_id.len(), 16);
    p.server.stop().await;
}

/// More of them than are read at a time, and then fewer than are asked for.
#[tokio::test]
async fn long_messages_all_come_before_queue_empty() {
    let p = alice_and_bob(TestServer::start().await).await;
    for n in 1..=12 {
        let request = with_token(&p.alices, Device::letter(&p.bob, n, &[n as u8; 60 * 1024]));
        p.clients.mailbox.clone().send(request).await.unwrap();
    }
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    for n in 1..=12 {
        assert_eq!(next_envelope(&mut stream).await.ciphertext[0], n);
    }
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    p.server.stop().await;
}

#[tokio::test]
async fn the_backlog_comes_in_order_then_queue_empty_once_then_live() {
    let p = alice_and_bob(TestServer::start().await).await;
    Device::send_numbers(&p.clients, &p.alices, &p.bob, 1..=20).await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    assert_eq!(numbers(&mut stream, 20).await.0, (1..=20).collect::<Vec<_>>());
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    Device::send_numbers(&p.clients, &p.alices, &p.bob, 21..=40).await;
    assert_eq!(numbers(&mut stream, 20).await.0, (21..=40).collect::<Vec<_>>());
    assert_quiet(&mut stream).await;
    p.server.stop().await;
}

#[tokio::test]
async fn a_dropped_stream_resumes_with_what_was_not_acknowledged() {
    let p = alice_and_bob(TestServer::start().await).await;
    Device::send_numbers(&p.clients, &p.alices, &p.bob, 1..=30).await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    let (seen, ids) = numbers(&mut stream, 12).await;
    assert_eq!(seen, (1..=12).collect::<Vec<_>>());
    acknowledge(&p.clients, &p.bobs, ids[..7].to_vec()).await;
    drop(stream);
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    let (seen, again) = numbers(&mut stream, 23).await;
    assert_eq!(seen, (8..=30).collect::<Vec<_>>());
    assert_eq!(again[..5], ids[7..], "an envelope keeps its id");
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    p.server.stop().await;
}

#[tokio::test]
async fn the_window_holds_until_there_is_an_acknowledgement() {
    let server = TestServer::start_limited(|limits| limits.delivery_window = 5).await;
    let p = alice_and_bob(server).await;
    Device::send_numbers(&p.clients, &p.alices, &p.bob, 1..=8).await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    let (seen, ids) = numbers(&mut stream, 5).await;
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    assert_quiet(&mut stream).await;
    acknowledge(&p.clients, &p.bobs, ids[1..3].to_vec()).await;
    let (seen, more) = numbers(&mut stream, 2).await;
    assert_eq!(seen, [6, 7]);
    assert_quiet(&mut stream).await;
    acknowledge(&p.clients, &p.bobs, more).await;
    assert_eq!(numbers(&mut stream, 1).await.0, [8]);
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    // Four are out; the live stream has room for one more and no further.
    Device::send_numbers(&p.clients, &p.alices, &p.bob, 9..=10).await;
    assert_eq!(numbers(&mut stream, 1).await.0, [9]);
    assert_quiet(&mut stream).await;
    p.server.stop().await;
}

#[tokio::test]
async fn queue_empty_comes_even_when_the_window_is_exactly_full() {
    let server = TestServer::start_limited(|limits| limits.delivery_window = 3).await;
    let p = alice_and_bob(server).await;
    Device::send_numbers(&p.clients, &p.alices, &p.bob, 1..=3).await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    assert_eq!(numbers(&mut stream, 3).await.0, [1, 2, 3]);
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    p.server.stop().await;
}

#[tokio::test]
async fn a_stream_misses_nothing_when_the_newest_envelope_was_deleted() {
    let p = alice_and_bob(TestServer::start().await).await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    for n in 1..=5 {
        Device::send_numbers(&p.clients, &p.alices, &p.bob, n..=n).await;
        let (seen, ids) = numbers(&mut stream, 1).await;
        assert_eq!(seen, [n]);
        acknowledge(&p.clients, &p.bobs, ids).await;
    }
    p.server.stop().await;
}

#[tokio::test]
async fn each_mailbox_keeps_the_order_its_messages_were_taken_in() {
    let p = alice_and_bob(TestServer::start().await).await;
    let carol = Device::named("carol");
    let carols = carol.join(&p.clients).await;
    for n in 1..=30 {
        let to = if n % 3 == 0 { &carol } else { &p.bob };
        Device::send_numbers(&p.clients, &p.alices, to, n..=n).await;
    }
    let mut bob_hears = subscribe(&p.clients, &p.bobs).await;
    let mut carol_hears = subscribe(&p.clients, &carols).await;
    let expected = |third: bool| (1..=30).filter(|n| (n % 3 == 0) == third).collect::<Vec<u64>>();
    assert_eq!(numbers(&mut bob_hears, 20).await.0, expected(false));
    assert_eq!(numbers(&mut carol_hears, 10).await.0, expected(true));
    p.server.stop().await;
}

#[tokio::test]
async fn a_newer_stream_of_the_device_displaces_the_older() {
    let p = alice_and_bob(TestServer::start().await).await;
    let mut older = subscribe(&p.clients, &p.bobs).await;
    assert!(matches!(next(&mut older).await, Event::QueueEmpty(_)));
    let mut newer = subscribe(&p.clients, &p.bobs).await;
    assert!(matches!(next(&mut newer).await, Event::QueueEmpty(_)));
    let ended = end(&mut older).await;
    assert_eq!(told(&ended).0, tonic::Code::Aborted);
    assert_eq!(reason(&ended), "STREAM_DISPLACED");
    Device::send_numbers(&p.clients, &p.alices, &p.bob, 1..=1).await;
    assert_eq!(numbers(&mut newer, 1).await.0, [1]);
    p.server.stop().await;
}

#[tokio::test]
async fn a_stream_beyond_the_servers_number_is_refused() {
    let p = alice_and_bob(TestServer::start_limited(|limits| limits.max_streams = 1).await).await;
    let mut first = subscribe(&p.clients, &p.bobs).await;
    assert!(matches!(next(&mut first).await, Event::QueueEmpty(_)));
    let request = with_token(&p.alices, SubscribeRequest {});
    let status = p.clients.mailbox.clone().subscribe(request).await.unwrap_err();
    assert_eq!(reason(&status), "SERVER_FULL");
    drop(first);
    for _ in 0..50 {
        let request = with_token(&p.alices, SubscribeRequest {});
        if p.clients.mailbox.clone().subscribe(request).await.is_ok() {
            p.server.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place of a dropped stream was not given back");
}

#[tokio::test]
async fn a_stopping_server_ends_streams_with_a_reason() {
    let mut p = alice_and_bob(TestServer::start().await).await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    p.server.begin_to_stop();
    let ended = end(&mut stream).await;
    assert_eq!(told(&ended).0, tonic::Code::Unavailable);
    assert_eq!(reason(&ended), "SHUTTING_DOWN");
    let folder = tokio::time::timeout(Duration::from_secs(5), p.server.stop())
        .await
        .unwrap();
    assert!(
        !folder.path().join("data/sottovoce.db-wal").exists(),
        "the log is folded in"
    );
}
