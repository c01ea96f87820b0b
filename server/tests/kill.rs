//! `kill -9`, many times, at any instant, under full load: what was acknowledged is there, once.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{
    AcknowledgeRequest, FetchPrekeyBundlesRequest, PublishPrekeysRequest, SubscribeRequest,
};
use sottovoce_statements::{KemPrekey, KemPrekeyRole, Signed};
use tokio::sync::watch;

use crate::common::{Clients, Device, Program, reason, with_token};

const KILLS: usize = 24;
const SENDERS: u64 = 6;
const SEED: u64 = 0x5077_0A0C_E0FF_1CE5;

/// What the senders know.
struct Load {
    address: watch::Receiver<SocketAddr>,
    token: String,
    to: Device,
    stop: AtomicBool,
    retries: AtomicU64,
    acknowledged: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_message_survives_kill_9_and_arrives_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path()).await;
    let clients = Clients::connect(program.address).await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    let (moved, address) = watch::channel(program.address);
    let load = Arc::new(Load {
        address: address.clone(),
        token: alices,
        to: bob,
        stop: AtomicBool::new(false),
        retries: AtomicU64::new(0),
        acknowledged: AtomicU64::new(0),
    });
    let senders: Vec<_> = (0..SENDERS)
        .map(|n| tokio::spawn(send(load.clone(), n)))
        .collect();
    let fetcher = tokio::spawn(fetch_prekeys(load.clone(), bobs.clone()));
    let drain = Arc::new(AtomicBool::new(false));
    let receiver = tokio::spawn(receive(address, bobs, drain.clone()));

    let mut random = SEED;
    for kill in 0..KILLS {
        // Every other time something is acknowledged first, however slow the machine is.
        let before = load.acknowledged.load(Ordering::SeqCst);
        let begun = Instant::now();
        while kill % 2 == 0 && load.acknowledged.load(Ordering::SeqCst) == before {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "nothing is acknowledged any more"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // Microseconds, so that the instants fall anywhere within a commit.
        tokio::time::sleep(Duration::from_micros(5_000 + (random >> 33) % 120_000)).await;
        program.kill().await;
        program = Program::start(folder.path()).await;
        moved.send(program.address).unwrap();
    }
    load.stop.store(true, Ordering::SeqCst);
    let mut acknowledged = HashSet::new();
    for sender in senders {
        for content in sender.await.unwrap() {
            assert!(acknowledged.insert(content));
        }
    }
    let (prekeys, kem_prekeys) = fetcher.await.unwrap();
    for prekeys in [prekeys, kem_prekeys] {
        let distinct: HashSet<_> = prekeys.iter().collect();
        assert!(
            prekeys.len() > 10,
            "only {} prekeys were handed out",
            prekeys.len()
        );
        assert_eq!(distinct.len(), prekeys.len(), "a prekey was handed out twice");
    }
    drain.store(true, Ordering::SeqCst);
    let received = receiver.await.unwrap();

    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|content| !received.contains_key(*content))
        .collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let doubled: Vec<_> = received
        .iter()
        .filter(|(_, envelopes)| envelopes.len() != 1)
        .collect();
    assert!(
        doubled.is_empty(),
        "delivered as more than one message: {doubled:?}"
    );
    assert_eq!(received.len(), acknowledged.len());
    // The test means nothing unless the kills met calls under way.
    let retries = load.retries.load(Ordering::SeqCst);
    println!(
        "{KILLS} kills, {} messages, {retries} sends interrupted",
        acknowledged.len()
    );
    assert!(
        retries >= KILLS as u64 / 2,
        "only {retries} sends were interrupted"
    );
    assert!(
        acknowledged.len() >= KILLS / 2,
        "only {} messages were sent",
        acknowledged.len()
    );
    program.kill().await;
}

