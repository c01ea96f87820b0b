//! Bad registrations and lookups.

use std::time::Duration;

use prost::Message;
use sottovoce_proto::v1::{GetAccountRequest, RegisterRequest, SignedStatement};
use sottovoce_server::Registration;
use sottovoce_statements::{Address, DeviceId, ManifestDevice};
use tonic::Code;

use super::{GET_ACCOUNT, REGISTER, Row, World, invalid, too_large, unsigned};
use crate::common::{Device, TestServer, dump, hold_the_write_lock, statement, told};

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
    let rows: Vec<Row<'_>> = vec![
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
    let alice = Device::named("alice");
    let stranger = Device::named("stranger");
    let with = |change: &dyn Fn(&mut Device)| {
        let mut device = stranger.clone();
        change(&mut device);
        device.registration()
    };
    let requests = [
        stranger.registration(),
        with(&|d| d.address = alice.address.clone()),
        with(&|d| d.account = alice.account.clone()),
        with(&|d| d.id = alice.id),
    ];
    let closed = (Code::PermissionDenied, "REGISTRATION_CLOSED", "");
    let full = (Code::ResourceExhausted, "SERVER_FULL", "");
    let taken = |reason, field| (Code::AlreadyExists, reason, field);
    // Who may not register learns nothing of who has.
    let of_closed = [closed; 4];
    let of_full = [
        full,
        taken("ADDRESS_TAKEN", ""),
        taken("IDENTITY_TAKEN", "account_key"),
        taken("IDENTITY_TAKEN", "manifest.devices"),
    ];
    for expected in [of_closed, of_full] {
        let server = TestServer::start().await;
        alice.register(&server.connect().await).await;
        let folder = server.stop().await;
        let server = TestServer::start_in(folder, |config| {
            if expected == of_closed {
                config.registration = Registration::Closed;
            } else {
                config.limits.max_accounts = 1;
            }
        })
        .await;
        let clients = server.connect().await;
        let before = dump(&server.database).await;
        for (request, (code, reason, field)) in requests.iter().zip(expected) {
            let mut accounts = clients.accounts.clone();
            let status = accounts.register(request.clone()).await.unwrap_err();
            assert_eq!(told(&status), (code, reason.to_owned(), field.to_owned()));
        }
        alice.register(&clients).await;
        assert_eq!(dump(&server.database).await, before);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_registration_that_changes_nothing_does_not_wait_for_the_writer() {
    let alice = Device::named("alice");
    let server = TestServer::start().await;
    let clients = server.connect().await;
    alice.register(&clients).await;
    let mut other = Device::named("other");
    other.address = alice.address.clone();
    let held = hold_the_write_lock(&server.database).await;
    let answers = async {
        alice.register(&clients).await;
        let status = clients.accounts.clone().register(other.registration()).await;
        assert_eq!(told(&status.unwrap_err()).1, "ADDRESS_TAKEN");
    };
    // A writer would wait for longer than this.
    tokio::time::timeout(Duration::from_secs(3), answers)
        .await
        .unwrap();
    drop(held);
    server.stop().await;
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
            ..Default::default()
        };
        world
            .refuses(address, GET_ACCOUNT, request.encode_to_vec(), expected)
            .await;
    }
    world.server.stop().await;
}
