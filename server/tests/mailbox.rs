//! Mailboxes: what is sent arrives, in order, and waits until it is acknowledged.

use std::time::Duration;

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{
    AcknowledgeRequest, DeviceMessage, Envelope, SendRequest, SubscribeRequest, SubscribeResponse,
};
use tonic::{Status, Streaming};
use tonic_types::StatusExt;

use crate::common::{Clients, Device, TestServer, add_device, dump, id, reason, told, with_token};

/// How long nothing must come before a test believes that nothing comes.
const QUIET: Duration = Duration::from_millis(150);

async fn subscribe(clients: &Clients, token: &str) -> Streaming<SubscribeResponse> {
    let request = with_token(token, SubscribeRequest {});
    clients
        .mailbox
        .clone()
        .subscribe(request)
        .await
        .unwrap()
        .into_inner()
}

async fn next(stream: &mut Streaming<SubscribeResponse>) -> Event {
    let answer = tokio::time::timeout(Duration::from_secs(5), stream.message()).await;
    answer.expect("nothing came").unwrap().unwrap().event.unwrap()
}

/// Why the stream ended.
async fn end(stream: &mut Streaming<SubscribeResponse>) -> Status {
    let answer = tokio::time::timeout(Duration::from_secs(5), stream.message()).await;
    answer.expect("the stream goes on").unwrap_err()
}

async fn next_envelope(stream: &mut Streaming<SubscribeResponse>) -> Envelope {
    match next(stream).await {
        Event::Envelope(envelope) => envelope,
        Event::QueueEmpty(_) => panic!("queue_empty came before an envelope"),
    }
}

/// The numbers in the next `count` envelopes, and their ids.
async fn numbers(stream: &mut Streaming<SubscribeResponse>, count: usize) -> (Vec<u64>, Vec<Vec<u8>>) {
    let mut found = (Vec::new(), Vec::new());
    for _ in 0..count {
        let envelope = next_envelope(stream).await;
        found
            .0
            .push(String::from_utf8(envelope.ciphertext).unwrap().parse().unwrap());
        found.1.push(envelope.envelope_id);
    }
    found
}

async fn assert_quiet(stream: &mut Streaming<SubscribeResponse>) {
    let event = tokio::time::timeout(QUIET, stream.message()).await;
    assert!(event.is_err(), "something came: {event:?}");
}

async fn acknowledge(clients: &Clients, token: &str, envelope_ids: Vec<Vec<u8>>) {
    let request = with_token(token, AcknowledgeRequest { envelope_ids });
    clients.mailbox.clone().acknowledge(request).await.unwrap();
}

struct Pair {
    server: TestServer,
    clients: Clients,
    alice: Device,
    alices: String,
    bob: Device,
    bobs: String,
}

async fn alice_and_bob(server: TestServer) -> Pair {
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    Pair {
        alices: alice.join(&clients).await,
        bobs: bob.join(&clients).await,
        server,
        clients,
        alice,
        bob,
    }
}

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
async fn acknowledging_deletes_only_from_ones_own_mailbox() {
    let p = alice_and_bob(TestServer::start().await).await;
    Device::send_numbers(&p.clients, &p.alices, &p.bob, 1..=2).await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    let (_, ids) = numbers(&mut stream, 2).await;
    let before = dump(&p.server.database).await;
    acknowledge(&p.clients, &p.alices, ids.clone()).await;
    acknowledge(&p.clients, &p.bobs, vec![id(77)]).await;
    assert_eq!(dump(&p.server.database).await, before);
    acknowledge(&p.clients, &p.bobs, ids.clone()).await;
    acknowledge(&p.clients, &p.bobs, ids).await;
    let after = dump(&p.server.database).await;
    assert!(!after.iter().any(|row| row.starts_with("envelopes:")));
    p.server.stop().await;
}

#[tokio::test]
async fn a_repeat_gets_the_first_receipt_even_after_delivery() {
    let p = alice_and_bob(TestServer::start().await).await;
    let letter = Device::letter(&p.bob, 1, b"once");
    let send = || async {
        let request = with_token(&p.alices, letter.clone());
        p.clients
            .mailbox
            .clone()
            .send(request)
            .await
            .unwrap()
            .into_inner()
    };
    let first = send().await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    let envelope = next_envelope(&mut stream).await;
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    assert_eq!(send().await, first);
    acknowledge(&p.clients, &p.bobs, vec![envelope.envelope_id]).await;
    assert_eq!(send().await, first);
    assert_quiet(&mut stream).await;
    let other = with_token(&p.alices, Device::letter(&p.bob, 1, b"twice"));
    let status = p.clients.mailbox.clone().send(other).await.unwrap_err();
    assert_eq!(reason(&status), "MESSAGE_ID_CONFLICT");
    p.server.stop().await;
}

