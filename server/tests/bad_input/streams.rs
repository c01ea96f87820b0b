//! Bad frames of the stream both ways, and bad batches: what is wrong with one message is told of that
//! message, what is wrong with a frame ends the stream, and neither leaves a trace.

use prost::Message;
use sottovoce_proto::v1::connect_request::Frame;
use sottovoce_proto::v1::connect_response::Frame as Answer;
use sottovoce_proto::v1::send_result::Outcome;
use sottovoce_proto::v1::{
    AcknowledgeRequest, CancelScheduledRequest, ConnectRequest, Delivery, DeviceMessage, ErrorReason,
    SendBatchRequest, SendBatchResponse, SendRequest,
};
use tonic::{Code, Status};

use super::{CANCEL, CONNECT, Refused, SEND_BATCH, World, invalid, too_large};
use crate::common::{Device, call, dump, execute, expire_tokens, id, told, with_token};

/// What each kind of bad message is refused with.
fn bad_sends(world: &World) -> Vec<(&'static str, SendRequest, ErrorReason, &'static str)> {
    let good = || Device::letter(&world.bob, 77, b"x");
    let with = |change: fn(&mut SendRequest)| {
        let mut send = good();
        change(&mut send);
        send
    };
    let invalid = ErrorReason::FieldInvalid;
    vec![
        (
            "no recipient",
            with(|send| send.recipient.clear()),
            invalid,
            "recipient",
        ),
        (
            "another server's",
            with(|send| send.recipient = "bob@elsewhere.example".to_owned()),
            ErrorReason::ServerNotLocal,
            "recipient",
        ),
        (
            "nobody",
            with(|send| send.recipient = "nobody@localhost".to_owned()),
            ErrorReason::AccountUnknown,
            "",
        ),
        (
            "a short id",
            with(|send| send.client_message_id.truncate(15)),
            invalid,
            "client_message_id",
        ),
        (
            "no messages",
            with(|send| send.messages.clear()),
            invalid,
            "messages",
        ),
        (
            "a short device id",
            with(|send| send.messages[0].device_id.truncate(15)),
            invalid,
            "messages.device_id",
        ),
        (
            "no ciphertext",
            with(|send| send.messages[0].ciphertext.clear()),
            invalid,
            "messages.ciphertext",
        ),
        (
            "another device",
            with(|send| send.messages[0].device_id = vec![9; 16]),
            ErrorReason::DevicesMismatch,
            "",
        ),
        (
            "kept for too long",
            with(|send| {
                send.delivery = Some(Delivery {
                    expires_after_s: 31 * 24 * 60 * 60,
                    ..Delivery::default()
                });
            }),
            invalid,
            "delivery.expires_after_s",
        ),
        (
            "the id of another message",
            Device::letter(&world.bob, 1, b"another"),
            ErrorReason::MessageIdConflict,
            "",
        ),
    ]
}

#[tokio::test]
async fn a_bad_message_on_a_stream_is_refused_and_the_stream_goes_on() {
    let world = World::new().await;
    let rows = bad_sends(&world);
    let frames: Vec<_> = rows
        .iter()
        .map(|(_, send, _, _)| ConnectRequest {
            frame: Some(Frame::Send(send.clone())),
        })
        .collect();
    let request = with_token(&world.token, tokio_stream::iter(frames));
    let stream = world.clients.mailbox.clone().connect(request).await.unwrap();
    let mut stream = stream.into_inner();
    let mut refused = Vec::new();
    while let Some(answer) = stream.message().await.unwrap() {
        if let Some(Answer::Result(result)) = answer.frame {
            let Some(Outcome::Refused(outcome)) = result.outcome else {
                panic!("taken: {result:?}");
            };
            refused.push((outcome.reason(), outcome.field));
        }
    }
    assert_eq!(refused.len(), rows.len());
    for (what, _, reason, field) in rows {
        let expected = (reason, field.to_owned());
        let place = refused.iter().position(|outcome| *outcome == expected);
        let place = place.unwrap_or_else(|| panic!("{what}: not among {refused:?}"));
        refused.remove(place);
    }
    assert_unchanged(&world).await;
    world.server.stop().await;
}

#[tokio::test]
async fn a_bad_message_in_a_batch_is_refused_by_itself() {
    let world = World::new().await;
    let rows = bad_sends(&world);
    let batch = SendBatchRequest {
        sends: rows.iter().map(|(_, send, _, _)| send.clone()).collect(),
    };
    let authorization = format!("Bearer {}", world.token);
    let metadata = [("authorization", authorization.as_str())];
    let answer = call(
        &world.clients.channel,
        SEND_BATCH,
        &metadata,
        batch.encode_to_vec(),
    )
    .await;
    let results = SendBatchResponse::decode(answer.unwrap().as_slice())
        .unwrap()
        .results;
    assert_eq!(results.len(), rows.len());
    for ((what, send, reason, field), result) in rows.into_iter().zip(results) {
        assert_eq!(result.client_message_id, send.client_message_id, "{what}");
        let Some(Outcome::Refused(refused)) = result.outcome else {
            panic!("{what} was taken");
        };
        assert_eq!(
            (refused.reason(), refused.field.as_str()),
            (reason, field),
            "{what}"
        );
    }
    assert_unchanged(&world).await;
    world.server.stop().await;
}

