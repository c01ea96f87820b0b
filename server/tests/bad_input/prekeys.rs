//! Bad prekeys, and bad fetches of them.

use prost::Message;
use sottovoce_proto::v1::{FetchPrekeyBundlesRequest, OneTimePrekey, PublishPrekeysRequest, SignedStatement};
use tonic::Code;

use super::{FETCH, PUBLISH, Row, World, invalid, too_large, unsigned};
use crate::common::{id, statement};

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
    let rows: Vec<Row<'_>> = vec![
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
    let rows: Vec<Row<'_>> = vec![
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
