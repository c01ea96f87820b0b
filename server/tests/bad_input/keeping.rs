//! Bad access keys, recovery blobs and grants; deletions that are none.

use prost::Message;
use sottovoce_proto::v1::{
    DeleteAccountRequest, FetchLinkingGrantsRequest, FetchPrekeyBundlesRequest, FetchRecoveryBlobRequest,
    GetAccountRequest, PutLinkingGrantRequest, PutRecoveryBlobRequest, SetAccessKeyRequest, SignedStatement,
};
use tonic::Code;

use super::{
    DELETE, FETCH, FETCH_GRANTS, FETCH_RECOVERY, GET_ACCOUNT, PUT_GRANT, PUT_RECOVERY, Row, SET_ACCESS_KEY,
    World, invalid, too_large,
};
use crate::common::statement;

#[tokio::test]
async fn bad_access_keys_are_refused() {
    let world = World::new().await;
    for length in [1, 31, 33, 64] {
        let body = SetAccessKeyRequest {
            access_key_hash: vec![1; length],
        };
        world
            .refuses(
                "hash",
                SET_ACCESS_KEY,
                body.encode_to_vec(),
                invalid("access_key_hash"),
            )
            .await;
    }
    let address = || world.bob.address.to_string();
    let account = |access_key: Vec<u8>| {
        let address = address();
        GetAccountRequest { address, access_key }.encode_to_vec()
    };
    let bundles = |access_key: Vec<u8>| {
        let request = FetchPrekeyBundlesRequest {
            address: address(),
            device_ids: vec![world.bob.id.as_bytes().to_vec()],
            access_key,
        };
        request.encode_to_vec()
    };
    let denied = (Code::PermissionDenied, "ACCESS_DENIED", "");
    let missing = (Code::Unauthenticated, "TOKEN_MISSING", "");
    for (key, expected) in [
        (Vec::new(), missing),
        (vec![1; 31], invalid("access_key")),
        (vec![1; 33], invalid("access_key")),
        (vec![1; 32], denied),
    ] {
        for (path, body) in [(GET_ACCOUNT, account(key.clone())), (FETCH, bundles(key.clone()))] {
            world.refuses_with("key", path, &[], body, expected).await;
        }
    }
    // Beside a token a key is refused, also a right one.
    for (path, body) in [(GET_ACCOUNT, account(vec![1; 32])), (FETCH, bundles(vec![1; 32]))] {
        world
            .refuses("beside a token", path, body, invalid("access_key"))
            .await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn bad_recovery_blobs_are_refused() {
    let world = World::new().await;
    let put = |hash: usize, blob: usize| {
        let request = PutRecoveryBlobRequest {
            fetch_token_hash: vec![1; hash],
            blob: vec![2; blob],
        };
        request.encode_to_vec()
    };
    let fetch = |address: &str, token: usize| {
        let request = FetchRecoveryBlobRequest {
            address: address.to_owned(),
            fetch_token: vec![1; token],
        };
        request.encode_to_vec()
    };
    let unknown = (Code::NotFound, "RECOVERY_UNKNOWN", "");
    let rows: Vec<(&str, &'static str, Vec<u8>, _)> = vec![
        (
            "short hash",
            PUT_RECOVERY,
            put(31, 10),
            invalid("fetch_token_hash"),
        ),
        ("no hash", PUT_RECOVERY, put(0, 10), invalid("fetch_token_hash")),
        ("no blob", PUT_RECOVERY, put(32, 0), invalid("fetch_token_hash")),
        ("long blob", PUT_RECOVERY, put(32, 4_097), too_large("blob")),
        (
            "short token",
            FETCH_RECOVERY,
            fetch("bob@localhost", 31),
            invalid("fetch_token"),
        ),
        (
            "long token",
            FETCH_RECOVERY,
            fetch("bob@localhost", 33),
            invalid("fetch_token"),
        ),
        ("no address", FETCH_RECOVERY, fetch("bob", 32), invalid("address")),
        (
            "another server",
            FETCH_RECOVERY,
            fetch("bob@elsewhere.example", 32),
            (Code::InvalidArgument, "SERVER_NOT_LOCAL", "address"),
        ),
        ("none there", FETCH_RECOVERY, fetch("bob@localhost", 32), unknown),
        ("nobody", FETCH_RECOVERY, fetch("nobody@localhost", 32), unknown),
    ];
    for (what, path, body, expected) in rows {
        world.refuses(what, path, body, expected).await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn bad_grants_are_refused() {
    let world = World::new().await;
    let put = |device: usize, grant: usize| {
        let request = PutLinkingGrantRequest {
            device_id: vec![1; device],
            grant: vec![2; grant],
        };
        request.encode_to_vec()
    };
    for (what, body, expected) in [
        ("short id", put(15, 10), invalid("device_id")),
        ("no id", put(0, 10), invalid("device_id")),
        ("empty", put(16, 0), invalid("grant")),
        ("too long", put(16, 72 * 1024 + 1), too_large("grant")),
    ] {
        world.refuses(what, PUT_GRANT, body, expected).await;
    }
    for device in [0, 15, 17] {
        let body = FetchLinkingGrantsRequest {
            device_id: vec![1; device],
        };
        world
            .refuses("id", FETCH_GRANTS, body.encode_to_vec(), invalid("device_id"))
            .await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn bad_deletions_are_refused() {
    let world = World::new().await;
    let (alice, bob) = (&world.alice, &world.bob);
    let begun = alice.begin(&world.clients).await;
    let bobs = bob.begin(&world.clients).await;
    let body = |deletion: SignedStatement| {
        let deletion = Some(deletion);
        DeleteAccountRequest { deletion }.encode_to_vec()
    };
    let mut longer = alice.deletion(&begun);
    longer.0.expires_at_ms += 1;
    let rows: Vec<Row<'_>> = vec![
        ("empty", Vec::new(), invalid("deletion")),
        (
            "no statement",
            body(SignedStatement::default()),
            invalid("deletion"),
        ),
        (
            "another purpose",
            body(statement(alice.binding(), &alice.identity)),
            invalid("deletion"),
        ),
        (
            "an answer to sign in",
            body(statement(alice.challenge(&begun), &alice.identity)),
            invalid("deletion"),
        ),
        (
            "another device's",
            body(statement(bob.deletion(&bobs), &bob.identity)),
            invalid("deletion"),
        ),
        (
            "signed by another",
            body(statement(alice.deletion(&begun), &bob.identity)),
            super::unsigned("deletion"),
        ),
        (
            "not made here",
            body(statement(longer, &alice.identity)),
            (Code::Unauthenticated, "CHALLENGE_INVALID", ""),
        ),
    ];
    for (what, body, expected) in rows {
        world.refuses(what, DELETE, body, expected).await;
    }
    world.server.stop().await;
}
