//! The stream of a mailbox: what the server delivers, and, where it goes both ways, the frames sent to it.

use std::pin::Pin;
use std::task::{Context, Poll};

use sottovoce_engine::{Call, PrekeysLeft};
use sottovoce_proto::v1::mailbox_service_client::MailboxServiceClient;
use sottovoce_proto::v1::{self, connect_request, connect_response, subscribe_response};
use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::Stream;
use tonic::{Request, Streaming};

use crate::config::Streaming as Ways;
use crate::transport::{MAX_MESSAGE_LEN, Refused, Token, Transport, answer, refusal, signed_in};

/// Frames on their way to the server, besides those in the HTTP/2 library.
const FRAMES: usize = 64;

/// Longest frame, in bytes: what a server takes (`proto/PROTOCOL.md`), less what is not ciphertext.
const FRAME_LEN: usize = 250 * 1024;

/// Bytes of a message in a frame that are not ciphertext, with room.
const MESSAGE_OVERHEAD: usize = 64;

/// What the stream brings.
pub(crate) enum Incoming {
    /// An envelope came.
    Envelope(v1::Envelope),
    /// Everything that had been waiting has come.
    QueueEmpty,
    /// The server has few one-time prekeys of this device left.
    PrekeysLow(PrekeysLeft),
    /// What became of a message that went out in a frame.
    Result(v1::SendResult),
}

/// Where frames go out.
#[derive(Clone)]
pub(crate) struct Frames(mpsc::Sender<v1::ConnectRequest>);

impl Frames {
    /// Sends what fits in a frame; what does not, or finds no room, is to be called for.
    pub(crate) fn send(&self, call: &Call) -> bool {
        let frame = match call {
            Call::Send(request) if fits(request) => connect_request::Frame::Send(request.clone()),
            Call::Acknowledge(request) => connect_request::Frame::Acknowledge(request.clone()),
            _ => return false,
        };
        self.0.try_send(v1::ConnectRequest { frame: Some(frame) }).is_ok()
    }
}

fn fits(request: &v1::SendRequest) -> bool {
    let messages = request.messages.iter();
    let length: usize = messages
        .map(|message| message.ciphertext.len().saturating_add(MESSAGE_OVERHEAD))
        .sum();
    length <= FRAME_LEN
}

/// A stream that is open.
pub(crate) enum MailboxStream {
    OneWay(Streaming<v1::SubscribeResponse>),
    BothWays(Streaming<v1::ConnectResponse>),
}

impl Transport {
    /// Opens the stream of the mailbox. Only the headers are waited for; the stream itself may stay open for
    /// hours.
    pub(crate) async fn listen(&self, token: &Token) -> Result<(MailboxStream, Option<Frames>), Refused> {
        let mut client = MailboxServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE_LEN);
        match self.ways() {
            Ways::OneWay => {
                let request = signed_in(Request::new(v1::SubscribeRequest {}), token);
                let stream = answer(client.subscribe(request)).await?;
                Ok((MailboxStream::OneWay(stream), None))
            }
            Ways::BothWays => {
                let (frames, outgoing) = mpsc::channel(FRAMES);
                let request = signed_in(Request::new(Outgoing(outgoing)), token);
                let stream = answer(client.connect(request)).await?;
                Ok((MailboxStream::BothWays(stream), Some(Frames(frames))))
            }
        }
    }
}

impl MailboxStream {
    /// What comes next; [`Refused`] when the stream has ended, which it never does by itself.
    pub(crate) async fn next(&mut self) -> Result<Incoming, Refused> {
        loop {
            let incoming = match self {
                Self::OneWay(stream) => of_subscription(message(stream).await?),
                Self::BothWays(stream) => of_connection(message(stream).await?),
            };
            // Anything else is newer than this version.
            if let Some(incoming) = incoming {
                return Ok(incoming);
            }
        }
    }
}

async fn message<T>(stream: &mut Streaming<T>) -> Result<T, Refused> {
    let message = stream.message().await.map_err(|status| refusal(&status))?;
    message.ok_or_else(Refused::unavailable)
}

fn of_subscription(response: v1::SubscribeResponse) -> Option<Incoming> {
    Some(match response.event? {
        subscribe_response::Event::Envelope(envelope) => Incoming::Envelope(envelope),
        subscribe_response::Event::QueueEmpty(_) => Incoming::QueueEmpty,
        subscribe_response::Event::PrekeysLow(low) => prekeys_low(low),
    })
}

fn of_connection(response: v1::ConnectResponse) -> Option<Incoming> {
    Some(match response.frame? {
        connect_response::Frame::Envelope(envelope) => Incoming::Envelope(envelope),
        connect_response::Frame::QueueEmpty(_) => Incoming::QueueEmpty,
        connect_response::Frame::PrekeysLow(low) => prekeys_low(low),
        connect_response::Frame::Result(result) => Incoming::Result(result),
    })
}

fn prekeys_low(low: v1::PrekeysLow) -> Incoming {
    Incoming::PrekeysLow(PrekeysLeft {
        one_time: low.one_time_remaining,
        one_time_kem: low.one_time_kem_remaining,
    })
}

/// The frames of a stream, until nobody sends any more.
struct Outgoing(mpsc::Receiver<v1::ConnectRequest>);

impl Stream for Outgoing {
    type Item = v1::ConnectRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
