//! Bad input on every call: each is refused with a typed reason, and the database stays as it was, row
//! for row.

mod accounts;
mod blobs;
mod channels;
mod every_call;
mod keeping;
mod mailbox;
mod manifests;
mod prekeys;
mod sessions;
mod sign_in;
mod streams;

use std::time::Duration;

use sottovoce_proto::v1::blob_service_client::BlobServiceClient;
use sottovoce_proto::v1::{BeginUploadRequest, FinishUploadRequest, UploadPartRequest};
use tonic::Code;
use tonic::transport::Channel;

use crate::common::{Clients, Device, TestServer, call, dump, id, told, with_token};

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
