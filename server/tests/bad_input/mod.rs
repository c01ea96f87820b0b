//! Bad input on every call: each is refused with a typed reason, and the database stays as it was, row
//! for row.

mod accounts;
mod blobs;
mod channels;
mod keeping;
mod mailbox;
mod manifests;
mod prekeys;
mod sessions;
mod sign_in;
mod streams;

use std::time::Duration;

use prost::Message;
use prost_types::FileDescriptorSet;
use sottovoce_proto::v1::blob_service_client::BlobServiceClient;
use sottovoce_proto::v1::{BeginUploadRequest, FinishUploadRequest, UploadPartRequest};
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use crate::common::{Clients, Device, TestServer, call, dump, execute, expire_tokens, id, told, with_token};

const REGISTER: &str = "/sottovoce.v1.AccountService/Register";
const GET_ACCOUNT: &str = "/sottovoce.v1.AccountService/GetAccount";
const HISTORY: &str = "/sottovoce.v1.AccountService/GetManifestHistory";
const UPDATE: &str = "/sottovoce.v1.AccountService/UpdateManifest";
const LIST_DEVICES: &str = "/sottovoce.v1.AccountService/ListDevices";
const SET_ACCESS_KEY: &str = "/sottovoce.v1.AccountService/SetAccessKey";
const DELETE: &str = "/sottovoce.v1.AccountService/DeleteAccount";
const PUT_RECOVERY: &str = "/sottovoce.v1.AccountService/PutRecoveryBlob";
const FETCH_RECOVERY: &str = "/sottovoce.v1.AccountService/FetchRecoveryBlob";
const PUT_GRANT: &str = "/sottovoce.v1.AccountService/PutLinkingGrant";
const FETCH_GRANTS: &str = "/sottovoce.v1.AccountService/FetchLinkingGrants";
const BEGIN: &str = "/sottovoce.v1.AuthService/BeginAuthentication";
const COMPLETE: &str = "/sottovoce.v1.AuthService/CompleteAuthentication";
const REFRESH: &str = "/sottovoce.v1.AuthService/RefreshTokens";
const LIST_SESSIONS: &str = "/sottovoce.v1.AuthService/ListSessions";
const REVOKE_SESSION: &str = "/sottovoce.v1.AuthService/RevokeSession";
const PUBLISH: &str = "/sottovoce.v1.PrekeyService/PublishPrekeys";
const FETCH: &str = "/sottovoce.v1.PrekeyService/FetchPrekeyBundles";
const COUNT: &str = "/sottovoce.v1.PrekeyService/CountPrekeys";
const SEND: &str = "/sottovoce.v1.MailboxService/Send";
const SEND_SEALED: &str = "/sottovoce.v1.MailboxService/SendSealed";
const SEND_BATCH: &str = "/sottovoce.v1.MailboxService/SendBatch";
const CANCEL: &str = "/sottovoce.v1.MailboxService/CancelScheduled";
const CONNECT: &str = "/sottovoce.v1.MailboxService/Connect";
const SUBSCRIBE: &str = "/sottovoce.v1.MailboxService/Subscribe";
const ACKNOWLEDGE: &str = "/sottovoce.v1.MailboxService/Acknowledge";
const CREATE: &str = "/sottovoce.v1.ChannelService/CreateChannel";
const APPEND: &str = "/sottovoce.v1.ChannelService/AppendRosterEntry";
const ENTRIES: &str = "/sottovoce.v1.ChannelService/GetRosterEntries";
const LIST: &str = "/sottovoce.v1.ChannelService/ListChannels";
const POST: &str = "/sottovoce.v1.ChannelService/Post";

const BEGIN_UPLOAD: &str = "/sottovoce.v1.BlobService/BeginUpload";
const UPLOAD_PART: &str = "/sottovoce.v1.BlobService/UploadPart";
const FINISH_UPLOAD: &str = "/sottovoce.v1.BlobService/FinishUpload";
const DOWNLOAD_BLOB: &str = "/sottovoce.v1.BlobService/DownloadBlob";
const RETAIN_BLOB: &str = "/sottovoce.v1.BlobService/RetainBlob";
const RELEASE_BLOB: &str = "/sottovoce.v1.BlobService/ReleaseBlob";

const INFO: &str = "/sottovoce.v1.ServerService/GetServerInfo";

