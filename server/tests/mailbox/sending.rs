//! Sends: one receipt for one request, and all of a recipient's devices or none.

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{DeviceMessage, SendRequest};
use sottovoce_statements::DeviceId;

use super::{acknowledge, alice_and_bob, assert_quiet, next, next_envelope, subscribe};
use crate::common::{Device, TestServer, add_device, dump, id, mismatch, reason, with_token};

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
async fn sending_to_devices_the_recipient_does_not_have_lists_the_difference() {
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
    let mismatch = mismatch(&status);
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
    let second = DeviceId::from_bytes([0xee; 16]);
    let letter = |n: u64, devices: &[DeviceId]| SendRequest {
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
