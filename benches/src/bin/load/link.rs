//! A device's connection: messages out and receipts for them, messages in and acknowledgements. Either over
//! one `Connect` stream, or as browsers do it, by `Subscribe` and single calls.

use std::future::pending;
use std::pin::Pin;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use sottovoce_proto::v1::connect_response::Frame;
use sottovoce_proto::v1::send_result::Outcome;
use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{
    AcknowledgeRequest, ConnectRequest, ConnectResponse, Envelope, SendRequest, SubscribeRequest,
    SubscribeResponse, connect_request,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::calls::{Calls, by};
use crate::device::Device;

/// Envelopes taken together at most; they are acknowledged in one go.
const TOGETHER: usize = 64;

/// Which of the protocol's two ways a device goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// One `Connect` stream.
    Stream,
    /// `Send`, `Subscribe` and `Acknowledge`.
    Calls,
}

/// What a device is told.
pub(crate) enum Heard {
    Envelope(Envelope),
    QueueEmpty,
    /// A message was taken: its id.
    Receipt(Vec<u8>),
}

/// A device that is connected.
pub(crate) struct Link {
    calls: Calls,
    device: Device,
    by: Transport,
}

/// A call under way: of a send, the id of its message.
type Call = Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send>>;

enum Transport {
    Stream {
        frames: UnboundedSender<ConnectRequest>,
        heard: Streaming<ConnectResponse>,
    },
    Calls {
        /// Nothing for a device that only sends.
        heard: Option<Streaming<SubscribeResponse>>,
        under_way: FuturesUnordered<Call>,
    },
}

impl Link {
    /// Over a connection of its own, without waiting for the backlog to end.
    pub(crate) async fn open(endpoint: &Endpoint, device: Device, way: Way) -> Self {
        Self::over(Calls::connect(endpoint).await, device, way).await
    }

    /// Over a connection that others may share.
    pub(crate) async fn over(mut calls: Calls, device: Device, way: Way) -> Self {
        let by = match way {
            Way::Stream => {
                let (frames, outgoing) = unbounded_channel();
                let request = by(&device, UnboundedReceiverStream::new(outgoing));
                let heard = calls.mailbox.connect(request).await.unwrap().into_inner();
                Transport::Stream { frames, heard }
            }
            Way::Calls => {
                let request = by(&device, SubscribeRequest {});
                let heard = calls.mailbox.subscribe(request).await.unwrap().into_inner();
                Transport::Calls {
                    heard: Some(heard),
                    under_way: FuturesUnordered::new(),
                }
            }
        };
        Self { calls, device, by }
    }

    /// A device that sends and hears nothing but receipts: with single calls it needs no stream.
    pub(crate) async fn sender(endpoint: &Endpoint, device: Device, way: Way) -> Self {
        if way == Way::Stream {
            return Self::open(endpoint, device, way).await;
        }
        Self {
            calls: Calls::connect(endpoint).await,
            device,
            by: Transport::Calls {
                heard: None,
                under_way: FuturesUnordered::new(),
            },
        }
    }

    /// Hands a message over; its receipt is heard later.
    pub(crate) fn send(&mut self, letter: SendRequest) {
        match &mut self.by {
            Transport::Stream { frames, .. } => frames
                .send(ConnectRequest {
                    frame: Some(connect_request::Frame::Send(letter)),
                })
                .unwrap(),
            Transport::Calls { under_way, .. } => {
                let mut mailbox = self.calls.mailbox.clone();
                let id = letter.client_message_id.clone();
                let request = by(&self.device, letter);
                under_way.push(Box::pin(async move {
                    mailbox.send(request).await.unwrap();
                    Some(id)
                }));
            }
        }
    }

    pub(crate) fn acknowledge(&mut self, envelopes: &[Envelope]) {
        let envelope_ids = envelopes
            .iter()
            .map(|envelope| envelope.envelope_id.clone())
            .collect();
        let request = AcknowledgeRequest { envelope_ids };
        match &mut self.by {
            Transport::Stream { frames, .. } => frames
                .send(ConnectRequest {
                    frame: Some(connect_request::Frame::Acknowledge(request)),
                })
                .unwrap(),
            Transport::Calls { under_way, .. } => {
                let mut mailbox = self.calls.mailbox.clone();
                let request = by(&self.device, request);
                under_way.push(Box::pin(async move {
                    mailbox.acknowledge(request).await.unwrap();
                    None
                }));
            }
        }
    }

