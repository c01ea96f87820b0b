//! Prekeys: replaced in order, and each one-time key handed out once, ever.

use std::collections::HashSet;
use std::time::Duration;

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{
    CountPrekeysRequest, FetchPrekeyBundlesRequest, PrekeyBundle, PublishPrekeysRequest,
};
use tonic::Status;

use crate::common::{
    Clients, Device, Look, TestServer, add_device, dump, reason, statement, subscribe, until_queue_empty,
    with_token,
};

async fn publish(clients: &Clients, token: &str, request: PublishPrekeysRequest) -> Result<u32, Status> {
    let answer = clients
        .prekeys
        .clone()
        .publish_prekeys(with_token(token, request))
        .await?;
    Ok(answer.into_inner().one_time_remaining)
}

pub(crate) async fn fetch(clients: &Clients, token: &str, of: &Device) -> Result<PrekeyBundle, Status> {
    let request = FetchPrekeyBundlesRequest {
        address: of.address.to_string(),
        device_ids: vec![of.id.as_bytes().to_vec()],
        ..Default::default()
    };
    let answer = clients
        .prekeys
        .clone()
        .fetch_prekey_bundles(with_token(token, request))
        .await?;
    Ok(answer.into_inner().bundles.remove(0))
}

#[tokio::test]
async fn no_one_time_prekey_is_handed_out_twice_to_many_who_ask_at_once() {
    const KEYS: u32 = 80;
    const FETCHERS: usize = 16;
    const FETCHES: usize = 6;
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let bob = Device::named("bob");
    let bobs = bob.join(&clients).await;
    assert_eq!(
        publish(&clients, &bobs, bob.prekeys(1..=KEYS)).await.unwrap(),
        KEYS
    );
    let mut fetchers = tokio::task::JoinSet::new();
    for n in 0..FETCHERS {
        let (address, bob) = (server.address, bob.clone());
        fetchers.spawn(async move {
            let clients = Clients::connect(address).await;
            let token = Device::named(&format!("fetcher{n}")).join(&clients).await;
            let mut got = Vec::new();
            for _ in 0..FETCHES {
                let bundle = fetch(&clients, &token, &bob).await.unwrap();
                assert!(bundle.signed_prekey.is_some());
                got.extend(bundle.one_time_prekey);
            }
            got
        });
    }
    let keys: Vec<_> = fetchers.join_all().await.into_iter().flatten().collect();
    // 96 asked for 80: every key went to somebody, and none to two.
    assert_eq!(keys.len(), KEYS as usize);
    assert_eq!(
        keys.iter().map(|key| key.id).collect::<HashSet<_>>().len(),
        KEYS as usize
    );
    assert_eq!(
        keys.iter()
            .map(|key| key.public_key.clone())
            .collect::<HashSet<_>>()
            .len(),
        KEYS as usize
    );
    server.stop().await;
}

#[tokio::test]
async fn a_repeated_request_brings_no_handed_out_key_back() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    publish(&clients, &bobs, bob.prekeys(1..=3)).await.unwrap();
    let before = dump(&server.database).await;
    assert_eq!(publish(&clients, &bobs, bob.prekeys(1..=3)).await.unwrap(), 3);
    assert_eq!(dump(&server.database).await, before, "a repeat changes nothing");
    let first = fetch(&clients, &alices, &bob)
        .await
        .unwrap()
        .one_time_prekey
        .unwrap();
    assert_eq!(publish(&clients, &bobs, bob.prekeys(1..=3)).await.unwrap(), 2);
    for _ in 0..2 {
        let next = fetch(&clients, &alices, &bob)
            .await
            .unwrap()
            .one_time_prekey
            .unwrap();
        assert_ne!(next.id, first.id);
    }
    // Run out, and even then nothing comes back.
    assert_eq!(publish(&clients, &bobs, bob.prekeys(1..=3)).await.unwrap(), 0);
    let bundle = fetch(&clients, &alices, &bob).await.unwrap();
    assert!(bundle.signed_prekey.is_some() && bundle.one_time_prekey.is_none());
    assert_eq!(publish(&clients, &bobs, bob.prekeys(1..=5)).await.unwrap(), 2);
    let count = clients
        .prekeys
        .clone()
        .count_prekeys(with_token(&bobs, CountPrekeysRequest {}))
        .await;
    assert_eq!(count.unwrap().into_inner().one_time_remaining, 2);
    server.stop().await;
}

#[tokio::test]
async fn handed_out_keys_stay_gone_over_a_restart() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    publish(&clients, &bobs, bob.prekeys(1..=2)).await.unwrap();
    let first = fetch(&clients, &alices, &bob)
        .await
        .unwrap()
        .one_time_prekey
        .unwrap();
    let folder = server.stop().await;
    let server = TestServer::start_in(folder, |_| {}).await;
    let clients = server.connect().await;
    let second = fetch(&clients, &alices, &bob)
        .await
        .unwrap()
        .one_time_prekey
        .unwrap();
    assert_ne!(first, second);
    server.stop().await;
}

