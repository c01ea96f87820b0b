//! A device's stream, as a web client has it.

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{Envelope, SubscribeRequest, SubscribeResponse};
use tonic::Streaming;

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