/// Sends one message after the other, each until it is acknowledged, and returns their contents.
async fn send(load: Arc<Load>, sender: u64) -> Vec<Vec<u8>> {
    let mut acknowledged = Vec::new();
    let mut clients = None;
    for n in 0.. {
        if load.stop.load(Ordering::SeqCst) {
            break;
        }
        let number = (sender << 32) | n;
        let content = number.to_be_bytes().repeat(50);
        loop {
            let connected = match clients.take() {
                Some(clients) => clients,
                None => reconnect(&load.address).await,
            };
            let request = with_token(&load.token, Device::letter(&load.to, number, &content));
            match connected.mailbox.clone().send(request).await {
                Ok(_) => {
                    clients = Some(connected);
                    break;
                }
                Err(status) => {
                    assert!(reason(&status).starts_with("untyped"), "refused: {status:?}");
                    load.retries.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        acknowledged.push(content);
        load.acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    acknowledged
}

/// Publishes prekeys of the recipient, and fetches them while the server is killed and killed again.
/// Returns the ids handed out of one-time prekeys, and of one-time KEM prekeys.
async fn fetch_prekeys(load: Arc<Load>, recipients_token: String) -> (Vec<u32>, Vec<u32>) {
    let (mut handed_out, mut kem_handed_out) = (Vec::new(), Vec::new());
    let mut clients = reconnect(&load.address).await;
    for (batch, kem_batch) in [(1..=100, 1..=50), (101..=200, 51..=100)] {
        // Repeated until it is answered: that must not bring a key back either.
        let prekeys = PublishPrekeysRequest {
            one_time_kem_prekeys: load.to.kem_prekeys(kem_batch).one_time_kem_prekeys,
            ..load.to.prekeys(batch)
        };
        let request = || with_token(&recipients_token, prekeys.clone());
        while clients.prekeys.clone().publish_prekeys(request()).await.is_err() {
            clients = reconnect(&load.address).await;
        }
    }
    // On, if need be, until there are enough to mean something.
    while !load.stop.load(Ordering::SeqCst) || handed_out.len().min(kem_handed_out.len()) <= 10 {
        let request = FetchPrekeyBundlesRequest {
            address: load.to.address.to_string(),
            device_ids: vec![load.to.id.as_bytes().to_vec()],
            ..Default::default()
        };
        match clients
            .prekeys
            .clone()
            .fetch_prekey_bundles(with_token(&load.token, request))
            .await
        {
            Ok(answer) => {
                let bundle = answer.into_inner().bundles.remove(0);
                handed_out.extend(bundle.one_time_prekey.map(|prekey| prekey.id));
                let kem = bundle.kem_prekey.unwrap();
                let kem = Signed::<KemPrekey>::from_parts(&kem.statement, &kem.signature).unwrap();
                let kem = kem.claimed();
                kem_handed_out.extend((kem.role == KemPrekeyRole::OneTime).then_some(kem.id));
            }
            Err(_) => clients = reconnect(&load.address).await,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (handed_out, kem_handed_out)
}

/// Receives and acknowledges until told to drain and the queue is empty. Returns, for each content, the
/// envelopes it came in.
async fn receive(
    address: watch::Receiver<SocketAddr>,
    token: String,
    drain: Arc<AtomicBool>,
) -> HashMap<Vec<u8>, HashSet<Vec<u8>>> {
    let mut received: HashMap<Vec<u8>, HashSet<Vec<u8>>> = HashMap::new();
    let mut gone = HashSet::new();
    loop {
        let draining = drain.load(Ordering::SeqCst);
        let clients = reconnect(&address).await;
        let request = with_token(&token, SubscribeRequest {});
        let Ok(stream) = clients.mailbox.clone().subscribe(request).await else {
            continue;
        };
        let mut stream = stream.into_inner();
        loop {
            let next = tokio::time::timeout(Duration::from_millis(300), stream.message()).await;
            match next {
                Ok(Ok(Some(event))) => match event.event.unwrap() {
                    Event::Envelope(envelope) => {
                        let id = envelope.envelope_id;
                        assert!(!gone.contains(&id), "came back after its acknowledgement");
                        received
                            .entry(envelope.ciphertext)
                            .or_default()
                            .insert(id.clone());
                        let request = AcknowledgeRequest {
                            envelope_ids: vec![id.clone()],
                        };
                        let request = with_token(&token, request);
                        if clients.mailbox.clone().acknowledge(request).await.is_ok() {
                            gone.insert(id);
                        }
                    }
                    Event::QueueEmpty(_) if draining => return received,
                    Event::PrekeysLow(_) => {}
                    Event::QueueEmpty(_) => {}
                },
                // Quiet, ended or broken: begin again where the server is now.
                _ => break,
            }
        }
    }
}

async fn reconnect(address: &watch::Receiver<SocketAddr>) -> Clients {
    loop {
        let now = *address.borrow();
        if let Ok(clients) = Clients::try_connect(now).await {
            return clients;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
