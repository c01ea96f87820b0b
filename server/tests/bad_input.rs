//! Bad input on every call: each is refused with a typed reason, and the database stays as it was, row
//! for row.

use prost::Message;
use sottovoce_proto::v1::{
    AcknowledgeRequest, BeginAuthenticationRequest, CompleteAuthenticationRequest, DeviceMessage,
    FetchPrekeyBundlesRequest, GetAccountRequest, OneTimePrekey, PublishPrekeysRequest, RegisterRequest,
    SendRequest, SignedStatement, SubscribeRequest,
};
use sottovoce_server::Registration;
use sottovoce_statements::{Address, DeviceId, ManifestDevice, ServerName};
use tonic::Code;

use crate::common::{Clients, Device, TestServer, call, dump, id, statement, told, with_token};

const REGISTER: &str = "/sottovoce.v1.AccountService/Register";
const GET_ACCOUNT: &str = "/sottovoce.v1.AccountService/GetAccount";
const BEGIN: &str = "/sottovoce.v1.AuthService/BeginAuthentication";
const COMPLETE: &str = "/sottovoce.v1.AuthService/CompleteAuthentication";
const PUBLISH: &str = "/sottovoce.v1.PrekeyService/PublishPrekeys";
const FETCH: &str = "/sottovoce.v1.PrekeyService/FetchPrekeyBundles";
const COUNT: &str = "/sottovoce.v1.PrekeyService/CountPrekeys";
const SEND: &str = "/sottovoce.v1.MailboxService/Send";
const SUBSCRIBE: &str = "/sottovoce.v1.MailboxService/Subscribe";
const ACKNOWLEDGE: &str = "/sottovoce.v1.MailboxService/Acknowledge";

