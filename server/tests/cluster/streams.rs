//! A device's stream, which is at one node, and what comes in at the others.

use std::time::Duration;

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{Delivery, SendRequest};

use super::{AT_LAST, Cluster, SOON, listen, next, subscribe};
use crate::common::{Device, reason, with_token};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_a_stream_at_another_node_with_hints_and_without() {
    let mut cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients[0]).await, bob.join(&clients[1]).await);
    let mut stream = subscribe(&clients[2], &bobs).await;
    assert!(matches!(next(&mut stream, SOON).await, Event::QueueEmpty(_)));
    Device::send_numbers(&clients[0], &alices, &bob, 1..=1).await;
    assert!(matches!(next(&mut stream, SOON).await, Event::Envelope(_)));
    cluster.kill_nats().await;
    Device::send_numbers(&clients[0], &alices, &bob, 2..=2).await;
    assert!(matches!(next(&mut stream, AT_LAST).await, Event::Envelope(_)));
    cluster.start_nats().await;
    Device::send_numbers(&clients[1], &alices, &bob, 3..=3).await;
    assert!(matches!(next(&mut stream, AT_LAST).await, Event::Envelope(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_stream_displaces_the_older_at_whichever_node() {
    let mut cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let bob = Device::named("bob");
    let bobs = bob.join(&clients[0]).await;
    let mut older = subscribe(&clients[0], &bobs).await;
    assert!(matches!(next(&mut older, SOON).await, Event::QueueEmpty(_)));
    for (n, patience) in [(1, SOON), (2, SOON), (0, AT_LAST)] {
        if patience == AT_LAST {
            // Now without hints.
            cluster.kill_nats().await;
        }
        let mut newer = subscribe(&clients[n], &bobs).await;
        assert!(matches!(next(&mut newer, SOON).await, Event::QueueEmpty(_)));
        let end = tokio::time::timeout(patience, older.message()).await;
        let status = end.expect("the older stream goes on").unwrap_err();
        assert_eq!(reason(&status), "STREAM_DISPLACED");
        older = newer;
    }
    let quiet = tokio::time::timeout(SOON, older.message()).await;
    assert!(quiet.is_err(), "the newest stream ended: {quiet:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_ephemeral_comes_to_a_stream_at_another_node() {
    let mut cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients[0]).await, bob.join(&clients[1]).await);
    let mut stream = listen(&clients[2], &bobs).await;
    let send = async |n: u64| {
        let ephemeral = Delivery {
            ephemeral: true,
            ..Delivery::default()
        };
        let request = SendRequest {
            delivery: Some(ephemeral),
            ..Device::letter(&bob, n, &n.to_be_bytes())
        };
        clients[0]
            .mailbox
            .clone()
            .send(with_token(&alices, request))
            .await
            .unwrap();
    };
    send(1).await;
    let Event::Envelope(envelope) = next(&mut stream, SOON).await else {
        panic!("not an envelope");
    };
    assert!(envelope.ephemeral);
    assert_eq!(envelope.ciphertext, 1_u64.to_be_bytes());
    // Without a way for it, it is gone, and what is stored comes all the same.
    cluster.kill_nats().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    send(2).await;
    Device::send_numbers(&clients[0], &alices, &bob, 3..=3).await;
    let Event::Envelope(envelope) = next(&mut stream, AT_LAST).await else {
        panic!("not an envelope");
    };
    assert_eq!((envelope.ephemeral, envelope.ciphertext), (false, b"3".to_vec()));
    cluster.start_nats().await;
    let quiet = tokio::time::timeout(SOON, stream.message()).await;
    assert!(quiet.is_err(), "what was for then came later: {quiet:?}");
}