#[tokio::test]
async fn bad_batches_and_bad_cancellations_are_refused() {
    let world = World::new().await;
    let batch = |count| {
        let sends = (0..count).map(|n| Device::letter(&world.bob, 100 + n, b"x"));
        SendBatchRequest {
            sends: sends.collect(),
        }
    };
    let cancel = |client_message_id| CancelScheduledRequest { client_message_id };
    let rows: [(&str, &'static str, Vec<u8>, Refused<'_>); 7] = [
        ("empty", SEND_BATCH, batch(0).encode_to_vec(), invalid("sends")),
        ("65", SEND_BATCH, batch(65).encode_to_vec(), too_large("sends")),
        ("malformed", SEND_BATCH, vec![0x0a, 0x7f, 1], invalid("request")),
        (
            "more parts than there may be",
            SEND_BATCH,
            [0x0a, 0].repeat(2_049),
            too_large("request.fields"),
        ),
        ("malformed", CANCEL, vec![0x0a, 0x7f, 1], invalid("request")),
        (
            "no id",
            CANCEL,
            cancel(Vec::new()).encode_to_vec(),
            invalid("client_message_id"),
        ),
        (
            "a long id",
            CANCEL,
            cancel(vec![1; 17]).encode_to_vec(),
            invalid("client_message_id"),
        ),
    ];
    for (what, path, body, refused) in rows {
        world.refuses(what, path, body, refused).await;
    }
    world.server.stop().await;
}

/// Why a stream ends that is sent these frames.
async fn end(world: &World, token: &str, frames: Vec<ConnectRequest>) -> Status {
    // Kept open: it is the server that ends it.
    let outgoing = tokio_stream::StreamExt::chain(tokio_stream::iter(frames), tokio_stream::pending());
    let request = with_token(token, outgoing);
    let mut stream = match world.clients.mailbox.clone().connect(request).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return status,
    };
    let read = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a reason"),
                Err(status) => return status,
            }
        }
    };
    let patience = std::time::Duration::from_secs(10);
    tokio::time::timeout(patience, read)
        .await
        .expect("the stream goes on")
}

#[tokio::test]
async fn a_bad_frame_ends_the_stream_and_says_why() {
    let world = World::new().await;
    let acknowledge = |envelope_ids| ConnectRequest {
        frame: Some(Frame::Acknowledge(AcknowledgeRequest { envelope_ids })),
    };
    let mut long = Device::letter(&world.bob, 78, &[1; 128 * 1024]);
    long.messages.push(DeviceMessage {
        device_id: vec![9; 16],
        ciphertext: vec![1; 128 * 1024],
    });
    long.messages.push(long.messages[1].clone());
    let long = ConnectRequest {
        frame: Some(Frame::Send(long)),
    };
    let rows: [(&str, ConnectRequest, Refused<'_>); 5] = [
        ("nothing", ConnectRequest { frame: None }, invalid("frame")),
        ("no ids", acknowledge(Vec::new()), invalid("envelope_ids")),
        (
            "a short id",
            acknowledge(vec![vec![1; 15]]),
            invalid("envelope_ids"),
        ),
        (
            "more ids than there may be",
            acknowledge((0..257).map(id).collect()),
            too_large("envelope_ids"),
        ),
        ("longer than a frame may be", long, too_large("request")),
    ];
    for (what, frame, expected) in rows {
        let status = end(&world, &world.token, vec![frame]).await;
        let (code, reason, field) = told(&status);
        assert_eq!((code, reason.as_str(), field.as_str()), expected, "{what}");
    }
    assert_unchanged(&world).await;
    world.server.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_the_stream() {
    let world = World::new().await;
    let authorization = format!("Bearer {}", world.token);
    let metadata = [("authorization", authorization.as_str())];
    for bytes in [vec![0x0a, 0x7f, 1], vec![0xff; 12], [0x12, 0].repeat(600)] {
        let mut grpc = tonic::client::Grpc::new(world.clients.channel.clone());
        let status = crate::common::last_word(&mut grpc, CONNECT, &metadata, bytes).await;
        let (code, reason, _) = told(&status);
        assert_eq!(code, Code::InvalidArgument);
        assert!(
            ["FIELD_INVALID", "TOO_LARGE"].contains(&reason.as_str()),
            "{reason}"
        );
    }
    assert_unchanged(&world).await;
    world.server.stop().await;
}

#[tokio::test]
async fn a_stream_needs_a_token_that_is_good() {
    let world = World::new().await;
    let status = world
        .clients
        .mailbox
        .clone()
        .connect(tokio_stream::pending())
        .await
        .unwrap_err();
    assert_eq!(
        told(&status),
        (Code::Unauthenticated, "TOKEN_MISSING".into(), String::new())
    );
    let invalid = (Code::Unauthenticated, "TOKEN_INVALID".into(), String::new());
    assert_eq!(told(&end(&world, &"0".repeat(64), Vec::new()).await), invalid);
    expire_tokens(&world.server.database).await;
    assert_eq!(told(&end(&world, &world.token, Vec::new()).await), invalid);
    world.server.stop().await;
}

/// Streams were opened, and counted where nodes count them; nothing else has changed.
async fn assert_unchanged(world: &World) {
    execute(&world.server.database, "UPDATE devices SET stream_epoch = 0").await;
    assert_eq!(dump(&world.server.database).await, world.before);
}