#[tokio::test]
async fn identical_sends_at_one_time_make_one_message() {
    let p = alice_and_bob(TestServer::start().await).await;
    let mut sends = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let mut mailbox = p.clients.mailbox.clone();
        let request = with_token(&p.alices, Device::letter(&p.bob, 1, b"once"));
        sends.spawn(async move { mailbox.send(request).await.unwrap().into_inner() });
    }
    let receipts = sends.join_all().await;
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0]));
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    next_envelope(&mut stream).await;
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    p.server.stop().await;
}

#[tokio::test]
async fn two_senders_with_the_same_message_id_do_not_meet() {
    let p = alice_and_bob(TestServer::start().await).await;
    let carol = Device::named("carol");
    let carols = carol.join(&p.clients).await;
    for token in [&p.alices, &carols] {
        let request = with_token(token, Device::letter(&p.bob, 1, token.as_bytes()));
        p.clients.mailbox.clone().send(request).await.unwrap();
    }
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    assert_ne!(
        next_envelope(&mut stream).await.sender,
        next_envelope(&mut stream).await.sender
    );
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
async fn a_full_mailbox_refuses_and_drops_nothing() {
    for by_count in [true, false] {
        let server = TestServer::start_limited(|limits| {
            if by_count {
                limits.max_mailbox_messages = 3;
            } else {
                limits.max_mailbox_bytes = 30;
            }
        })
        .await;
        let p = alice_and_bob(server).await;
        let send = |n: u64| {
            let request = with_token(&p.alices, Device::letter(&p.bob, n, &[b'0'; 10]));
            let mut mailbox = p.clients.mailbox.clone();
            async move { mailbox.send(request).await }
        };
        for n in 1..=3 {
            send(n).await.unwrap();
        }
        let before = dump(&p.server.database).await;
        let status = send(4).await.unwrap_err();
        assert_eq!(told(&status).0, tonic::Code::ResourceExhausted);
        assert_eq!(reason(&status), "MAILBOX_FULL");
        assert_eq!(dump(&p.server.database).await, before);
        send(2).await.expect("a repeat is no new message");
        let mut stream = subscribe(&p.clients, &p.bobs).await;
        let envelope = next_envelope(&mut stream).await;
        acknowledge(&p.clients, &p.bobs, vec![envelope.envelope_id]).await;
        send(4)
            .await
            .expect("there is room again, and the refused id is free");
        p.server.stop().await;
    }
}

#[tokio::test]
async fn receipts_are_forgotten_when_their_time_has_passed() {
    let server = TestServer::start_limited(|limits| {
        limits.receipt_lifetime = Duration::from_millis(100);
        limits.sweep_interval = Duration::from_millis(100);
    })
    .await;
    let p = alice_and_bob(server).await;
    Device::send_numbers(&p.clients, &p.alices, &p.bob, 1..=3).await;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let rows = dump(&p.server.database).await;
        if !rows.iter().any(|row| row.starts_with("receipts:")) {
            assert_eq!(rows.iter().filter(|row| row.starts_with("envelopes:")).count(), 3);
            p.server.stop().await;
            return;
        }
    }
    panic!("receipts stayed");
}

