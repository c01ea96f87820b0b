//! Bad manifests, and lookups of those that were replaced.

use prost::Message;
use sottovoce_proto::v1::{GetManifestHistoryRequest, SignedStatement, UpdateManifestRequest};
use sottovoce_statements::{Address, DeviceManifest, ManifestDevice};
use tonic::Code;

use super::{HISTORY, Row, UPDATE, World, invalid, too_large, unsigned};
use crate::common::{Device, statement};

/// The manifest after alice's first, with another device, whatever a test makes of it.
fn next(alice: &Device, laptop: &Device) -> DeviceManifest {
    use sha2::Digest as _;
    let first = alice.registration().manifest.unwrap();
    let mut devices = [alice, laptop].map(|device| ManifestDevice {
        device_id: device.id,
        identity_key: device.identity_key(),
    });
    devices.sort_by_key(|device| device.device_id);
    DeviceManifest {
        address: alice.address.clone(),
        version: 2,
        previous: sha2::Sha256::digest(&first.statement).into(),
        devices: devices.to_vec(),
    }
}

#[tokio::test]
async fn bad_updates_are_refused() {
    let world = World::new().await;
    let alice = &world.alice;
    let mut laptop = Device::named("laptop");
    laptop.account = alice.account.clone();
    laptop.address = alice.address.clone();
    let good = next(alice, &laptop);
    let binding = |device: &Device| statement(device.binding(), &device.identity);
    let body = |manifest: SignedStatement, bindings: Vec<SignedStatement>| {
        let manifest = Some(manifest);
        let request = UpdateManifestRequest {
            manifest,
            bindings,
            ..Default::default()
        };
        request.encode_to_vec()
    };
    let after = |skipped: Vec<SignedStatement>| {
        let request = UpdateManifestRequest {
            manifest: Some(statement(good.clone(), &alice.account)),
            bindings: vec![binding(&laptop)],
            skipped,
        };
        request.encode_to_vec()
    };
    let with = |change: &dyn Fn(&mut DeviceManifest)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        body(statement(manifest, &alice.account), vec![binding(&laptop)])
    };
    let signed = || statement(good.clone(), &alice.account);
    let mut damaged = signed();
    damaged.signature[0] ^= 1;
    let misbound = |change: &dyn Fn(&mut sottovoce_statements::DeviceBinding)| {
        let mut binding = laptop.binding();
        change(&mut binding);
        body(signed(), vec![statement(binding, &laptop.identity)])
    };
    let mut bobs_device = Device::named("bob");
    bobs_device.account = alice.account.clone();
    bobs_device.address = alice.address.clone();
    let conflict = (Code::Aborted, "MANIFEST_CONFLICT", "");
    let taken = (Code::AlreadyExists, "IDENTITY_TAKEN", "manifest.devices");
    let rows: Vec<Row<'_>> = vec![
        ("empty", Vec::new(), invalid("manifest")),
        (
            "no statement",
            body(SignedStatement::default(), Vec::new()),
            invalid("manifest"),
        ),
        (
            "oversized statement",
            body(
                SignedStatement {
                    statement: vec![0; 1_537],
                    signature: vec![0; 64],
                },
                Vec::new(),
            ),
            too_large("manifest"),
        ),
        (
            "another purpose",
            body(binding(&laptop), Vec::new()),
            invalid("manifest"),
        ),
        (
            "damaged",
            body(damaged, vec![binding(&laptop)]),
            unsigned("manifest"),
        ),
        (
            "signed by another account",
            body(
                statement(good.clone(), &world.bob.account),
                vec![binding(&laptop)],
            ),
            unsigned("manifest"),
        ),
        (
            "another account's",
            with(&|m| m.address = world.bob.address.clone()),
            unsigned("manifest"),
        ),
        (
            "of nobody",
            with(&|m| m.address = Address::parse("nobody@localhost").unwrap()),
            unsigned("manifest"),
        ),
        (
            "of another server",
            with(&|m| m.address = Address::parse("alice@elsewhere.example").unwrap()),
            (Code::InvalidArgument, "SERVER_NOT_LOCAL", "manifest"),
        ),
        ("a version left out", with(&|m| m.version = 3), conflict),
        (
            "another manifest before it",
            with(&|m| m.previous[0] ^= 1),
            conflict,
        ),
        (
            "a manifest skipped that is not before it",
            after(vec![signed()]),
            conflict,
        ),
        (
            "no statement skipped",
            after(vec![SignedStatement::default()]),
            invalid("skipped"),
        ),
        ("too many skipped", after(vec![signed(); 9]), too_large("skipped")),
        (
            "one skipped that another account signed",
            after(vec![statement(good.clone(), &world.bob.account)]),
            unsigned("skipped"),
        ),
        (
            "another account's skipped",
            after(vec![world.bob.registration().manifest.unwrap()]),
            invalid("skipped"),
        ),
        ("no binding", body(signed(), Vec::new()), invalid("bindings")),
        (
            "a binding too many",
            body(signed(), vec![binding(&laptop), binding(alice)]),
            invalid("bindings"),
        ),
        (
            "the binding of a device that is known",
            body(signed(), vec![binding(alice)]),
            unsigned("bindings"),
        ),
        (
            "bound to another account key",
            misbound(&|b| b.account_key = world.bob.account_key()),
            invalid("bindings"),
        ),
        (
            "bound to another address",
            misbound(&|b| b.address = world.bob.address.clone()),
            invalid("bindings"),
        ),
        (
            "bound to another device",
            misbound(&|b| b.device_id = alice.id),
            invalid("bindings"),
        ),
        (
            "a device of another account",
            body(
                statement(next(alice, &bobs_device), &alice.account),
                vec![binding(&bobs_device)],
            ),
            taken,
        ),
    ];
    for (what, body, expected) in rows {
        world.refuses(what, UPDATE, body, expected).await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn bad_lookups_of_manifests_are_refused() {
    let world = World::new().await;
    for (address, expected) in [
        ("", invalid("address")),
        ("Alice@localhost", invalid("address")),
        (
            "alice@elsewhere.example",
            (Code::InvalidArgument, "SERVER_NOT_LOCAL", "address"),
        ),
        ("nobody@localhost", (Code::NotFound, "ACCOUNT_UNKNOWN", "")),
    ] {
        let request = GetManifestHistoryRequest {
            address: address.to_owned(),
            after_version: u64::MAX,
        };
        world
            .refuses(address, HISTORY, request.encode_to_vec(), expected)
            .await;
    }
    world.server.stop().await;
}
