//! Mailboxes: what is sent arrives, in order, and waits until it is acknowledged.

mod connecting;
mod delivering;
mod flags;
mod keeping;
mod later;
mod sealed;
mod sending;

pub(crate) use flags::now_ms;

use std::time::Duration;

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{AcknowledgeRequest, Envelope, SubscribeResponse};
use tonic::{Status, Streaming};

use crate::common::{Clients, Device, TestServer, subscribe, with_token};

/// How long nothing must come before a test believes that nothing comes.
const QUIET: Duration = Duration::from_millis(150);

async fn next(stream: &mut Streaming<SubscribeResponse>) -> Event {
    let answer = tokio::time::timeout(Duration::from_secs(5), stream.message()).await;
    answer.expect("nothing came").unwrap().unwrap().event.unwrap()
}

/// Why the stream ended.
async fn end(stream: &mut Streaming<SubscribeResponse>) -> Status {
    let answer = tokio::time::timeout(Duration::from_secs(5), stream.message()).await;
    answer.expect("the stream goes on").unwrap_err()
}

async fn next_envelope(stream: &mut Streaming<SubscribeResponse>) -> Envelope {
    match next(stream).await {
        Event::Envelope(envelope) => envelope,
        other => panic!("{other:?} came before an envelope"),
    }
}

/// The numbers in the next `count` envelopes, and their ids.
async fn numbers(stream: &mut Streaming<SubscribeResponse>, count: usize) -> (Vec<u64>, Vec<Vec<u8>>) {
    let mut found = (Vec::new(), Vec::new());
    for _ in 0..count {
        let envelope = next_envelope(stream).await;
        found
            .0
            .push(String::from_utf8(envelope.ciphertext).unwrap().parse().unwrap());
        found.1.push(envelope.envelope_id);
    }
    found
}

async fn assert_quiet(stream: &mut Streaming<SubscribeResponse>) {
    let event = tokio::time::timeout(QUIET, stream.message()).await;
    assert!(event.is_err(), "something came: {event:?}");
}

async fn acknowledge(clients: &Clients, token: &str, envelope_ids: Vec<Vec<u8>>) {
    let request = with_token(token, AcknowledgeRequest { envelope_ids });
    clients.mailbox.clone().acknowledge(request).await.unwrap();
}

struct Pair {
    server: TestServer,
    clients: Clients,
    alice: Device,
    alices: String,
    bob: Device,
    bobs: String,
}

async fn alice_and_bob(server: TestServer) -> Pair {
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    Pair {
        alices: alice.join(&clients).await,
        bobs: bob.join(&clients).await,
        server,
        clients,
        alice,
        bob,
    }
}
