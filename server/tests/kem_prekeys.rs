//! KEM prekeys: each one-time one handed out once, ever, and that of last resort in place of those that
//! are gone.

use std::collections::HashSet;

use sottovoce_proto::v1::{
    CountPrekeysRequest, PublishPrekeysRequest, PublishPrekeysResponse, SignedStatement,
};
use sottovoce_statements::{KemPrekey, KemPrekeyRole, Signed};
use tonic::Status;

use crate::common::{Clients, Device, TestServer, dump, reason, statement, with_token};
use crate::prekeys;

async fn publish(
    clients: &Clients,
    token: &str,
    request: PublishPrekeysRequest,
) -> Result<PublishPrekeysResponse, Status> {
    let mut prekeys = clients.prekeys.clone();
    let answer = prekeys.publish_prekeys(with_token(token, request)).await?;
    Ok(answer.into_inner())
}

/// The KEM prekey of a bundle.
async fn fetch(clients: &Clients, token: &str, of: &Device) -> Result<SignedStatement, Status> {
    let bundle = prekeys::fetch(clients, token, of).await?;
    assert!(bundle.signed_prekey.is_some());
    Ok(bundle.kem_prekey.expect("a bundle never comes without"))
}

/// Role and id, with the signature checked as a peer would.
fn read(prekey: &SignedStatement, of: &Device) -> (KemPrekeyRole, u32) {
    let signed = Signed::<KemPrekey>::from_parts(&prekey.statement, &prekey.signature).unwrap();
    let prekey = signed.verify(&of.identity_key()).unwrap();
    assert_eq!(prekey.device_id, of.id);
    (prekey.role, prekey.id)
}

/// Bob, with X25519 prekeys 1 and 2 and these one-time KEM prekeys, and Alice, who asks for them.
async fn with_prekeys(
    server: &TestServer,
    one_time: std::ops::RangeInclusive<u32>,
) -> (Clients, Device, String, String) {
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    publish(&clients, &bobs, bob.prekeys(1..=2)).await.unwrap();
    let count = u32::try_from(one_time.clone().count()).unwrap();
    let left = publish(&clients, &bobs, bob.kem_prekeys(one_time)).await.unwrap();
    assert_eq!((left.one_time_remaining, left.one_time_kem_remaining), (2, count));
    (clients, bob, alices, bobs)
}

#[tokio::test]
async fn no_one_time_kem_prekey_is_handed_out_twice_to_many_who_ask_at_once() {
    const KEYS: usize = 40;
    const FETCHERS: usize = 12;
    const FETCHES: usize = 5;
    let server = TestServer::start().await;
    let (_, bob, ..) = with_prekeys(&server, 1..=40).await;
    let mut fetchers = tokio::task::JoinSet::new();
    for n in 0..FETCHERS {
        let (address, bob) = (server.address, bob.clone());
        fetchers.spawn(async move {
            let clients = Clients::connect(address).await;
            let token = Device::named(&format!("fetcher{n}")).join(&clients).await;
            let mut got = Vec::new();
            for _ in 0..FETCHES {
                got.push(read(&fetch(&clients, &token, &bob).await.unwrap(), &bob));
            }
            got
        });
    }
    let got: Vec<_> = fetchers.join_all().await.into_iter().flatten().collect();
    let (one_time, last_resort): (Vec<_>, Vec<_>) =
        got.iter().partition(|(role, _)| *role == KemPrekeyRole::OneTime);
    assert_eq!(one_time.len(), KEYS, "every one went to somebody");
    let distinct: HashSet<_> = one_time.iter().map(|(_, id)| id).collect();
    assert_eq!(distinct.len(), KEYS, "and none to two");
    assert_eq!(
        last_resort.len(),
        FETCHERS * FETCHES - KEYS,
        "the others got the last resort"
    );
    server.stop().await;
}