const OPEN: [&str; 10] = [
    INFO,
    SEND_SEALED,
    DOWNLOAD_BLOB,
    REGISTER,
    UPDATE,
    FETCH_RECOVERY,
    FETCH_GRANTS,
    BEGIN,
    COMPLETE,
    REFRESH,
];
const WITH_TOKEN: [&str; 27] = [
    SEND_BATCH,
    CANCEL,
    GET_ACCOUNT,
    HISTORY,
    LIST_DEVICES,
    SET_ACCESS_KEY,
    DELETE,
    PUT_RECOVERY,
    PUT_GRANT,
    LIST_SESSIONS,
    REVOKE_SESSION,
    PUBLISH,
    FETCH,
    COUNT,
    SEND,
    SUBSCRIBE,
    ACKNOWLEDGE,
    CREATE,
    APPEND,
    ENTRIES,
    LIST,
    POST,
    BEGIN_UPLOAD,
    UPLOAD_PART,
    FINISH_UPLOAD,
    RETAIN_BLOB,
    RELEASE_BLOB,
];

/// A server with alice, bob (who has prekeys and a message from alice) and carol (who has none).
struct World {
    server: TestServer,
    clients: Clients,
    alice: Device,
    token: String,
    bob: Device,
    carol: Device,
    before: Vec<String>,
}

impl World {
    async fn new() -> Self {
        // What a test changes behind the server's back is to be noticed at once.
        let server = TestServer::start_limited(|limits| limits.caller_memory = Duration::ZERO).await;
        let clients = server.connect().await;
        let (alice, bob, carol) = (
            Device::named("alice"),
            Device::named("bob"),
            Device::named("carol"),
        );
        let token = alice.join(&clients).await;
        let bobs = bob.join(&clients).await;
        carol.register(&clients).await;
        for (token, device) in [(&bobs, &bob), (&token, &alice)] {
            for prekeys in [device.prekeys(1..=5), device.kem_prekeys(1..=5)] {
                let request = with_token(token, prekeys);
                clients.prekeys.clone().publish_prekeys(request).await.unwrap();
            }
        }
        Device::send_numbers(&clients, &token, &bob, 1..=1).await;
        let before = dump(&server.database).await;
        Self {
            server,
            clients,
            alice,
            token,
            bob,
            carol,
            before,
        }
    }

    fn blobs(&self) -> BlobServiceClient<Channel> {
        BlobServiceClient::new(self.clients.channel.clone())
    }

    /// A small blob of alice's, uploaded with the id 1.
    async fn upload(&self, content: &[u8]) -> Vec<u8> {
        let mut blobs = self.blobs();
        let request = BeginUploadRequest {
            upload_id: id(1),
            size: content.len() as u64,
            keep_for_s: 60,
        };
        blobs
            .begin_upload(with_token(&self.token, request))
            .await
            .unwrap();
        let request = UploadPartRequest {
            upload_id: id(1),
            offset: 0,
            data: content.to_vec(),
        };
        blobs.upload_part(with_token(&self.token, request)).await.unwrap();
        let request = FinishUploadRequest { upload_id: id(1) };
        let finished = blobs
            .finish_upload(with_token(&self.token, request))
            .await
            .unwrap();
        finished.into_inner().blob_id
    }

    /// Makes a call with alice's token and expects this refusal, and no trace of the call.
    async fn refuses(&self, what: &str, path: &'static str, body: Vec<u8>, expected: Refused<'_>) {
        let authorization = format!("Bearer {}", self.token);
        let metadata = [("authorization", authorization.as_str())];
        self.refuses_with(what, path, &metadata, body, expected).await;
    }

    async fn refuses_with(
        &self,
        what: &str,
        path: &'static str,
        metadata: &[(&'static str, &str)],
        body: Vec<u8>,
        (code, reason, field): Refused<'_>,
    ) {
        let what = format!("{path}: {what}");
        let answer = call(&self.clients.channel, path, metadata, body).await;
        let status = answer.expect_err(&what);
        let expected = (code, reason.to_owned(), field.to_owned());
        assert_eq!(told(&status), expected, "{what}");
        assert_eq!(
            dump(&self.server.database).await,
            self.before,
            "{what} left a trace"
        );
    }
}

/// Code, reason, field.
type Refused<'a> = (Code, &'a str, &'a str);

/// What is wrong, the request, how it is refused.
type Row<'a> = (&'a str, Vec<u8>, Refused<'a>);

fn invalid(field: &str) -> Refused<'_> {
    (Code::InvalidArgument, "FIELD_INVALID", field)
}

fn too_large(field: &str) -> Refused<'_> {
    (Code::InvalidArgument, "TOO_LARGE", field)
}

fn unsigned(field: &str) -> Refused<'_> {
    (Code::InvalidArgument, "SIGNATURE_INVALID", field)
}

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
