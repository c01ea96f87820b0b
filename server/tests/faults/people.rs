//! Clients as the protocol wants them: whatever happens, they repeat the same bytes until they are answered.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use sottovoce_proto::v1::connect_request::Frame;
use sottovoce_proto::v1::connect_response::Frame as Answer;
use sottovoce_proto::v1::send_result::Outcome;
use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{
    AcknowledgeRequest, ConnectRequest, Envelope, SendBatchRequest, SendRequest, SubscribeRequest,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::random::Random;
use crate::common::{Clients, Device, reason, with_token};

/// How long a client waits for an answer before it takes the connection for lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a stream may be silent before its client begins another.
const SILENCE: Duration = Duration::from_millis(400);

/// Refusals that leave open whether anything happened, or say so: repeating is right.
const MAYBE: [&str; 4] = ["INTERNAL", "DEADLINE_EXCEEDED", "SHUTTING_DOWN", "RATE_LIMITED"];

/// What a client knows of its connection.
pub(crate) struct Person {
    pub(crate) device: Device,
    pub(crate) token: String,
    pub(crate) server: SocketAddr,
    pub(crate) random: Random,
    clients: Option<Clients>,
    pub(crate) repeats: u64,
}

/// What one device received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Contents in the order in which each came for the first time.
    pub(crate) order: Vec<Vec<u8>>,
    /// For each content the envelopes it came in.
    pub(crate) envelopes: HashMap<Vec<u8>, HashSet<Vec<u8>>>,
    /// Envelopes whose acknowledgement was answered.
    gone: HashSet<Vec<u8>>,
}

impl Person {
    pub(crate) fn new(device: Device, token: String, server: SocketAddr, random: Random) -> Self {
        Self {
            device,
            token,
            server,
            random,
            clients: None,
            repeats: 0,
        }
    }

