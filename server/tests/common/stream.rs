//! A device's stream, as a web client has it.

use std::time::Duration;

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{Envelope, SubscribeRequest, SubscribeResponse};
use tonic::{Status, Streaming};

use super::{Clients, with_token};

/// Begins a stream.
pub(crate) async fn subscribe(clients: &Clients, token: &str) -> Streaming<SubscribeResponse> {
    let request = with_token(token, SubscribeRequest {});
    let stream = clients.mailbox.clone().subscribe(request).await;
    stream.unwrap().into_inner()
}

/// What waits, up to where nothing more does.
pub(crate) async fn until_queue_empty(stream: &mut Streaming<SubscribeResponse>) -> Vec<Envelope> {
    let mut waiting = Vec::new();
    loop {
        match stream.message().await.unwrap().unwrap().event.unwrap() {
            Event::Envelope(envelope) => waiting.push(envelope),
            Event::QueueEmpty(_) => return waiting,
            other => panic!("{other:?} came before the queue was empty"),
        }
    }
}

/// Why a stream ends, whatever comes before.
pub(crate) async fn end_of(mut stream: Streaming<SubscribeResponse>) -> Status {
    let end = async {
        loop {
            if let Err(end) = stream.message().await {
                return end;
            }
        }
    };
    let end = tokio::time::timeout(Duration::from_secs(5), end).await;
    end.expect("the stream goes on")
}
