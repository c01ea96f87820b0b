//! Sends without a token, by whoever has the recipient's access key.

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{SendResponse, SendSealedRequest, SetAccessKeyRequest};
use sottovoce_statements::AccessKeyHash;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{Pair, alice_and_bob, assert_quiet, next, next_envelope, subscribe};
use crate::common::{Device, TestServer, dump, id, reason, told, with_token};

const KEY: [u8; 32] = [7; 32];
const ANOTHER: [u8; 32] = [8; 32];

async fn set(p: &Pair, key: [u8; 32]) {
    let access_key_hash = AccessKeyHash::of(&key).as_bytes().to_vec();
    let request = with_token(&p.bobs, SetAccessKeyRequest { access_key_hash });
    p.clients.accounts.clone().set_access_key(request).await.unwrap();
}

fn sealed(to: &Device, key: [u8; 32], n: u64, ciphertext: &[u8]) -> SendSealedRequest {
    let letter = Device::letter(to, n, ciphertext);
    SendSealedRequest {
        recipient: letter.recipient,
        access_key: key.to_vec(),
        client_message_id: letter.client_message_id,
        messages: letter.messages,
        ..SendSealedRequest::default()
    }
}

async fn send(p: &Pair, request: SendSealedRequest) -> Result<SendResponse, Status> {
    let answer = p.clients.mailbox.clone().send_sealed(request).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_sealed_message_arrives_without_a_sender_and_a_repeat_gets_the_first_receipt() {
    let p = alice_and_bob(TestServer::start().await).await;
    set(&p, KEY).await;
    let first = send(&p, sealed(&p.bob, KEY, 1, b"once")).await.unwrap();
    let mut stream = subscribe(&p.clients, &p.bobs).await;
    let envelope = next_envelope(&mut stream).await;
    assert_eq!(envelope.ciphertext, b"once");
    assert_eq!(
        (envelope.sender.as_str(), &envelope.sender_device_id[..]),
        ("", &[][..])
    );
    assert!(matches!(next(&mut stream).await, Event::QueueEmpty(_)));
    assert_eq!(send(&p, sealed(&p.bob, KEY, 1, b"once")).await.unwrap(), first);
    let other = send(&p, sealed(&p.bob, KEY, 1, b"twice")).await.unwrap_err();
    assert_eq!(reason(&other), "MESSAGE_ID_CONFLICT");
    assert_quiet(&mut stream).await;
    p.server.stop().await;
}

#[tokio::test]
async fn a_message_id_is_remembered_for_the_access_key_and_recipient_and_for_nobody_else() {
    let p = alice_and_bob(TestServer::start().await).await;
    set(&p, KEY).await;
    // Carol has the same access key, which only chance or a bug gives two.
    let carol = Device::named("carol");
    let carols = carol.join(&p.clients).await;
    let access_key_hash = AccessKeyHash::of(&KEY).as_bytes().to_vec();
    let request = with_token(&carols, SetAccessKeyRequest { access_key_hash });
    p.clients.accounts.clone().set_access_key(request).await.unwrap();
    let mut receipts = vec![
        send(&p, sealed(&p.bob, KEY, 1, b"to bob")).await.unwrap(),
        send(&p, sealed(&carol, KEY, 1, b"to carol")).await.unwrap(),
    ];
    let by_name = with_token(&p.alices, Device::letter(&p.bob, 1, b"by name"));
    receipts.push(
        p.clients
            .mailbox
            .clone()
            .send(by_name)
            .await
            .unwrap()
            .into_inner(),
    );
    receipts.sort_by(|a, b| a.receipt_id.cmp(&b.receipt_id));
    receipts.dedup_by(|a, b| a.receipt_id == b.receipt_id);
    assert_eq!(receipts.len(), 3);
    p.server.stop().await;
}

#[tokio::test]
async fn a_token_that_comes_along_is_not_looked_at() {
    let p = alice_and_bob(TestServer::start().await).await;
    set(&p, KEY).await;
    for (n, token) in [(1, p.alices.as_str()), (2, "nonsense")] {
        let request = with_token(token, sealed(&p.bob, KEY, n, b"x"));
        p.clients.mailbox.clone().send_sealed(request).await.unwrap();
    }
    let rows = dump(&p.server.database).await;
    let alice = hex::encode(p.alice.id.as_bytes());
    let kept = |table: &str| {
        let mut rows = rows.iter().filter(|row| row.starts_with(table));
        rows.any(|row| row.to_lowercase().contains(&alice))
    };
    assert!(kept("devices: "), "her id would be found");
    assert!(!kept("envelopes: ") && !kept("receipts: "), "it says who sent");
    p.server.stop().await;
}

#[tokio::test]
async fn a_wrong_key_an_account_without_one_and_no_account_are_refused_alike() {
    let p = alice_and_bob(TestServer::start().await).await;
    set(&p, KEY).await;
    let carol = Device::named("carol");
    carol.register(&p.clients).await;
    let before = dump(&p.server.database).await;
    let mut seen = Vec::new();
    for to in [&p.bob, &carol, &Device::named("nobody")] {
        let status = send(&p, sealed(to, ANOTHER, 1, b"x")).await.unwrap_err();
        let denied = (Code::PermissionDenied, "ACCESS_DENIED".to_owned(), String::new());
        assert_eq!(told(&status), denied);
        seen.push((status.message().to_owned(), status.details().to_vec()));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "they differ");
    assert_eq!(dump(&p.server.database).await, before);
    p.server.stop().await;
}

#[tokio::test]
async fn an_accounts_memory_of_sealed_messages_is_bounded_and_another_key_empties_it() {
    let p = alice_and_bob(TestServer::start_limited(|limits| limits.max_receipts_per_device = 2).await).await;
    set(&p, KEY).await;
    let first = send(&p, sealed(&p.bob, KEY, 1, b"1")).await.unwrap();
    send(&p, sealed(&p.bob, KEY, 2, b"2")).await.unwrap();
    let full = send(&p, sealed(&p.bob, KEY, 3, b"3")).await.unwrap_err();
    assert_eq!(reason(&full), "SERVER_FULL");
    let details = full.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["limit"], "2");
    assert_eq!(
        send(&p, sealed(&p.bob, KEY, 1, b"1")).await.unwrap(),
        first,
        "repeats are answered"
    );
    // The same key again changes nothing.
    set(&p, KEY).await;
    assert_eq!(send(&p, sealed(&p.bob, KEY, 1, b"1")).await.unwrap(), first);
    let full = send(&p, sealed(&p.bob, KEY, 3, b"3")).await.unwrap_err();
    assert_eq!(reason(&full), "SERVER_FULL");

    set(&p, ANOTHER).await;
    let denied = send(&p, sealed(&p.bob, KEY, 1, b"1")).await.unwrap_err();
    assert_eq!(
        reason(&denied),
        "ACCESS_DENIED",
        "who was told the old key has lost it"
    );
    for n in 4..=5 {
        send(&p, sealed(&p.bob, ANOTHER, n, b"x")).await.unwrap();
    }
    let full = send(&p, sealed(&p.bob, ANOTHER, 6, b"x")).await.unwrap_err();
    assert_eq!(
        reason(&full),
        "SERVER_FULL",
        "the new key's are counted from nothing"
    );
    let rows = dump(&p.server.database).await;
    let receipts = rows.iter().filter(|row| row.starts_with("receipts: "));
    assert_eq!(receipts.count(), 2);
    p.server.stop().await;
}

#[tokio::test]
async fn sealed_messages_are_for_exactly_the_devices_there_are_and_their_mailboxes_fill() {
    let p = alice_and_bob(TestServer::start_limited(|limits| limits.max_mailbox_messages = 1).await).await;
    set(&p, KEY).await;
    let mut wrong = sealed(&p.bob, KEY, 1, b"x");
    wrong.messages[0].device_id = id(9);
    let status = send(&p, wrong).await.unwrap_err();
    assert_eq!(reason(&status), "DEVICES_MISMATCH");
    send(&p, sealed(&p.bob, KEY, 1, b"x")).await.unwrap();
    let status = send(&p, sealed(&p.bob, KEY, 2, b"x")).await.unwrap_err();
    assert_eq!(reason(&status), "MAILBOX_FULL");
    p.server.stop().await;
}