    async fn clients(&mut self) -> Clients {
        loop {
            if let Some(clients) = &self.clients {
                return clients.clone();
            }
            let connecting = tokio::time::timeout(PATIENCE, Clients::try_connect(self.server)).await;
            match connecting {
                Ok(Ok(clients)) => self.clients = Some(clients),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// Sends `messages` of its own to `recipients`, at random and each until it is acknowledged. Returns
    /// their contents, for each recipient, in the order of the acknowledgements. Those of one batch are
    /// together: when one of them fails, those behind it may be taken all the same.
    pub(crate) async fn send(&mut self, recipients: &[Device], messages: u64) -> Vec<Vec<Vec<Vec<u8>>>> {
        let mut acknowledged = vec![Vec::<Vec<_>>::new(); recipients.len()];
        let mut n = 0;
        while n < messages {
            let size = if self.random.one_in(3) {
                1 + self.random.below(4)
            } else {
                1
            };
            let mut sends = Vec::new();
            acknowledged
                .iter_mut()
                .for_each(|batches| batches.push(Vec::new()));
            for _ in 0..size {
                let to = self.random.below(recipients.len() as u64) as usize;
                let content = format!("{} {n} ", self.device.address).into_bytes();
                let mut content = content.repeat(1 + self.random.below(40) as usize);
                content.extend((n as u32).to_be_bytes());
                let mut send = Device::letter(&recipients[to], n, &content);
                // Of the message's own, and the same in every run of the seed.
                send.client_message_id[..8].copy_from_slice(&self.device.id.as_bytes()[..8]);
                sends.push(send);
                acknowledged[to].last_mut().unwrap().push(content);
                n += 1;
            }
            if let [send] = sends.as_slice() {
                self.send_one(send).await;
            } else {
                self.send_batch(sends).await;
            }
        }
        acknowledged
    }

    async fn send_one(&mut self, send: &SendRequest) {
        let mut receipts = HashSet::new();
        let again = self.random.one_in(5);
        while receipts.is_empty() {
            let clients = self.clients().await;
            let call = || {
                let request = with_token(&self.token, send.clone());
                let mut mailbox = clients.mailbox.clone();
                async move { tokio::time::timeout(PATIENCE, mailbox.send(request)).await }
            };
            // Sometimes the same request comes twice at one time.
            let (first, second) = if again {
                let (first, second) = tokio::join!(call(), call());
                (first, Some(second))
            } else {
                (call().await, None)
            };
            for answer in [Some(first), second].into_iter().flatten() {
                match answer {
                    Ok(Ok(receipt)) => drop(receipts.insert(receipt.into_inner().receipt_id)),
                    Ok(Err(status)) => self.failed(&status).await,
                    Err(_) => self.lost().await,
                }
            }
        }
        assert_eq!(receipts.len(), 1, "a repeat has another receipt");
    }

    async fn send_batch(&mut self, sends: Vec<SendRequest>) {
        let mut receipts: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        while receipts.len() < sends.len() {
            let clients = self.clients().await;
            let request = with_token(&self.token, SendBatchRequest { sends: sends.clone() });
            let mut mailbox = clients.mailbox.clone();
            match tokio::time::timeout(PATIENCE, mailbox.send_batch(request)).await {
                Ok(Ok(answer)) => {
                    for result in answer.into_inner().results {
                        match result.outcome.expect("an outcome") {
                            Outcome::Taken(receipt) => {
                                let first = receipts
                                    .entry(result.client_message_id)
                                    .or_insert_with(|| receipt.receipt_id.clone());
                                assert_eq!(*first, receipt.receipt_id, "a repeat has another receipt");
                            }
                            Outcome::Refused(refused) => {
                                let reason = refused.reason().as_str_name();
                                let maybe = MAYBE.iter().any(|maybe| reason.ends_with(maybe));
                                assert!(maybe, "refused: {refused:?}");
                                self.repeats += 1;
                            }
                        }
                    }
                }
                Ok(Err(status)) => self.failed(&status).await,
                Err(_) => self.lost().await,
            }
        }
    }

    /// Receives and acknowledges until told to drain and nothing is left.
    pub(crate) async fn receive(&mut self, drain: watch::Receiver<bool>) -> Received {
        let mut received = Received::default();
        loop {
            let draining = *drain.borrow();
            let both_ways = self.random.one_in(3);
            let empty = if both_ways {
                self.connected(&mut received).await
            } else {
                self.subscribed(&mut received).await
            };
            match empty {
                Ok(true) if draining => return received,
                Ok(_) => {}
                Err(status) => self.failed(&status).await,
            }
        }
    }

    /// One stream, until it ends or is silent. True when nothing was waiting when it began.
    async fn subscribed(&mut self, received: &mut Received) -> Result<bool, Status> {
        let clients = self.clients().await;
        let request = with_token(&self.token, SubscribeRequest {});
        let mut mailbox = clients.mailbox.clone();
        let Ok(stream) = tokio::time::timeout(PATIENCE, mailbox.subscribe(request)).await else {
            self.lost().await;
            return Ok(false);
        };
        let mut stream = stream?.into_inner();
        let mut held = Vec::new();
        let mut anything = false;
        loop {
            let Ok(event) = tokio::time::timeout(SILENCE, stream.message()).await else {
                self.acknowledge(&mut held, received).await?;
                return Ok(false);
            };
            match event?.and_then(|event| event.event) {
                Some(Event::Envelope(envelope)) => {
                    anything = true;
                    held.push(received.take(envelope));
                    if self.random.one_in(3) {
                        self.acknowledge(&mut held, received).await?;
                    }
                }
                Some(Event::QueueEmpty(_)) => {
                    self.acknowledge(&mut held, received).await?;
                    if !anything {
                        return Ok(true);
                    }
                }
                Some(Event::PrekeysLow(_)) => {}
                None => return Ok(false),
            }
        }
    }

    async fn acknowledge(&mut self, held: &mut Vec<Vec<u8>>, received: &mut Received) -> Result<(), Status> {
        if held.is_empty() {
            return Ok(());
        }
        let clients = self.clients().await;
        let ids = std::mem::take(held);
        let request = with_token(
            &self.token,
            AcknowledgeRequest {
                envelope_ids: ids.clone(),
            },
        );
        let mut mailbox = clients.mailbox.clone();
        match tokio::time::timeout(PATIENCE, mailbox.acknowledge(request)).await {
            Ok(answer) => {
                answer?;
                received.gone.extend(ids);
            }
            Err(_) => self.lost().await,
        }
        Ok(())
    }

    /// The same over a stream both ways, where an acknowledgement has no answer of its own.
    async fn connected(&mut self, received: &mut Received) -> Result<bool, Status> {
        let clients = self.clients().await;
        let (frames, outgoing) = mpsc::channel(64);
        let request = with_token(&self.token, ReceiverStream::new(outgoing));
        let mut mailbox = clients.mailbox.clone();
        let Ok(stream) = tokio::time::timeout(PATIENCE, mailbox.connect(request)).await else {
            self.lost().await;
            return Ok(false);
        };
        let mut stream = stream?.into_inner();
        let mut anything = false;
        loop {
            let Ok(answer) = tokio::time::timeout(SILENCE, stream.message()).await else {
                return Ok(false);
            };
            match answer?.and_then(|answer| answer.frame) {
                Some(Answer::Envelope(envelope)) => {
                    anything = true;
                    let frame = Frame::Acknowledge(AcknowledgeRequest {
                        envelope_ids: vec![received.take(envelope)],
                    });
                    // A stream that has ended says so itself.
                    let _ = frames.try_send(ConnectRequest { frame: Some(frame) });
                }
                Some(Answer::QueueEmpty(_)) if !anything => return Ok(true),
                Some(_) => {}
                None => return Ok(false),
            }
        }
    }

    /// Whatever the server says, it must not be that something is wrong with what was asked.
    async fn failed(&mut self, status: &Status) {
        let reason = reason(status);
        let displaced = reason == "STREAM_DISPLACED";
        let expected = displaced || reason.starts_with("untyped") || MAYBE.contains(&reason.as_str());
        assert!(expected, "refused: {status:?}");
        self.lost().await;
    }

    async fn lost(&mut self) {
        self.clients = None;
        self.repeats += 1;
        tokio::time::sleep(self.random.micros(1_000..10_000)).await;
    }
}

impl Received {
    /// Takes an envelope in, and returns its id.
    fn take(&mut self, envelope: Envelope) -> Vec<u8> {
        let id = envelope.envelope_id;
        assert!(!self.gone.contains(&id), "came back after its acknowledgement");
        let envelopes = self.envelopes.entry(envelope.ciphertext.clone()).or_default();
        if envelopes.is_empty() {
            self.order.push(envelope.ciphertext);
        }
        envelopes.insert(id.clone());
        id
    }
}