    /// What comes next. Nothing is lost when this is dropped before it is done.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            let heard = match &mut self.by {
                Transport::Stream { heard, .. } => from_stream(heard.message().await.unwrap()),
                Transport::Calls { heard, under_way } => tokio::select! {
                    Some(done) = under_way.next() => done.map(Heard::Receipt),
                    event = next_event(heard) => event,
                },
            };
            if let Some(heard) = heard {
                return heard;
            }
        }
    }

    /// Envelopes that are there together, at least one: for a device that sends nothing.
    pub(crate) async fn envelopes(&mut self) -> Vec<Envelope> {
        let mut envelopes = Vec::with_capacity(TOGETHER);
        while envelopes.len() < TOGETHER {
            let heard = if envelopes.is_empty() {
                self.hear().await
            } else if let Some(heard) = self.hear().now_or_never() {
                heard
            } else {
                break;
            };
            match heard {
                Heard::Envelope(envelope) => envelopes.push(envelope),
                Heard::QueueEmpty => {}
                Heard::Receipt(_) => panic!("a receipt for nothing"),
            }
        }
        envelopes
    }

    /// The id of a message that was taken: for a device that is sent nothing.
    pub(crate) async fn receipt(&mut self) -> Vec<u8> {
        loop {
            match self.hear().await {
                Heard::Receipt(id) => return id,
                Heard::QueueEmpty => {}
                Heard::Envelope(_) => panic!("a message that nobody sent"),
            }
        }
    }

    /// Waits for the end of the backlog, in which there must be nothing.
    pub(crate) async fn empty(mut self) -> Self {
        match self.hear().await {
            Heard::QueueEmpty => self,
            Heard::Envelope(_) => panic!("a message was left in a mailbox that should be empty"),
            Heard::Receipt(_) => panic!("a receipt for nothing"),
        }
    }

    /// Has the last of these, which are all the server can still be waiting for, acknowledged for certain,
    /// and looks whether the mailbox is empty then.
    pub(crate) async fn finish(mut self, last: Vec<Vec<u8>>) {
        if !last.is_empty() {
            let request = by(&self.device, AcknowledgeRequest { envelope_ids: last });
            self.calls.mailbox.acknowledge(request).await.unwrap();
        }
        let way = match &self.by {
            Transport::Stream { .. } => Way::Stream,
            Transport::Calls { .. } => Way::Calls,
        };
        let Self { calls, device, by } = self;
        drop(by);
        Self::over(calls, device, way).await.empty().await;
    }
}

async fn next_event(heard: &mut Option<Streaming<SubscribeResponse>>) -> Option<Heard> {
    let Some(heard) = heard else {
        return pending().await;
    };
    let event = heard.message().await.unwrap();
    match event.unwrap_or_else(|| panic!("the stream has ended")).event? {
        Event::Envelope(envelope) => Some(Heard::Envelope(envelope)),
        Event::QueueEmpty(_) => Some(Heard::QueueEmpty),
        Event::PrekeysLow(_) => None,
    }
}

fn from_stream(response: Option<ConnectResponse>) -> Option<Heard> {
    match response.unwrap_or_else(|| panic!("the stream has ended")).frame? {
        Frame::Envelope(envelope) => Some(Heard::Envelope(envelope)),
        Frame::QueueEmpty(_) => Some(Heard::QueueEmpty),
        Frame::PrekeysLow(_) => None,
        Frame::Result(result) => match result.outcome {
            Some(Outcome::Taken(_)) => Some(Heard::Receipt(result.client_message_id)),
            refused => panic!("a message was refused: {refused:?}"),
        },
    }
}

/// The ids of the newest envelopes, as many as one acknowledgement takes, which is more than any window.
#[derive(Default)]
pub(crate) struct Newest(std::collections::VecDeque<Vec<u8>>);

impl Newest {
    pub(crate) fn note(&mut self, envelopes: Vec<Envelope>) {
        self.0
            .extend(envelopes.into_iter().map(|envelope| envelope.envelope_id));
        let surplus = self.0.len().saturating_sub(256);
        self.0.drain(..surplus);
    }

    pub(crate) fn into_ids(self) -> Vec<Vec<u8>> {
        self.0.into()
    }
}
