//! The bidirectional stream: sending, receiving and acknowledging on one.

use std::time::Duration;

use sottovoce_proto::v1::connect_request::Frame as Asked;
use sottovoce_proto::v1::connect_response::Frame;
use sottovoce_proto::v1::send_result::Outcome;
use sottovoce_proto::v1::{AcknowledgeRequest, ConnectRequest, ConnectResponse, ErrorReason, SendRequest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{alice_and_bob, subscribe};
use crate::common::{Clients, Device, TestServer, reason, with_token};

struct Line {
    asked: mpsc::Sender<ConnectRequest>,
    frames: Streaming<ConnectResponse>,
}

impl Line {
    async fn open(clients: &Clients, token: &str) -> Self {
        let mut line = Self::open_with_backlog(clients, token).await;
        assert_eq!(line.next().await, Frame::QueueEmpty(Default::default()));
        line
    }

    async fn ask(&self, frame: Asked) {
        let request = ConnectRequest { frame: Some(frame) };
        self.asked.send(request).await.unwrap();
    }

    async fn send(&self, request: SendRequest) {
        self.ask(Asked::Send(request)).await;
    }

    async fn try_next(&mut self) -> Result<Option<Frame>, Status> {
        let answer = tokio::time::timeout(Duration::from_secs(10), self.frames.message()).await;
        let answer = answer.expect("nothing came")?;
        Ok(answer.map(|response| response.frame.unwrap()))
    }

    async fn next(&mut self) -> Frame {
        self.try_next().await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn messages_sent_on_one_stream_are_answered_and_arrive_in_their_order() {
    let p = alice_and_bob(TestServer::start().await).await;
    let mut alice = Line::open(&p.clients, &p.alices).await;
    let mut bob = Line::open(&p.clients, &p.bobs).await;
    for n in 0..300_u64 {
        alice
            .send(Device::letter(&p.bob, n, n.to_string().as_bytes()))
            .await;
        let Frame::Envelope(envelope) = bob.next().await else {
            panic!("no envelope")
        };
        assert_eq!(envelope.ciphertext, n.to_string().into_bytes());
        assert!(matches!(alice.next().await, Frame::Result(result) if result.outcome.is_some()));
        let envelope_ids = vec![envelope.envelope_id];
        bob.ask(Asked::Acknowledge(AcknowledgeRequest { envelope_ids }))
            .await;
    }
    p.server.stop().await;
}

#[tokio::test]
async fn many_at_once_keep_their_order_and_each_has_its_own_answer() {
    let p = alice_and_bob(TestServer::start().await).await;
    let mut alice = Line::open(&p.clients, &p.alices).await;
    for n in 0..500_u64 {
        let mut letter = Device::letter(&p.bob, n, n.to_string().as_bytes());
        if n % 10 == 3 {
            letter.recipient = "nobody@localhost".into();
        }
        alice.send(letter).await;
    }
    let mut refused = 0;
    for _ in 0..500 {
        let Frame::Result(result) = alice.next().await else {
            panic!("no result")
        };
        let n = u64::from_be_bytes(result.client_message_id[8..].try_into().unwrap());
        match result.outcome.unwrap() {
            Outcome::Taken(_) => assert_ne!(n % 10, 3),
            Outcome::Refused(refusal) => {
                assert_eq!(refusal.reason(), ErrorReason::AccountUnknown);
                assert_eq!(n % 10, 3);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 50);
    // More than the window: acknowledged as they come, on the same stream.
    let mut bob = Line::open_with_backlog(&p.clients, &p.bobs).await;
    for n in (0..500_u64).filter(|n| n % 10 != 3) {
        let Frame::Envelope(envelope) = bob.next().await else {
            panic!("no envelope")
        };
        assert_eq!(envelope.ciphertext, n.to_string().into_bytes());
        let envelope_ids = vec![envelope.envelope_id];
        bob.ask(Asked::Acknowledge(AcknowledgeRequest { envelope_ids }))
            .await;
    }
    assert!(matches!(bob.next().await, Frame::QueueEmpty(_)));
    p.server.stop().await;
}

impl Line {
    async fn open_with_backlog(clients: &Clients, token: &str) -> Self {
        let (asked, received) = mpsc::channel(1024);
        let request = with_token(token, ReceiverStream::new(received));
        let frames = clients
            .mailbox
            .clone()
            .connect(request)
            .await
            .unwrap()
            .into_inner();
        Self { asked, frames }
    }
}

#[tokio::test]
async fn a_newer_stream_of_either_kind_displaces_the_older() {
    let p = alice_and_bob(TestServer::start().await).await;
    let mut older = Line::open(&p.clients, &p.bobs).await;
    let mut middle = subscribe(&p.clients, &p.bobs).await;
    let status = older.try_next().await.unwrap_err();
    assert_eq!(reason(&status), "STREAM_DISPLACED");
    assert!(matches!(
        super::next(&mut middle).await,
        super::Event::QueueEmpty(_)
    ));
    let _newest = Line::open(&p.clients, &p.bobs).await;
    assert_eq!(reason(&super::end(&mut middle).await), "STREAM_DISPLACED");
    p.server.stop().await;
}

#[tokio::test]
async fn who_has_said_all_gets_the_answers_and_then_the_end() {
    let p = alice_and_bob(TestServer::start().await).await;
    let mut alice = Line::open(&p.clients, &p.alices).await;
    for n in 0..20 {
        alice.send(Device::letter(&p.bob, n, b"x")).await;
    }
    let (asked, _) = mpsc::channel(1);
    drop(std::mem::replace(&mut alice.asked, asked));
    for _ in 0..20 {
        assert!(matches!(alice.next().await, Frame::Result(_)));
    }
    assert!(alice.try_next().await.unwrap().is_none());
    p.server.stop().await;
}

#[tokio::test]
async fn an_empty_frame_and_a_malformed_acknowledgement_end_the_stream() {
    let p = alice_and_bob(TestServer::start().await).await;
    let mut alice = Line::open(&p.clients, &p.alices).await;
    alice.asked.send(ConnectRequest { frame: None }).await.unwrap();
    assert_eq!(reason(&alice.try_next().await.unwrap_err()), "FIELD_INVALID");
    let mut alice = Line::open(&p.clients, &p.alices).await;
    let envelope_ids = vec![vec![1; 15]];
    alice
        .ask(Asked::Acknowledge(AcknowledgeRequest { envelope_ids }))
        .await;
    assert_eq!(reason(&alice.try_next().await.unwrap_err()), "FIELD_INVALID");
    p.server.stop().await;
}
