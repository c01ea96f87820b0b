//! What the server keeps of messages: how much, for how long, and what an acknowledgement deletes.

use std::time::Duration;

use tonic_types::StatusExt;

use super::{acknowledge, alice_and_bob, next_envelope, numbers, subscribe};
use crate::common::{Device, Look, TestServer, dump, id, reason, told, with_token};

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
        config.limits.sweep_interval = Duration::from_millis(50);
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
async fn what_a_mailbox_is_said_to_hold_is_what_it_holds() {
    let p = alice_and_bob(TestServer::start().await).await;
    Device::send_numbers(&p.clients, &p.alices, &p.bob, 1..=12).await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    let (_, ids) = numbers(&mut stream, 12).await;
    acknowledge(&p.clients, &p.bobs, ids[3..].to_vec()).await;
    acknowledge(&p.clients, &p.bobs, ids[2..5].to_vec()).await;
    // Messages 1 and 2 are left: two envelopes, two bytes.
    let mut look = Look::into(&p.server.database).await;
    let counts = look
        .texts(
            "SELECT address || '|' || mailbox_messages || '|' || mailbox_bytes || '|' || receipts \
             FROM devices JOIN accounts ON accounts.id = devices.account ORDER BY address",
        )
        .await;
    look.close().await;
    // Alice's twelve receipts are remembered, bob sent nothing.
    assert_eq!(counts, ["alice@localhost|0|0|12", "bob@localhost|2|2|0"]);
    p.server.stop().await;
}