#[tokio::test]
async fn a_signed_prekey_gives_way_only_to_a_higher_id() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    let signed = |prekey_id: u32| PublishPrekeysRequest {
        signed_prekey: Some(statement(bob.prekey(prekey_id), &bob.identity)),
        one_time_prekeys: Vec::new(),
        ..bob.prekeys(1..=1)
    };
    publish(&clients, &bobs, signed(2)).await.unwrap();
    publish(&clients, &bobs, signed(1)).await.unwrap();
    let current = fetch(&clients, &alices, &bob).await.unwrap().signed_prekey;
    assert_eq!(current, signed(2).signed_prekey);
    publish(&clients, &bobs, signed(3)).await.unwrap();
    let current = fetch(&clients, &alices, &bob).await.unwrap().signed_prekey;
    assert_eq!(current, signed(3).signed_prekey);
    let mut other = bob.prekey(3);
    other.created_at_ms += 1;
    let conflict = PublishPrekeysRequest {
        signed_prekey: Some(statement(other, &bob.identity)),
        ..bob.prekeys(1..=5)
    };
    let before = dump(&server.database).await;
    let status = publish(&clients, &bobs, conflict).await.unwrap_err();
    assert_eq!(reason(&status), "PREKEY_CONFLICT");
    assert_eq!(
        dump(&server.database).await,
        before,
        "not even the one-time keys beside it"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_device_holds_no_more_one_time_prekeys_than_the_limit() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let bob = Device::named("bob");
    let bobs = bob.join(&clients).await;
    publish(&clients, &bobs, bob.prekeys(1..=100)).await.unwrap();
    publish(&clients, &bobs, bob.prekeys(101..=200)).await.unwrap();
    let before = dump(&server.database).await;
    let status = publish(&clients, &bobs, bob.prekeys(201..=201))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PREKEY_LIMIT");
    assert_eq!(dump(&server.database).await, before);
    server.stop().await;
}

#[tokio::test]
async fn a_fetch_for_several_devices_consumes_of_all_or_of_none() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    publish(&clients, &bobs, bob.prekeys(1..=5)).await.unwrap();
    let second = sottovoce_statements::DeviceId::from_bytes([0xee; 16]);
    add_device(&server.database, &bob, second).await;
    let before = dump(&server.database).await;
    let request = FetchPrekeyBundlesRequest {
        address: bob.address.to_string(),
        device_ids: vec![bob.id.as_bytes().to_vec(), second.as_bytes().to_vec()],
        ..Default::default()
    };
    let request = with_token(&alices, request);
    let status = clients
        .prekeys
        .clone()
        .fetch_prekey_bundles(request)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PREKEYS_MISSING");
    assert_eq!(dump(&server.database).await, before);
    server.stop().await;
}

#[tokio::test]
async fn a_device_that_listens_is_told_when_its_one_time_prekeys_run_low() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    publish(&clients, &bobs, bob.prekeys(1..=21)).await.unwrap();
    publish(&clients, &bobs, bob.kem_prekeys(1..=30)).await.unwrap();
    let mut stream = subscribe(&clients, &bobs).await;
    assert!(until_queue_empty(&mut stream).await.is_empty());
    // With twenty of a kind left nobody is told, and with nineteen they are.
    for _ in 0..2 {
        fetch(&clients, &alices, &bob).await.unwrap();
    }
    let next = tokio::time::timeout(Duration::from_secs(5), stream.message()).await;
    let Some(Event::PrekeysLow(low)) = next.unwrap().unwrap().unwrap().event else {
        panic!("another event");
    };
    assert_eq!((low.one_time_remaining, low.one_time_kem_remaining), (19, 28));
    server.stop().await;
}

#[tokio::test]
async fn a_signed_prekey_does_not_go_back_behind_what_another_node_stored_meanwhile() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let bob = Device::named("bob");
    let bobs = bob.join(&clients).await;
    publish(&clients, &bobs, bob.prekeys(1..=3)).await.unwrap();
    // As another node does it: the device first, then its prekey.
    let mut other = Look::into(&server.database).await;
    if let Look::Postgres(_) = other {
        other.execute("BEGIN").await;
        other.execute("SELECT id FROM devices FOR UPDATE").await;
    } else {
        other.execute("BEGIN IMMEDIATE").await;
    }
    other.execute("UPDATE signed_prekeys SET id = 6").await;
    let late = PublishPrekeysRequest {
        signed_prekey: Some(statement(bob.prekey(5), &bob.identity)),
        ..PublishPrekeysRequest::default()
    };
    let publishing = tokio::spawn({
        let (clients, bobs) = (clients.clone(), bobs.clone());
        async move { publish(&clients, &bobs, late).await }
    });
    // Until it waits.
    tokio::time::sleep(Duration::from_secs(1)).await;
    other.execute("COMMIT").await;
    publishing.await.unwrap().unwrap();
    assert_eq!(
        other.texts("SELECT CAST(id AS TEXT) FROM signed_prekeys").await,
        ["6"]
    );
    other.close().await;
    server.stop().await;
}
