//! What is refused on every call alike: bad messages, bad tokens, calls that do not exist.

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Code;
use tonic_types::StatusExt;

use super::{
    BEGIN, CONNECT, OPEN, POST, PUBLISH, PUT_GRANT, SEND, SEND_BATCH, SEND_SEALED, UPLOAD_PART, WITH_TOKEN,
    World, invalid, too_large,
};
use crate::common::{call, dump, execute, expire_tokens, told};

#[test]
fn every_call_of_the_protocol_is_tested_with_bad_input() {
    let described = FileDescriptorSet::decode(sottovoce_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut calls = Vec::new();
    for file in &described.file {
        for service in &file.service {
            for method in &service.method {
                calls.push(format!(
                    "/{}.{}/{}",
                    file.package(),
                    service.name(),
                    method.name()
                ));
            }
        }
    }
    calls.sort();
    // A stream of requests is not one request: it has a file of its own.
    let mut tested: Vec<_> = OPEN.into_iter().chain(WITH_TOKEN).chain([CONNECT]).collect();
    tested.sort_unstable();
    assert_eq!(calls, tested);
}

#[tokio::test]
async fn malformed_and_oversized_messages_are_refused_on_every_call() {
    let world = World::new().await;
    let truncated = [0x0a, 0x7f, 0x01];
    let bad_tag = [0xff; 12];
    for path in OPEN.into_iter().chain(WITH_TOKEN) {
        for body in [truncated.as_slice(), bad_tag.as_slice()] {
            // A request without fields skips those it does not know, if they are whole.
            world
                .refuses("malformed", path, body.to_vec(), invalid("request"))
                .await;
        }
        world
            .refuses("oversized", path, vec![0; 3 * 1024 * 1024], too_large("request"))
            .await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn a_request_as_long_as_allowed_is_read_and_one_byte_more_is_not() {
    let world = World::new().await;
    let authorization = format!("Bearer {}", world.token);
    let metadata = [("authorization", authorization.as_str())];
    for path in OPEN.into_iter().chain(WITH_TOKEN) {
        let limit = match path {
            SEND | SEND_SEALED | SEND_BATCH => 16 * (128 * 1024 + 64) + 1024,
            PUBLISH => 128 * 1024,
            POST => 136 * 1024,
            UPLOAD_PART => 1025 * 1024,
            PUT_GRANT => 80 * 1024,
            _ => 16 * 1024,
        };
        // One field that no request knows, and so skips, with its key and its length.
        let unknown = |length: usize| {
            let field = |value: usize| {
                let mut message = Vec::with_capacity(length);
                prost::encoding::bytes::encode(1000, &vec![0; value], &mut message);
                message
            };
            let values = length - 8..length;
            values.map(field).find(|message| message.len() == length).unwrap()
        };
        let answer = call(&world.clients.channel, path, &metadata, unknown(limit)).await;
        if let Err(status) = answer {
            assert_ne!(told(&status).1, "TOO_LARGE", "{path}");
        }
        let status = call(&world.clients.channel, path, &metadata, unknown(limit + 1))
            .await
            .unwrap_err();
        assert_eq!(told(&status).1, "TOO_LARGE", "{path}");
        let details = status.get_error_details();
        assert_eq!(
            details.error_info().unwrap().metadata["limit"],
            limit.to_string(),
            "{path}"
        );
    }
    // Where there may be several nodes, streams are counted: one was begun.
    execute(&world.server.database, "UPDATE devices SET stream_epoch = 0").await;
    assert_eq!(dump(&world.server.database).await, world.before);
    world.server.stop().await;
}

#[tokio::test]
async fn a_request_of_too_many_parts_is_refused_on_every_call() {
    let world = World::new().await;
    // Empty elements of fields 1 to 4, which hold the repeated ones of all requests.
    for key in [0x0a, 0x12, 0x1a, 0x22] {
        for path in OPEN.into_iter().chain(WITH_TOKEN) {
            let parts = if path == SEND_BATCH { 2_049 } else { 513 };
            let refused = too_large("request.fields");
            let body = [key, 0].repeat(parts);
            world.refuses("one part too many", path, body, refused).await;
        }
    }
    let million = [0x1a, 0].repeat(1_000_000);
    world
        .refuses("a million parts", SEND, million, too_large("request.fields"))
        .await;
    world.server.stop().await;
}

#[tokio::test]
async fn calls_that_need_a_token_are_refused_without_a_good_one() {
    let world = World::new().await;
    let unknown = format!("Bearer {}", "0".repeat(64));
    let longer = format!("Bearer {}0", world.token);
    let basic = format!("Basic {}", world.token);
    let upper = format!("Bearer {}", world.token.to_uppercase());
    for path in WITH_TOKEN {
        world
            .refuses_with(
                "no token",
                path,
                &[],
                Vec::new(),
                (Code::Unauthenticated, "TOKEN_MISSING", ""),
            )
            .await;
        for header in [&unknown, &longer, &basic, &upper, "", "Bearer", "Bearer "] {
            world
                .refuses_with(
                    header,
                    path,
                    &[("authorization", header)],
                    Vec::new(),
                    (Code::Unauthenticated, "TOKEN_INVALID", ""),
                )
                .await;
        }
    }
    world.server.stop().await;
}

#[tokio::test]
async fn calls_with_an_expired_token_are_refused() {
    let mut world = World::new().await;
    expire_tokens(&world.server.database).await;
    world.before = dump(&world.server.database).await;
    let refused = (Code::Unauthenticated, "TOKEN_INVALID", "");
    for path in WITH_TOKEN {
        world.refuses("expired token", path, Vec::new(), refused).await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn calls_and_encodings_that_do_not_exist_are_refused() {
    let world = World::new().await;
    let unsupported = (Code::Unimplemented, "UNSUPPORTED", "");
    for path in [
        "/sottovoce.v1.MailboxService/Nothing",
        "/no.such.Service/Call",
        "/",
    ] {
        world.refuses("no such call", path, Vec::new(), unsupported).await;
    }
    world
        .refuses_with(
            "compressed",
            BEGIN,
            &[("grpc-encoding", "gzip")],
            Vec::new(),
            unsupported,
        )
        .await;
    world.server.stop().await;
}
