//! How a message is to be delivered: never stored, for a while, later; and several in one request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sottovoce_proto::v1::send_result::Outcome;
use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{CancelScheduledRequest, Delivery, ErrorReason, SendBatchRequest, SendRequest};

use super::{Pair, alice_and_bob, assert_quiet, next, next_envelope, subscribe};
use crate::common::{Device, TestServer, add_device, dump, id, told, with_token};
use sottovoce_statements::DeviceId;
use tonic::Status;

pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis().try_into().unwrap()
}

async fn send(p: &Pair, request: SendRequest) -> Result<(), Status> {
    let request = with_token(&p.alices, request);
    p.clients.mailbox.clone().send(request).await.map(drop)
}

fn delivered(p: &Pair, n: u64, delivery: Delivery) -> SendRequest {
    SendRequest {
        delivery: Some(delivery),
        ..Device::letter(&p.bob, n, n.to_string().as_bytes())
    }
}

#[tokio::test]
async fn what_is_ephemeral_comes_to_an_open_stream_or_not_at_all() {
    let p = alice_and_bob(TestServer::start().await).await;
    let ephemeral = Delivery {
        ephemeral: true,
        ..Delivery::default()
    };
    let before = dump(&p.server.database).await;
    send(&p, delivered(&p, 1, ephemeral)).await.unwrap();
    assert_eq!(dump(&p.server.database).await, before, "nothing of it is stored");
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    send(&p, delivered(&p, 2, ephemeral)).await.unwrap();
    let envelope = next_envelope(&mut stream).await;
    assert!(envelope.ephemeral);
    assert_eq!(envelope.ciphertext, b"2");
    // The checks are those of any message.
    let mut wrong = delivered(&p, 3, ephemeral);
    wrong.recipient = "nobody@localhost".into();
    assert_eq!(told(&send(&p, wrong).await.unwrap_err()).1, "ACCOUNT_UNKNOWN");
    p.server.stop().await;
}

