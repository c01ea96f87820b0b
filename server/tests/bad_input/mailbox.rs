//! Bad sends and acknowledgements.

use prost::Message;
use sottovoce_proto::v1::{AcknowledgeRequest, DeviceMessage, SendRequest, SubscribeRequest};
use tonic::Code;

use super::{ACKNOWLEDGE, Row, SEND, World, invalid, too_large};
use crate::common::{Device, call, id};

#[tokio::test]
async fn bad_sends_are_refused() {
    let world = World::new().await;
    let with = |change: &dyn Fn(&mut SendRequest)| {
        let mut request = Device::letter(&world.bob, 2, b"ciphertext");
        change(&mut request);
        request.encode_to_vec()
    };
    let message = |change: &dyn Fn(&mut DeviceMessage)| with(&|r| change(&mut r.messages[0]));
    let mismatch = (Code::FailedPrecondition, "DEVICES_MISMATCH", "");
    let again = |request: &mut SendRequest| {
        let first = request.messages[0].clone();
        request.messages.push(first);
    };
    let rows: Vec<Row<'_>> = vec![
        ("empty", Vec::new(), invalid("recipient")),
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
            "unknown recipient",
            with(&|r| r.recipient = "nobody@localhost".into()),
            (Code::NotFound, "ACCOUNT_UNKNOWN", ""),
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
        (
            "one device too many",
            with(&|r| {
                r.messages.push(DeviceMessage {
                    device_id: id(9),
                    ciphertext: vec![1],
                });
            }),
            mismatch,
        ),
        (
            "a message id used before",
            with(&|r| r.client_message_id = id(1)),
            (Code::AlreadyExists, "MESSAGE_ID_CONFLICT", ""),
        ),
    ];
    for (what, body, expected) in rows {
        world.refuses(what, SEND, body, expected).await;
    }
    let longest = message(&|m| m.ciphertext = vec![1; 128 * 1024]);
    let authorization = format!("Bearer {}", world.token);
    let metadata = [("authorization", authorization.as_str())];
    call(&world.clients.channel, SEND, &metadata, longest)
        .await
        .unwrap();
    world.server.stop().await;
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
