//! Bad sends and acknowledgements.

use prost::Message;
use sottovoce_proto::v1::{
    AcknowledgeRequest, Delivery, DeviceMessage, SendRequest, SendSealedRequest, SetAccessKeyRequest,
    SubscribeRequest,
};
use sottovoce_statements::AccessKeyHash;
use tonic::Code;

use super::{ACKNOWLEDGE, Row, SEND, SEND_SEALED, World, invalid, too_large};
use crate::common::{Device, call, dump, id, with_token};

#[tokio::test]
async fn bad_sends_are_refused() {
    let world = World::new().await;
    let with = |change: &dyn Fn(&mut SendRequest)| {
        let mut request = Device::letter(&world.bob, 2, b"ciphertext");
        change(&mut request);
        request.encode_to_vec()
    };
    let mut rows: Vec<Row<'_>> = vec![
        ("empty", Vec::new(), invalid("recipient")),
        (
            "unknown recipient",
            with(&|r| r.recipient = "nobody@localhost".into()),
            (Code::NotFound, "ACCOUNT_UNKNOWN", ""),
        ),
        (
            "a message id used before",
            with(&|r| r.client_message_id = id(1)),
            (Code::AlreadyExists, "MESSAGE_ID_CONFLICT", ""),
        ),
    ];
    rows.extend(bad_letters(with));
    for (what, body, expected) in rows {
        world.refuses(what, SEND, body, expected).await;
    }
    let longest = with(&|r| r.messages[0].ciphertext = vec![1; 128 * 1024]);
    let authorization = format!("Bearer {}", world.token);
    let metadata = [("authorization", authorization.as_str())];
    call(&world.clients.channel, SEND, &metadata, longest)
        .await
        .unwrap();
    world.server.stop().await;
}

#[tokio::test]
async fn bad_sealed_sends_are_refused() {
    let mut world = World::new().await;
    let bobs = world.bob.sign_in(&world.clients).await;
    let access_key_hash = AccessKeyHash::of(&[7; 32]).as_bytes().to_vec();
    let request = with_token(&bobs, SetAccessKeyRequest { access_key_hash });
    world
        .clients
        .accounts
        .clone()
        .set_access_key(request)
        .await
        .unwrap();
    let letter = Device::letter(&world.bob, 2, b"ciphertext");
    let sealed = |letter: SendRequest| SendSealedRequest {
        recipient: letter.recipient,
        access_key: vec![7; 32],
        client_message_id: letter.client_message_id,
        messages: letter.messages,
        ..SendSealedRequest::default()
    };
    let with = |change: &dyn Fn(&mut SendSealedRequest)| {
        let mut request = sealed(letter.clone());
        change(&mut request);
        request.encode_to_vec()
    };
    let of_letter = |change: &dyn Fn(&mut SendRequest)| {
        let mut letter = letter.clone();
        change(&mut letter);
        sealed(letter).encode_to_vec()
    };
    let denied = (Code::PermissionDenied, "ACCESS_DENIED", "");
    let delivery = |change: fn(&mut Delivery)| with(&|r| change(r.delivery.get_or_insert_default()));
    let mut rows: Vec<Row<'_>> = vec![
        ("empty", Vec::new(), invalid("access_key")),
        (
            "no access key",
            with(&|r| r.access_key.clear()),
            invalid("access_key"),
        ),
        (
            "a short access key",
            with(&|r| r.access_key.truncate(31)),
            invalid("access_key"),
        ),
        (
            "a long access key",
            with(&|r| r.access_key.push(7)),
            invalid("access_key"),
        ),
        ("another access key", with(&|r| r.access_key[0] ^= 1), denied),
        (
            "an account without one",
            with(&|r| r.recipient = "carol@localhost".into()),
            denied,
        ),
        (
            "nobody",
            with(&|r| r.recipient = "nobody@localhost".into()),
            denied,
        ),
        (
            "for a time without end",
            delivery(|delivery| delivery.expires_after_s = u32::MAX),
            invalid("delivery.expires_after_s"),
        ),
        (
            "for a day without end",
            delivery(|delivery| delivery.deliver_after_ms = u64::MAX),
            invalid("delivery.deliver_after_ms"),
        ),
    ];
    rows.extend(bad_letters(of_letter));
    world.before = dump(&world.server.database).await;
    for (what, body, expected) in rows {
        world.refuses(what, SEND_SEALED, body, expected).await;
    }
    world
        .clients
        .mailbox
        .clone()
        .send_sealed(sealed(letter.clone()))
        .await
        .unwrap();
    world.server.stop().await;
}

/// What can be wrong with what both kinds of sends have; `with` makes the request of a changed letter.
fn bad_letters(with: impl Fn(&dyn Fn(&mut SendRequest)) -> Vec<u8>) -> Vec<Row<'static>> {
    let message = |change: &dyn Fn(&mut DeviceMessage)| with(&|r| change(&mut r.messages[0]));
    let mismatch = (Code::FailedPrecondition, "DEVICES_MISMATCH", "");
    let again = |request: &mut SendRequest| {
        let first = request.messages[0].clone();
        request.messages.push(first);
    };
    let another = |request: &mut SendRequest| {
        request.messages.push(DeviceMessage {
            device_id: id(9),
            ciphertext: vec![1],
        });
    };
    vec![
        (
            "bad recipient",
            with(&|r| r.recipient = "bob".into()),
            invalid("recipient"),
        ),
        (
            "another server",
            with(&|r| r.recipient = "bob@elsewhere.example".into()),
            (Code::InvalidArgument, "SERVER_NOT_LOCAL", "recipient"),
        ),
        (
            "no message id",
            with(&|r| r.client_message_id.clear()),
            invalid("client_message_id"),
        ),
        (
            "short message id",
            with(&|r| r.client_message_id.truncate(15)),
            invalid("client_message_id"),
        ),
        ("no messages", with(&|r| r.messages.clear()), invalid("messages")),
        (
            "too many messages",
            with(&|r| r.messages = vec![DeviceMessage::default(); 17]),
            too_large("messages"),
        ),
        (
            "short device id",
            message(&|m| m.device_id.truncate(15)),
            invalid("messages.device_id"),
        ),
        (
            "the same device twice",
            with(&again),
            invalid("messages.device_id"),
        ),
        (
            "no ciphertext",
            message(&|m| m.ciphertext.clear()),
            invalid("messages.ciphertext"),
        ),
        (
            "too long a ciphertext",
            message(&|m| m.ciphertext = vec![1; 128 * 1024 + 1]),
            too_large("messages.ciphertext"),
        ),
        ("another device", message(&|m| m.device_id = id(9)), mismatch),
        ("one device too many", with(&another), mismatch),
    ]
}

#[tokio::test]
async fn bad_acknowledgements_are_refused() {
    let world = World::new().await;
    let rows = [
        ("no ids", Vec::new(), invalid("envelope_ids")),
        ("short id", vec![id(1), vec![1; 15]], invalid("envelope_ids")),
        (
            "too many ids",
            (0..257).map(id).collect(),
            too_large("envelope_ids"),
        ),
    ];
    for (what, envelope_ids, expected) in rows {
        let request = AcknowledgeRequest { envelope_ids };
        world
            .refuses(what, ACKNOWLEDGE, request.encode_to_vec(), expected)
            .await;
    }
    assert!(
        SubscribeRequest {}.encode_to_vec().is_empty(),
        "a subscription has nothing more to get wrong"
    );
    world.server.stop().await;
}