#[tokio::test]
async fn the_last_resort_is_handed_out_when_no_one_time_kem_prekey_is_left() {
    let server = TestServer::start().await;
    let (clients, bob, alices, bobs) = with_prekeys(&server, 1..=2).await;
    for expected in [
        (KemPrekeyRole::OneTime, 1),
        (KemPrekeyRole::OneTime, 2),
        (KemPrekeyRole::LastResort, 1_000_000),
        (KemPrekeyRole::LastResort, 1_000_000),
    ] {
        let prekey = fetch(&clients, &alices, &bob).await.unwrap();
        assert_eq!(read(&prekey, &bob), expected);
    }
    let request = with_token(&bobs, CountPrekeysRequest {});
    let left = clients.prekeys.clone().count_prekeys(request).await.unwrap();
    assert_eq!(left.into_inner().one_time_kem_remaining, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_repeated_request_brings_no_handed_out_kem_prekey_back() {
    let server = TestServer::start().await;
    let (clients, bob, alices, bobs) = with_prekeys(&server, 1..=3).await;
    let before = dump(&server.database).await;
    let left = publish(&clients, &bobs, bob.kem_prekeys(1..=3)).await.unwrap();
    assert_eq!(left.one_time_kem_remaining, 3);
    assert_eq!(dump(&server.database).await, before, "a repeat changes nothing");
    fetch(&clients, &alices, &bob).await.unwrap();
    let left = publish(&clients, &bobs, bob.kem_prekeys(1..=3)).await.unwrap();
    assert_eq!(left.one_time_kem_remaining, 2);
    let next = fetch(&clients, &alices, &bob).await.unwrap();
    assert_eq!(read(&next, &bob), (KemPrekeyRole::OneTime, 2));
    // A gap left behind stays empty, and what comes after it is taken.
    publish(&clients, &bobs, bob.kem_prekeys(10..=10)).await.unwrap();
    let left = publish(&clients, &bobs, bob.kem_prekeys(1..=11)).await.unwrap();
    assert_eq!(left.one_time_kem_remaining, 3, "3, 10 and 11");
    server.stop().await;
}

#[tokio::test]
async fn handed_out_kem_prekeys_stay_gone_over_a_restart() {
    let server = TestServer::start().await;
    let (clients, bob, alices, _) = with_prekeys(&server, 1..=2).await;
    fetch(&clients, &alices, &bob).await.unwrap();
    let folder = server.stop().await;
    let server = TestServer::start_in(folder, |_| {}).await;
    let clients = server.connect().await;
    let second = fetch(&clients, &alices, &bob).await.unwrap();
    assert_eq!(read(&second, &bob), (KemPrekeyRole::OneTime, 2));
    server.stop().await;
}

#[tokio::test]
async fn a_last_resort_gives_way_only_to_a_higher_id() {
    let server = TestServer::start().await;
    let (clients, bob, alices, bobs) = with_prekeys(&server, 1..=1).await;
    fetch(&clients, &alices, &bob).await.unwrap();
    for (id, current) in [
        (999_999, 1_000_000),
        (1_000_001, 1_000_001),
        (1_000_000, 1_000_001),
    ] {
        let prekey = bob.kem_prekey(KemPrekeyRole::LastResort, id);
        let request = PublishPrekeysRequest {
            last_resort_kem_prekey: Some(statement(prekey, &bob.identity)),
            ..PublishPrekeysRequest::default()
        };
        publish(&clients, &bobs, request).await.unwrap();
        let handed_out = fetch(&clients, &alices, &bob).await.unwrap();
        assert_eq!(read(&handed_out, &bob), (KemPrekeyRole::LastResort, current));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_device_holds_no_more_one_time_kem_prekeys_than_the_limit() {
    let server = TestServer::start().await;
    let (clients, bob, _, bobs) = with_prekeys(&server, 1..=50).await;
    publish(&clients, &bobs, bob.kem_prekeys(51..=100)).await.unwrap();
    let before = dump(&server.database).await;
    let refused = publish(&clients, &bobs, bob.kem_prekeys(101..=101)).await;
    assert_eq!(reason(&refused.unwrap_err()), "PREKEY_LIMIT");
    assert_eq!(dump(&server.database).await, before);
    server.stop().await;
}

#[tokio::test]
async fn a_device_without_a_kem_prekey_has_no_bundle_to_hand_out() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    let classical = PublishPrekeysRequest {
        last_resort_kem_prekey: None,
        ..bob.prekeys(1..=3)
    };
    publish(&clients, &bobs, classical).await.unwrap();
    let before = dump(&server.database).await;
    let refused = fetch(&clients, &alices, &bob).await;
    assert_eq!(reason(&refused.unwrap_err()), "PREKEYS_MISSING");
    assert_eq!(
        dump(&server.database).await,
        before,
        "and loses no one-time prekey"
    );
    server.stop().await;
}