const OPEN: [&str; 3] = [REGISTER, BEGIN, COMPLETE];
const WITH_TOKEN: [&str; 7] = [GET_ACCOUNT, PUBLISH, FETCH, COUNT, SEND, SUBSCRIBE, ACKNOWLEDGE];

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
        let server = TestServer::start().await;
        let clients = server.connect().await;
        let (alice, bob, carol) = (
            Device::named("alice"),
            Device::named("bob"),
            Device::named("carol"),
        );
        let token = alice.join(&clients).await;
        let bobs = bob.join(&clients).await;
        carol.register(&clients).await;
        for (token, prekeys) in [(&bobs, bob.prekeys(1..=5)), (&token, alice.prekeys(1..=5))] {
            let request = with_token(token, prekeys);
            clients.prekeys.clone().publish_prekeys(request).await.unwrap();
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

    /// Makes a call with alice's token and expects this refusal, and no trace of the call.
    async fn refuses(&self, what: &str, path: &'static str, body: Vec<u8>, expected: (Code, &str, &str)) {
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
        (code, reason, field): (Code, &str, &str),
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

fn invalid(field: &str) -> (Code, &str, &str) {
    (Code::InvalidArgument, "FIELD_INVALID", field)
}

fn too_large(field: &str) -> (Code, &str, &str) {
    (Code::InvalidArgument, "TOO_LARGE", field)
}

fn unsigned(field: &str) -> (Code, &str, &str) {
    (Code::InvalidArgument, "SIGNATURE_INVALID", field)
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

#[tokio::test]
async fn bad_registrations_are_refused() {
    let world = World::new().await;
    let dave = Device::named("dave");
    let good = dave.registration();
    let with = |change: &dyn Fn(&mut RegisterRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request.encode_to_vec()
    };
    let manifest =
        |change: &dyn Fn(&mut SignedStatement)| with(&|request| change(request.manifest.as_mut().unwrap()));
    let with_manifest = |change: &dyn Fn(&mut sottovoce_statements::DeviceManifest)| {
        let mut changed = dave.manifest();
        change(&mut changed);
        with(&|request| request.manifest = Some(statement(changed.clone(), &dave.account)))
    };
    let with_binding = |change: &dyn Fn(&mut sottovoce_statements::DeviceBinding)| {
        let mut changed = dave.binding();
        change(&mut changed);
        with(&|request| request.bindings = vec![statement(changed.clone(), &dave.identity)])
    };
    let as_if = |change: &dyn Fn(&mut Device)| {
        let mut device = dave.clone();
        change(&mut device);
        device.registration().encode_to_vec()
    };
    let taken = |reason, field| (Code::AlreadyExists, reason, field);
    let elsewhere = Address::parse("dave@elsewhere.example").unwrap();
    let rows: Vec<(&str, Vec<u8>, (Code, &str, &str))> = vec![
        ("empty", Vec::new(), invalid("account_key")),
        (
            "short account key",
            with(&|r| r.account_key.truncate(31)),
            invalid("account_key"),
        ),
        (
            "long account key",
            with(&|r| r.account_key.push(0)),
            invalid("account_key"),
        ),
        (
            "account key of small order",
            with(&|r| r.account_key = vec![0; 32]),
            invalid("account_key"),
        ),
        ("no manifest", with(&|r| r.manifest = None), invalid("manifest")),
        (
            "empty statement",
            manifest(&|m| m.statement.clear()),
            invalid("manifest"),
        ),
        (
            "statement cut short",
            manifest(&|m| _ = m.statement.pop()),
            invalid("manifest"),
        ),
        (
            "statement too long",
            manifest(&|m| m.statement.push(0)),
            invalid("manifest"),
        ),
        (
            "oversized statement",
            manifest(&|m| m.statement.resize(1_537, 0)),
            too_large("manifest"),
        ),
        (
            "short signature",
            manifest(&|m| _ = m.signature.pop()),
            invalid("manifest"),
        ),
        (
            "bad signature",
            manifest(&|m| m.signature[10] ^= 1),
            unsigned("manifest"),
        ),
        (
            "manifest by another key",
            with(&|r| r.manifest = Some(statement(dave.manifest(), &world.alice.account))),
            unsigned("manifest"),
        ),
        (
            "statement for another purpose",
            with(&|r| r.manifest = Some(statement(dave.binding(), &dave.account))),
            invalid("manifest"),
        ),
        (
            "version 2",
            with_manifest(&|m| {
                m.version = 2;
                m.previous = [1; 32];
            }),
            invalid("manifest"),
        ),
        (
            "two devices",
            with_manifest(&|m| {
                m.devices.push(ManifestDevice {
                    device_id: DeviceId::from_bytes([0xff; 16]),
                    identity_key: world.bob.identity_key(),
                });
            }),
            invalid("manifest"),
        ),
        ("no binding", with(&|r| r.bindings.clear()), invalid("bindings")),
        (
            "two bindings",
            with(&|r| r.bindings.push(good.bindings[0].clone())),
            invalid("bindings"),
        ),
        (
            "binding by another device",
            with(&|r| r.bindings = vec![statement(dave.binding(), &world.bob.identity)]),
            unsigned("bindings"),
        ),
        (
            "statement for another purpose",
            with(&|r| r.bindings = vec![statement(dave.prekey(1), &dave.identity)]),
            invalid("bindings"),
        ),
        (
            "binding to another account key",
            with_binding(&|b| b.account_key = world.alice.account_key()),
            invalid("bindings"),
        ),
        (
            "binding to another address",
            with_binding(&|b| b.address = world.alice.address.clone()),
            invalid("bindings"),
        ),
        (
            "binding of another device id",
            with_binding(&|b| b.device_id = world.alice.id),
            invalid("bindings"),
        ),
        (
            "address of another server",
            as_if(&|d| d.address = elsewhere.clone()),
            (Code::InvalidArgument, "SERVER_NOT_LOCAL", "manifest"),
        ),
        (
            "address of another account",
            as_if(&|d| d.address = world.alice.address.clone()),
            taken("ADDRESS_TAKEN", ""),
        ),
        (
            "one's own address with another device",
            as_if(&|d| {
                d.address = world.alice.address.clone();
                d.account = world.alice.account.clone();
            }),
            taken("ADDRESS_TAKEN", ""),
        ),
        (
            "account key of another account",
            as_if(&|d| d.account = world.alice.account.clone()),
            taken("IDENTITY_TAKEN", "account_key"),
        ),
        (
            "device id of another account",
            as_if(&|d| d.id = world.alice.id),
            taken("IDENTITY_TAKEN", "manifest.devices"),
        ),
        (
            "device key of another account",
            as_if(&|d| d.identity = world.alice.identity.clone()),
            taken("IDENTITY_TAKEN", "manifest.devices"),
        ),
    ];
    for (what, body, expected) in rows {
        world.refuses(what, REGISTER, body, expected).await;
    }
    // The table is about these changes only: without them the request is good, and good again.
    for _ in 0..2 {
        world
            .clients
            .accounts
            .clone()
            .register(good.clone())
            .await
            .unwrap();
    }
    world.server.stop().await;
}

#[tokio::test]
async fn a_closed_or_full_server_takes_no_new_account_but_repeats_its_old_answers() {
    let expected = [
        (Code::PermissionDenied, "REGISTRATION_CLOSED"),
        (Code::ResourceExhausted, "SERVER_FULL"),
    ];
    for (closed, (code, reason)) in [true, false].into_iter().zip(expected) {
        let server = TestServer::start().await;
        let alice = Device::named("alice");
        alice.register(&server.connect().await).await;
        let folder = server.stop().await;
        let server = TestServer::start_in(folder, |config| {
            if closed {
                config.registration = Registration::Closed;
            } else {
                config.limits.max_accounts = 1;
            }
        })
        .await;
        let clients = server.connect().await;
        let before = dump(&server.database).await;
        let request = Device::named("bob").registration();
        let status = clients.accounts.clone().register(request).await.unwrap_err();
        assert_eq!(told(&status), (code, reason.to_owned(), String::new()));
        alice.register(&clients).await;
        assert_eq!(dump(&server.database).await, before);
        server.stop().await;
    }
}

#[tokio::test]
async fn bad_sign_ins_are_refused() {
    let world = World::new().await;
    for device_id in [Vec::new(), vec![1; 15], vec![1; 17]] {
        let body = BeginAuthenticationRequest { device_id }.encode_to_vec();
        world
            .refuses("device id", BEGIN, body, invalid("device_id"))
            .await;
    }
    let alice = &world.alice;
    let begun = alice.begin(&world.clients).await;
    let complete = |challenge: SignedStatement| {
        let challenge = Some(challenge);
        CompleteAuthenticationRequest { challenge }.encode_to_vec()
    };
    let with = |change: &dyn Fn(&mut sottovoce_statements::AuthChallenge)| {
        let mut challenge = alice.challenge(&begun);
        change(&mut challenge);
        complete(statement(challenge, &alice.identity))
    };
    let stranger = Device::named("stranger");
    let strangers = stranger.begin(&world.clients).await;
    let foreign = (Code::Unauthenticated, "CHALLENGE_INVALID", "");
    let mut damaged = statement(alice.challenge(&begun), &alice.identity);
    damaged.signature[0] ^= 1;
    let rows: Vec<(&str, Vec<u8>, (Code, &str, &str))> = vec![
        ("empty", Vec::new(), invalid("challenge")),
        (
            "no statement",
            complete(SignedStatement::default()),
            invalid("challenge"),
        ),
        (
            "statement for another purpose",
            complete(statement(alice.prekey(1), &alice.identity)),
            invalid("challenge"),
        ),
        (
            "oversized statement",
            complete(SignedStatement {
                statement: vec![0; 1_537],
                signature: vec![0; 64],
            }),
            too_large("challenge"),
        ),
        ("bad signature", complete(damaged), unsigned("challenge")),
        (
            "signed by another device",
            complete(statement(alice.challenge(&begun), &world.bob.identity)),
            unsigned("challenge"),
        ),
        ("another nonce", with(&|c| c.nonce[20] ^= 1), foreign),
        ("a short nonce", with(&|c| c.nonce.truncate(8)), foreign),
        ("a longer life", with(&|c| c.expires_at_ms += 1), foreign),
        (
            "another server",
            with(&|c| c.server = ServerName::parse("elsewhere.example").unwrap()),
            foreign,
        ),
        (
            "another device's challenge",
            with(&|c| c.nonce = strangers.nonce.clone()),
            foreign,
        ),
        (
            "unknown device",
            complete(statement(stranger.challenge(&strangers), &stranger.identity)),
            (Code::NotFound, "DEVICE_UNKNOWN", ""),
        ),
    ];
    for (what, body, expected) in rows {
        world.refuses(what, COMPLETE, body, expected).await;
    }
    // None of that used the challenge up. Its own answer does, and only once.
    let good = with(&|_| {});
    call(&world.clients.channel, COMPLETE, &[], good.clone())
        .await
        .unwrap();
    let world = World {
        before: dump(&world.server.database).await,
        ..world
    };
    let used = (Code::Unauthenticated, "CHALLENGE_USED", "");
    world.refuses("replayed", COMPLETE, good, used).await;
    world.server.stop().await;
}

#[tokio::test]
async fn bad_lookups_are_refused() {
    let world = World::new().await;
    let rows = [
        ("", invalid("address")),
        ("alice", invalid("address")),
        ("Alice@localhost", invalid("address")),
        (
            "alice@elsewhere.example",
            (Code::InvalidArgument, "SERVER_NOT_LOCAL", "address"),
        ),
        ("nobody@localhost", (Code::NotFound, "ACCOUNT_UNKNOWN", "")),
    ];
    for (address, expected) in rows {
        let request = GetAccountRequest {
            address: address.to_owned(),
        };
        world
            .refuses(address, GET_ACCOUNT, request.encode_to_vec(), expected)
            .await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn bad_prekeys_are_refused() {
    let world = World::new().await;
    let alice = &world.alice;
    let signed = |signed_prekey| {
        PublishPrekeysRequest {
            signed_prekey: Some(signed_prekey),
            one_time_prekeys: alice.prekeys(6..=7).one_time_prekeys,
        }
        .encode_to_vec()
    };
    let one_time = |keys: &[(u32, Vec<u8>)]| {
        PublishPrekeysRequest {
            signed_prekey: None,
            one_time_prekeys: keys
                .iter()
                .map(|(id, key)| OneTimePrekey {
                    id: *id,
                    public_key: key.clone(),
                })
                .collect(),
        }
        .encode_to_vec()
    };
    let mut changed = alice.prekey(1);
    changed.created_at_ms += 1;
    let mut reduced_twice = vec![0xff; 32];
    reduced_twice[0] = 0xed;
    reduced_twice[31] = 0x7f;
    let conflict = |field| (Code::AlreadyExists, "PREKEY_CONFLICT", field);
    let key_field = "one_time_prekeys.public_key";
    let rows: Vec<(&str, Vec<u8>, (Code, &str, &str))> = vec![
        ("empty", Vec::new(), invalid("one_time_prekeys")),
        (
            "signed by another device",
            signed(statement(alice.prekey(2), &world.bob.identity)),
            unsigned("signed_prekey"),
        ),
        (
            "prekey of another device",
            signed(statement(world.bob.prekey(2), &alice.identity)),
            invalid("signed_prekey"),
        ),
        (
            "statement for another purpose",
            signed(statement(alice.binding(), &alice.identity)),
            invalid("signed_prekey"),
        ),
        (
            "no statement",
            signed(SignedStatement::default()),
            invalid("signed_prekey"),
        ),
        (
            "same id, other statement",
            signed(statement(changed, &alice.identity)),
            conflict("signed_prekey"),
        ),
        (
            "id 0",
            one_time(&[(0, vec![9; 32])]),
            invalid("one_time_prekeys.id"),
        ),
        ("short key", one_time(&[(6, vec![9; 31])]), invalid(key_field)),
        ("long key", one_time(&[(6, vec![9; 33])]), invalid(key_field)),
        ("no key", one_time(&[(6, Vec::new())]), invalid(key_field)),
        ("zero key", one_time(&[(6, vec![0; 32])]), invalid(key_field)),
        (
            "key out of range",
            one_time(&[(6, reduced_twice)]),
            invalid(key_field),
        ),
        (
            "the same id twice",
            one_time(&[(6, vec![9; 32]), (6, vec![9; 32])]),
            invalid("one_time_prekeys.id"),
        ),
        (
            "stored id, other key",
            one_time(&[(6, vec![9; 32]), (5, vec![9; 32])]),
            conflict("one_time_prekeys.id"),
        ),
        (
            "too many",
            alice.prekeys(6..=106).encode_to_vec(),
            too_large("one_time_prekeys"),
        ),
    ];
    for (what, body, expected) in rows {
        world.refuses(what, PUBLISH, body, expected).await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn bad_fetches_are_refused_and_consume_no_prekey() {
    let world = World::new().await;
    let bob = world.bob.address.to_string();
    let bobs_id = world.bob.id.as_bytes().to_vec();
    let carols_id = world.carol.id.as_bytes().to_vec();
    let fetch = |address: &str, device_ids: Vec<Vec<u8>>| {
        FetchPrekeyBundlesRequest {
            address: address.to_owned(),
            device_ids,
        }
        .encode_to_vec()
    };
    let not_local = (Code::InvalidArgument, "SERVER_NOT_LOCAL", "address");
    let unknown = |reason| (Code::NotFound, reason, "");
    let rows: Vec<(&str, Vec<u8>, (Code, &str, &str))> = vec![
        ("empty", Vec::new(), invalid("address")),
        (
            "another server",
            fetch("bob@elsewhere.example", vec![bobs_id.clone()]),
            not_local,
        ),
        ("no devices", fetch(&bob, Vec::new()), invalid("device_ids")),
        (
            "too many devices",
            fetch(&bob, (0..17).map(id).collect()),
            too_large("device_ids"),
        ),
        ("short id", fetch(&bob, vec![vec![1; 15]]), invalid("device_ids")),
        (
            "the same twice",
            fetch(&bob, vec![bobs_id.clone(), bobs_id.clone()]),
            invalid("device_ids"),
        ),
        (
            "unknown account",
            fetch("nobody@localhost", vec![bobs_id.clone()]),
            unknown("ACCOUNT_UNKNOWN"),
        ),
        (
            "a device of another account beside a right one",
            fetch(&bob, vec![bobs_id, carols_id.clone()]),
            unknown("DEVICE_UNKNOWN"),
        ),
        (
            "a device without prekeys",
            fetch(&world.carol.address.to_string(), vec![carols_id]),
            (Code::FailedPrecondition, "PREKEYS_MISSING", ""),
        ),
    ];
    for (what, body, expected) in rows {
        world.refuses(what, FETCH, body, expected).await;
    }
    world.server.stop().await;
}

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
    let rows: Vec<(&str, Vec<u8>, (Code, &str, &str))> = vec![
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
