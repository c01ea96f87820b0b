//! What may happen only once happens once for all nodes together.

use std::collections::HashSet;

use sottovoce_proto::v1::FetchPrekeyBundlesRequest;
use sottovoce_proto::v1::subscribe_response::Event;

use super::{Cluster, NODES, SOON, next, subscribe};
use crate::common::{Device, reason, with_token};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_nodes_hand_out_the_same_prekey() {
    let cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients[0]).await, bob.join(&clients[1]).await);
    for prekeys in [bob.prekeys(1..=60), bob.kem_prekeys(1..=40)] {
        let request = with_token(&bobs, prekeys);
        clients[2].prekeys.clone().publish_prekeys(request).await.unwrap();
    }
    let fetching: Vec<_> = (0..6)
        .map(|n| {
            let (clients, alices, bob) = (clients[n % NODES].clone(), alices.clone(), bob.clone());
            tokio::spawn(async move {
                let mut handed_out = Vec::new();
                for _ in 0..12 {
                    let request = FetchPrekeyBundlesRequest {
                        address: bob.address.to_string(),
                        device_ids: vec![bob.id.as_bytes().to_vec()],
                        ..FetchPrekeyBundlesRequest::default()
                    };
                    let request = with_token(&alices, request);
                    let answer = clients.prekeys.clone().fetch_prekey_bundles(request).await;
                    let bundle = answer.unwrap().into_inner().bundles.remove(0);
                    handed_out.push((bundle.one_time_prekey, bundle.kem_prekey.unwrap().statement));
                }
                handed_out
            })
        })
        .collect();
    let (mut one_time, mut kem) = (Vec::new(), Vec::new());
    for fetcher in fetching {
        for (prekey, statement) in fetcher.await.unwrap() {
            one_time.extend(prekey.map(|prekey| prekey.id));
            kem.push(statement);
        }
    }
    let distinct: HashSet<_> = one_time.iter().collect();
    assert_eq!((one_time.len(), distinct.len()), (60, 60));
    // Beyond the forty, everybody gets the one of last resort.
    let distinct: HashSet<_> = kem.iter().collect();
    assert_eq!((kem.len(), distinct.len()), (72, 41));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_repeated_at_another_node_is_the_same_request() {
    let cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients[0]).await, bob.join(&clients[1]).await);
    for n in 1..=20 {
        let calls = (0..6).map(|call| {
            let request = with_token(&alices, Device::letter(&bob, n, &n.to_be_bytes()));
            let mut mailbox = clients[call % NODES].mailbox.clone();
            tokio::spawn(async move { mailbox.send(request).await })
        });
        let mut receipts = HashSet::new();
        for call in calls.collect::<Vec<_>>() {
            receipts.insert(call.await.unwrap().unwrap().into_inner().receipt_id);
        }
        assert_eq!(receipts.len(), 1);
        let other = with_token(&alices, Device::letter(&bob, n, b"another"));
        let status = clients[n as usize % NODES].mailbox.clone().send(other).await;
        assert_eq!(reason(&status.unwrap_err()), "MESSAGE_ID_CONFLICT");
    }
    let mut stream = subscribe(&clients[2], &bobs).await;
    for n in 1..=20_u64 {
        let Event::Envelope(envelope) = next(&mut stream, SOON).await else {
            panic!("the mailbox holds less than was sent");
        };
        assert_eq!(envelope.ciphertext, n.to_be_bytes());
    }
    assert!(matches!(next(&mut stream, SOON).await, Event::QueueEmpty(_)));
}
