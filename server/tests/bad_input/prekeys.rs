//! Bad prekeys, and bad fetches of them.

use prost::Message;
use sottovoce_proto::v1::{FetchPrekeyBundlesRequest, OneTimePrekey, PublishPrekeysRequest, SignedStatement};
use sottovoce_statements::{KemPrekeyRole, MlKemKey};
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
            ..PublishPrekeysRequest::default()
        }
        .encode_to_vec()
    };
    let one_time = |keys: &[(u32, Vec<u8>)]| {
        PublishPrekeysRequest {
            one_time_prekeys: keys
                .iter()
                .map(|(id, key)| OneTimePrekey {
                    id: *id,
                    public_key: key.clone(),
                })
                .collect(),
            ..PublishPrekeysRequest::default()
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
async fn bad_kem_prekeys_are_refused() {
    const LAST_RESORT: &str = "last_resort_kem_prekey";
    const ONE_TIME: &str = "one_time_kem_prekeys";
    let world = World::new().await;
    let (alice, bob) = (&world.alice, &world.bob);
    let role_of = |field| {
        if field == LAST_RESORT {
            KemPrekeyRole::LastResort
        } else {
            KemPrekeyRole::OneTime
        }
    };
    // Beside good ones, of which nothing may be left either.
    let beside_good = |field: &str, prekey: SignedStatement| {
        let mut request = alice.kem_prekeys(6..=7);
        if field == LAST_RESORT {
            request.last_resort_kem_prekey = Some(prekey);
        } else {
            request.one_time_kem_prekeys.push(prekey);
        }
        request.encode_to_vec()
    };
    let signed = |prekey| statement(prekey, &alice.identity);
    let conflict = |field| (Code::AlreadyExists, "PREKEY_CONFLICT", field);
    let mut rows: Vec<Row<'_>> = Vec::new();
    for field in [LAST_RESORT, ONE_TIME] {
        let (role, new) = (role_of(field), 2_000_000);
        let other_role = role_of(if field == LAST_RESORT {
            ONE_TIME
        } else {
            LAST_RESORT
        });
        let good = signed(alice.kem_prekey(role, new));
        let changed = |at: usize, to: u8| {
            let mut changed = good.clone();
            changed.statement[at] = to;
            beside_good(field, changed)
        };
        // The key stands before the time, eight bytes long, at the end.
        let key_at = good.statement.len() - 8 - MlKemKey::LEN;
        let mut unreduced = good.clone();
        unreduced.statement[key_at..key_at + 3].fill(0xff);
        // Before the key stands the role, one byte long, and before that the id.
        let mut id_zero = good.clone();
        id_zero.statement[key_at - 5..key_at - 1].fill(0);
        let mut short = good.clone();
        short.statement.pop();
        let mut long = good.clone();
        long.statement.resize(1_537, 0);
        let mut no_signature = good.clone();
        no_signature.signature.clear();
        rows.extend([
            (
                "signed by another device",
                beside_good(field, statement(alice.kem_prekey(role, new), &bob.identity)),
                unsigned(field),
            ),
            (
                "signed by the account key",
                beside_good(field, statement(alice.kem_prekey(role, new), &alice.account)),
                unsigned(field),
            ),
            (
                "changed after it was signed",
                changed(key_at + 3, 1),
                unsigned(field),
            ),
            (
                "prekey of another device",
                beside_good(field, signed(bob.kem_prekey(role, new))),
                invalid(field),
            ),
            (
                "the other role",
                beside_good(field, signed(alice.kem_prekey(other_role, new))),
                invalid(field),
            ),
            (
                "statement for another purpose",
                beside_good(field, statement(alice.prekey(new), &alice.identity)),
                invalid(field),
            ),
            (
                "no statement",
                beside_good(field, SignedStatement::default()),
                invalid(field),
            ),
            ("a key not reduced", beside_good(field, unreduced), invalid(field)),
            ("cut short", beside_good(field, short), invalid(field)),
            ("too long", beside_good(field, long), too_large(field)),
            ("no signature", beside_good(field, no_signature), invalid(field)),
            ("id 0", beside_good(field, id_zero), invalid(field)),
        ]);
    }
    let mut other_time = alice.kem_prekey(KemPrekeyRole::LastResort, 1_000_000);
    other_time.created_at_ms += 1;
    let mut other_one_time = alice.kem_prekey(KemPrekeyRole::OneTime, 5);
    other_one_time.created_at_ms += 1;
    let mut in_both = PublishPrekeysRequest {
        last_resort_kem_prekey: Some(signed(alice.kem_prekey(KemPrekeyRole::LastResort, 2_000_000))),
        one_time_kem_prekeys: vec![signed(alice.kem_prekey(KemPrekeyRole::OneTime, 2_000_000))],
        ..PublishPrekeysRequest::default()
    };
    let twice_in_one = in_both.encode_to_vec();
    in_both.last_resort_kem_prekey = None;
    in_both.one_time_kem_prekeys = vec![signed(alice.kem_prekey(KemPrekeyRole::OneTime, 1_000_000))];
    rows.extend([
        (
            "the current id of last resort, other statement",
            beside_good(LAST_RESORT, signed(other_time)),
            conflict(LAST_RESORT),
        ),
        (
            "a stored one-time id, other statement",
            beside_good(ONE_TIME, signed(other_one_time)),
            conflict(ONE_TIME),
        ),
        (
            "the same one-time id twice",
            beside_good(ONE_TIME, signed(alice.kem_prekey(KemPrekeyRole::OneTime, 6))),
            invalid(ONE_TIME),
        ),
        ("one id in both roles", twice_in_one, invalid(ONE_TIME)),
        (
            "the id of last resort for a one-time one",
            in_both.encode_to_vec(),
            conflict(ONE_TIME),
        ),
        (
            "a stored one-time id for the last resort",
            beside_good(
                LAST_RESORT,
                signed(alice.kem_prekey(KemPrekeyRole::LastResort, 5)),
            ),
            conflict(LAST_RESORT),
        ),
        (
            "too many",
            alice.kem_prekeys(6..=56).encode_to_vec(),
            too_large(ONE_TIME),
        ),
    ]);
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
            ..Default::default()
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