#[tokio::test]
async fn a_device_with_all_its_receipts_sends_nothing_new_until_some_are_forgotten() {
    let server = TestServer::start_limited(|limits| limits.max_receipts_per_device = 3).await;
    let p = alice_and_bob(server).await;
    let send = |n: u64| {
        let request = with_token(&p.alices, Device::letter(&p.bob, n, n.to_string().as_bytes()));
        let mut mailbox = p.clients.mailbox.clone();
        async move { mailbox.send(request).await }
    };
    for n in 1..=3 {
        send(n).await.unwrap();
    }
    let before = dump(&p.server.database).await;
    let status = send(4).await.unwrap_err();
    assert_eq!(told(&status).0, tonic::Code::ResourceExhausted);
    assert_eq!(reason(&status), "SERVER_FULL");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["limit"], "3");
    send(2).await.expect("a repeat is no new message");
    assert_eq!(dump(&p.server.database).await, before);
    let other = with_token(&p.bobs, Device::letter(&p.alice, 4, b"x"));
    p.clients.mailbox.clone().send(other).await.unwrap();
    // What the sweep forgets makes room again.
    let folder = p.server.stop().await;
    let server = TestServer::start_in(folder, |config| {
        config.limits.max_receipts_per_device = 3;
        config.limits.receipt_lifetime = Duration::ZERO;
    })
    .await;
    let clients = server.connect().await;
    for _ in 0..100 {
        let request = with_token(&p.alices, Device::letter(&p.bob, 4, b"4"));
        if clients.mailbox.clone().send(request).await.is_ok() {
            server.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("forgotten receipts still count");
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

#[tokio::test]
async fn sending_to_devices_the_recipient_does_not_have_lists_the_difference() {
    use prost::Message;
    let p = alice_and_bob(TestServer::start().await).await;
    let mut letter: SendRequest = Device::letter(&p.bob, 1, b"x");
    letter.messages[0].device_id = id(5);
    let before = dump(&p.server.database).await;
    let status = p
        .clients
        .mailbox
        .clone()
        .send(with_token(&p.alices, letter))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "DEVICES_MISMATCH");
    let details = tonic_types::pb::Status::decode(status.details()).unwrap();
    let any = details
        .details
        .iter()
        .find(|any| any.type_url.ends_with("DeviceMismatch"))
        .unwrap();
    let mismatch = sottovoce_proto::v1::DeviceMismatch::decode(any.value.as_slice()).unwrap();
    assert_eq!(mismatch.missing, [p.bob.id.as_bytes().to_vec()]);
    assert_eq!(mismatch.extra, [id(5)]);
    // On one's own account the calling device is not among those to send to.
    let own = with_token(&p.alices, Device::letter(&p.alice, 2, b"x"));
    let status = p.clients.mailbox.clone().send(own).await.unwrap_err();
    assert_eq!(reason(&status), "DEVICES_MISMATCH");
    assert_eq!(dump(&p.server.database).await, before);
    p.server.stop().await;
}

#[tokio::test]
async fn a_send_reaches_all_devices_or_none() {
    let p = alice_and_bob(TestServer::start_limited(|limits| limits.max_mailbox_messages = 1).await).await;
    let second = sottovoce_statements::DeviceId::from_bytes([0xee; 16]);
    let letter = |n: u64, devices: &[sottovoce_statements::DeviceId]| SendRequest {
        messages: devices
            .iter()
            .map(|device| DeviceMessage {
                device_id: device.as_bytes().to_vec(),
                ciphertext: vec![1],
            })
            .collect(),
        ..Device::letter(&p.bob, n, b"")
    };
    let send = |request: SendRequest| {
        let mut mailbox = p.clients.mailbox.clone();
        let request = with_token(&p.alices, request);
        async move { mailbox.send(request).await }
    };
    // Bob's first mailbox is full before his second device joins; the second one is empty.
    send(letter(1, &[p.bob.id])).await.unwrap();
    add_device(&p.server.database, &p.bob, second).await;
    let before = dump(&p.server.database).await;
    for devices in [[second, p.bob.id], [p.bob.id, second]] {
        let status = send(letter(2, &devices)).await.unwrap_err();
        assert_eq!(reason(&status), "MAILBOX_FULL");
    }
    let status = send(letter(2, &[p.bob.id])).await.unwrap_err();
    assert_eq!(reason(&status), "DEVICES_MISMATCH");
    send(letter(1, &[p.bob.id]))
        .await
        .expect("a repeat is good although devices have changed");
    assert_eq!(dump(&p.server.database).await, before);
    // With room in both, the order the devices are named in makes no other request of it.
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    let envelope = next_envelope(&mut stream).await;
    acknowledge(&p.clients, &p.bobs, vec![envelope.envelope_id]).await;
    let first = send(letter(2, &[second, p.bob.id])).await.unwrap().into_inner();
    let again = send(letter(2, &[p.bob.id, second])).await.unwrap().into_inner();
    assert_eq!(first, again);
    p.server.stop().await;
}

#[tokio::test]
async fn what_a_mailbox_is_said_to_hold_is_what_it_holds() {
    let p = alice_and_bob(TestServer::start().await).await;
    Device::send_numbers(&p.clients, &p.alices, &p.bob, 1..=12).await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    let (_, ids) = numbers(&mut stream, 12).await;
    acknowledge(&p.clients, &p.bobs, ids[3..].to_vec()).await;
    acknowledge(&p.clients, &p.bobs, ids[2..5].to_vec()).await;
    // Messages 1 and 2 are left: two envelopes, two bytes.
    let rows = dump(&p.server.database).await;
    let of_bob = format!("devices: X'{}'", hex::encode_upper(p.bob.id.as_bytes()));
    let row = rows.iter().find(|row| row.starts_with(&of_bob)).unwrap();
    // Then the receipts given to bob, who sent nothing.
    assert!(row.ends_with("|2|2|0"), "{row}");
    let of_alice = format!("devices: X'{}'", hex::encode_upper(p.alice.id.as_bytes()));
    let row = rows.iter().find(|row| row.starts_with(&of_alice)).unwrap();
    assert!(row.ends_with("|0|0|12"), "{row}");
    p.server.stop().await;
}