#[tokio::test]
async fn what_has_expired_is_not_delivered() {
    let p = alice_and_bob(TestServer::start().await).await;
    let brief = Delivery {
        expires_after_s: 1,
        ..Delivery::default()
    };
    send(&p, delivered(&p, 1, brief)).await.unwrap();
    send(&p, delivered(&p, 2, Delivery::default())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    assert_eq!(next_envelope(&mut stream).await.ciphertext, b"2");
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    p.server.stop().await;
}

#[tokio::test]
async fn what_is_for_later_comes_later_and_can_be_taken_back() {
    let p = alice_and_bob(TestServer::start().await).await;
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    let in_a_second = Delivery {
        deliver_after_ms: now_ms() + 1000,
        ..Delivery::default()
    };
    send(&p, delivered(&p, 1, in_a_second)).await.unwrap();
    send(&p, delivered(&p, 2, in_a_second)).await.unwrap();
    send(&p, delivered(&p, 2, in_a_second))
        .await
        .expect("a repeat has the same receipt");
    assert_quiet(&mut stream).await;
    let cancel = CancelScheduledRequest {
        client_message_id: id(1),
    };
    let cancel = |token: &str| {
        p.clients
            .mailbox
            .clone()
            .cancel_scheduled_with(with_token(token, cancel.clone()))
    };
    assert!(!cancel(&p.bobs).await, "it is not bob's to take back");
    assert!(cancel(&p.alices).await);
    assert!(cancel(&p.alices).await, "asked again, the answer is the same");
    send(&p, delivered(&p, 3, Delivery::default())).await.unwrap();
    assert_eq!(next_envelope(&mut stream).await.ciphertext, b"3");
    assert_eq!(next_envelope(&mut stream).await.ciphertext, b"2");
    assert_quiet(&mut stream).await;
    p.server.stop().await;
}

/// Spares the tests the wrapping.
trait Cancelling {
    async fn cancel_scheduled_with(self, request: tonic::Request<CancelScheduledRequest>) -> bool;
}

impl Cancelling
    for sottovoce_proto::v1::mailbox_service_client::MailboxServiceClient<tonic::transport::Channel>
{
    async fn cancel_scheduled_with(mut self, request: tonic::Request<CancelScheduledRequest>) -> bool {
        self.cancel_scheduled(request)
            .await
            .unwrap()
            .into_inner()
            .cancelled
    }
}

#[tokio::test]
async fn a_time_too_far_ahead_is_refused() {
    let p = alice_and_bob(TestServer::start().await).await;
    const MONTH_S: u32 = 30 * 24 * 60 * 60;
    for (field, delivery) in [
        (
            "delivery.expires_after_s",
            Delivery {
                expires_after_s: MONTH_S + 1,
                ..Delivery::default()
            },
        ),
        (
            "delivery.deliver_after_ms",
            Delivery {
                deliver_after_ms: now_ms() + u64::from(MONTH_S) * 1000 + 60_000,
                ..Delivery::default()
            },
        ),
        (
            "delivery.deliver_after_ms",
            Delivery {
                ephemeral: true,
                deliver_after_ms: now_ms() + 1000,
                ..Delivery::default()
            },
        ),
    ] {
        let status = send(&p, delivered(&p, 1, delivery)).await.unwrap_err();
        assert_eq!(
            (told(&status).1.as_str(), told(&status).2.as_str()),
            ("FIELD_INVALID", field)
        );
    }
    p.server.stop().await;
}

#[tokio::test]
async fn a_device_with_a_newer_key_than_was_encrypted_for_is_stale() {
    let p = alice_and_bob(TestServer::start().await).await;
    let second = DeviceId::from_bytes([7; 16]);
    // First named by version 2.
    add_device(&p.server.database, &p.bob, second).await;
    let mut letter = Device::letter(&p.bob, 1, b"x");
    letter.messages.push(letter.messages[0].clone());
    letter.messages[1].device_id = second.as_bytes().to_vec();
    letter.manifest_version = 1;
    let status = send(&p, letter.clone()).await.unwrap_err();
    assert_eq!(told(&status).1, "DEVICES_MISMATCH");
    letter.manifest_version = 2;
    send(&p, letter).await.unwrap();
    p.server.stop().await;
}

#[tokio::test]
async fn each_message_of_a_batch_is_taken_or_refused_by_itself() {
    let p = alice_and_bob(TestServer::start().await).await;
    let mut sends: Vec<_> = (0..64)
        .map(|n| Device::letter(&p.bob, n, n.to_string().as_bytes()))
        .collect();
    sends[5].recipient = "nobody@localhost".into();
    sends[6].messages.clear();
    let batch = |sends: Vec<SendRequest>| {
        let request = with_token(&p.alices, SendBatchRequest { sends });
        let mut client = p.clients.mailbox.clone();
        async move { client.send_batch(request).await }
    };
    let results = batch(sends.clone()).await.unwrap().into_inner().results;
    assert_eq!(results.len(), 64);
    for (n, result) in results.into_iter().enumerate() {
        assert_eq!(result.client_message_id, id(n as u64));
        let reason = match result.outcome.unwrap() {
            Outcome::Taken(_) => None,
            Outcome::Refused(refusal) => Some(refusal.reason()),
        };
        let expected = match n {
            5 => Some(ErrorReason::AccountUnknown),
            6 => Some(ErrorReason::FieldInvalid),
            _ => None,
        };
        assert_eq!(reason, expected, "{n}");
    }
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    for n in (0..64).filter(|n| *n != 5 && *n != 6) {
        assert_eq!(
            next_envelope(&mut stream).await.ciphertext,
            n.to_string().into_bytes()
        );
    }
    sends.push(Device::letter(&p.bob, 64, b"one too many"));
    assert_eq!(told(&batch(sends).await.unwrap_err()).1, "TOO_LARGE");
    assert_eq!(told(&batch(Vec::new()).await.unwrap_err()).1, "FIELD_INVALID");
    p.server.stop().await;
}
