//! The link to the server: signs in, keeps the mailbox stream open, and comes back when it breaks.
//!
//! ```text
//!  waiting ──▶ challenge ──▶ signed in ──▶ stream open: Up ──▶ Envelope…, QueueEmpty, Envelope…
//!     ▲            │             │              │                        │
//!     └────────────┴── Down ◀────┴──────────────┴────────────────────────┘
//! ```

use std::time::Duration;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use sottovoce_engine::Refusal;
use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{self, ErrorReason};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::transport::{Token, Transport};

/// Deliveries waiting for the engine. More wait in the server, which is where they are safe.
const WAITING: usize = 64;

/// Events waiting for the driver. Each is waited for, so there is never a second one.
const EVENTS: usize = 1;

/// A stream that has been open for so long was a good one, and the next is tried for soon. A shorter one
/// proves nothing: a server that ends every stream at once must not be asked five times a second.
const STEADY: Duration = Duration::from_secs(10);

/// What the link has to say.
pub(crate) enum LinkEvent {
    /// Sign this challenge, please.
    Sign(
        v1::BeginAuthenticationResponse,
        oneshot::Sender<v1::CompleteAuthenticationRequest>,
    ),
    /// Signed in, and the stream is open. The link is broken on purpose by closing the receiver.
    Up(Token, mpsc::Receiver<Delivery>),
    /// The link is broken; it is being mended.
    Down,
}

/// What the stream brings.
pub(crate) enum Delivery {
    /// An envelope came.
    Envelope(v1::Envelope),
    /// Everything that had been waiting has come.
    QueueEmpty,
}

/// Starts a link that lives until nobody listens to it.
pub(crate) fn start(transport: Transport, device_id: Vec<u8>) -> mpsc::Receiver<LinkEvent> {
    let (events, receiver) = mpsc::channel(EVENTS);
    tokio::spawn(async move {
        let mut backoff = Backoff::default();
        while !events.is_closed() {
            let broken = run(&transport, &device_id, &events, &mut backoff).await;
            if events.send(LinkEvent::Down).await.is_err() {
                return;
            }
            tracing::debug!(?broken, "the link to the server is down");
            if let Broken::Refused(Refusal::Because(ErrorReason::StreamDisplaced)) = broken {
                tracing::warn!("another client uses this device's keys: is there a copy of its store?");
                backoff.exhaust();
            }
            let wait = backoff.next(&mut UnwrapErr(SysRng));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = events.closed() => {}
            }
        }
    });
    receiver
}

/// Why the link broke.
#[derive(Debug)]
enum Broken {
    /// The server could not be reached, refused, or ended the stream and perhaps said why.
    Refused(Refusal),
    /// The driver has given the link up, or would not sign the challenge.
    GivenUp,
}

async fn run(
    transport: &Transport,
    device_id: &[u8],
    events: &mpsc::Sender<LinkEvent>,
    backoff: &mut Backoff,
) -> Broken {
    let (token, stream) = match open(transport, device_id, events).await {
        Ok(opened) => opened,
        Err(broken) => return broken,
    };
    let opened = Instant::now();
    let (deliveries, receiver) = mpsc::channel(WAITING);
    if events.send(LinkEvent::Up(token, receiver)).await.is_err() {
        return Broken::GivenUp;
    }
    let broken = deliver(stream, &deliveries).await;
    if opened.elapsed() >= STEADY {
        backoff.reset();
    }
    broken
}

async fn deliver(
    mut stream: tonic::Streaming<v1::SubscribeResponse>,
    deliveries: &mpsc::Sender<Delivery>,
) -> Broken {
    loop {
        let message = tokio::select! {
            message = stream.message() => message,
            () = deliveries.closed() => return Broken::GivenUp,
        };
        let delivery = match message {
            Ok(Some(response)) => match response.event {
                Some(Event::Envelope(envelope)) => Delivery::Envelope(envelope),
                Some(Event::QueueEmpty(_)) => Delivery::QueueEmpty,
                // Counted at every connection anyway; the other is something newer than this version.
                Some(Event::PrekeysLow(_)) | None => continue,
            },
            Ok(None) => return Broken::Refused(Refusal::Unavailable),
            Err(status) => return Broken::Refused(crate::transport::refusal(&status)),
        };
        if deliveries.send(delivery).await.is_err() {
            return Broken::GivenUp;
        }
    }
}

async fn open(
    transport: &Transport,
    device_id: &[u8],
    events: &mpsc::Sender<LinkEvent>,
) -> Result<(Token, tonic::Streaming<v1::SubscribeResponse>), Broken> {
    let challenge = transport
        .begin_authentication(device_id.to_vec())
        .await
        .map_err(Broken::Refused)?;
    let (signed, signature) = oneshot::channel();
    events
        .send(LinkEvent::Sign(challenge, signed))
        .await
        .map_err(|_| Broken::GivenUp)?;
    let request = signature.await.map_err(|_| Broken::GivenUp)?;
    let token = transport
        .complete_authentication(request)
        .await
        .map_err(Broken::Refused)?;
    let stream = transport.subscribe(&token).await.map_err(Broken::Refused)?;
    Ok((token, stream))
}
