//! The link to the server: signs in, keeps the mailbox stream open, and comes back when it breaks.
//!
//! ```text
//!  waiting ──▶ challenge ──▶ signed in ──▶ stream open ──▶ Up, Delivered…, CaughtUp, Delivered…
//!     ▲            │             │              │                        │
//!     └────────────┴── Down ◀────┴──────────────┴────────────────────────┘
//! ```

use getrandom::SysRng;
use rand_core::UnwrapErr;
use sottovoce_engine::Refusal;
use sottovoce_proto::v1;
use sottovoce_proto::v1::subscribe_response::Event;
use tokio::sync::{mpsc, oneshot};

use crate::backoff::Backoff;
use crate::transport::{Token, Transport};

/// Deliveries waiting for the engine. More wait in the server, which is where they are safe.
const WAITING: usize = 64;

/// What the link has to say.
pub(crate) enum LinkEvent {
    /// Sign this challenge, please.
    Sign(
        v1::BeginAuthenticationResponse,
        oneshot::Sender<v1::CompleteAuthenticationRequest>,
    ),
    /// Signed in, and the stream is open.
    Up(Token),
    /// An envelope came.
    Delivered(v1::Envelope),
    /// Everything that had been waiting has come.
    CaughtUp,
    /// The link is broken; it is being mended.
    Down,
}

/// Starts a link that lives until nobody listens to it.
pub(crate) fn start(transport: Transport, device_id: Vec<u8>) -> mpsc::Receiver<LinkEvent> {
    let (events, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut backoff = Backoff::default();
        while !events.is_closed() {
            let broken = run(&transport, &device_id, &events, &mut backoff).await;
            if events.send(LinkEvent::Down).await.is_err() {
                return;
            }
            tracing::debug!(?broken, "the link to the server is down");
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
#[expect(dead_code, reason = "read by the log only")]
enum Broken {
    /// The server could not be reached or refused.
    Refused(Refusal),
    /// The stream ended.
    Ended,
    /// The driver has gone.
    Unheard,
}

async fn run(
    transport: &Transport,
    device_id: &[u8],
    events: &mpsc::Sender<LinkEvent>,
    backoff: &mut Backoff,
) -> Broken {
    match open(transport, device_id, events).await {
        Ok((token, mut stream)) => {
            backoff.reset();
            if events.send(LinkEvent::Up(token)).await.is_err() {
                return Broken::Unheard;
            }
            loop {
                let message = tokio::select! {
                    message = stream.message() => message,
                    () = events.closed() => return Broken::Unheard,
                };
                let event = match message {
                    Ok(Some(response)) => match response.event {
                        Some(Event::Envelope(envelope)) => LinkEvent::Delivered(envelope),
                        Some(Event::QueueEmpty(_)) => LinkEvent::CaughtUp,
                        None => continue, // something newer than this version
                    },
                    Ok(None) | Err(_) => return Broken::Ended,
                };
                if events.send(event).await.is_err() {
                    return Broken::Unheard;
                }
            }
        }
        Err(broken) => broken,
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
        .map_err(|_| Broken::Unheard)?;
    let request = signature.await.map_err(|_| Broken::Unheard)?;
    let token = transport
        .complete_authentication(request)
        .await
        .map_err(Broken::Refused)?;
    let stream = transport.subscribe(&token).await.map_err(Broken::Refused)?;
    Ok((token, stream))
}
