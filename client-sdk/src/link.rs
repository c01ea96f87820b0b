//! The link to the server: signs in, keeps the mailbox stream open, and comes back when it breaks.
//!
//! ```text
//!              refused
//!             ┌────────▶ challenge ──┐
//!  waiting ──▶ refresh token ────────┴▶ signed in ──▶ stream open: Up ──▶ Envelope…, QueueEmpty, Envelope…
//!     ▲                      │              │              │
//!     └── Down (and why) ◀───┴──────────────┴──────────────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use sottovoce_engine::Refusal;
use sottovoce_proto::v1::{self, ErrorReason};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use crate::auth::{RefreshToken, Tokens};
use crate::backoff::Backoff;
use crate::mailbox_stream::{Frames, Incoming, MailboxStream};
use crate::status::Status;
use crate::transport::{Refused, Token, Transport};

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
    /// Signed in, and the stream is open, perhaps both ways. The link is broken on purpose by closing the
    /// receiver.
    Up(Token, mpsc::Receiver<Incoming>, Option<Frames>),
    /// A refresh token was used a second time, says the server.
    TokenReused,
    /// The link is broken, and how it stands; it is being mended, as far as that may be.
    Down(Status),
}

/// Starts a link that lives until nobody listens to it. Told to reconnect, it waits no longer.
pub(crate) fn start(
    transport: Transport,
    device_id: Vec<u8>,
    reconnect: Arc<Notify>,
) -> mpsc::Receiver<LinkEvent> {
    let (events, receiver) = mpsc::channel(EVENTS);
    let mut link = Link {
        transport,
        device_id,
        events,
        backoff: Backoff::default(),
        refresh: None,
    };
    tokio::spawn(async move {
        while !link.events.is_closed() {
            let broken = link.run().await;
            tracing::debug!(?broken, "the link to the server is down");
            let (status, rest) = broken.means();
            if link.events.send(LinkEvent::Down(status)).await.is_err() {
                return;
            }
            let wait = match rest {
                Rest::Backoff => link.backoff.next(&mut UnwrapErr(SysRng)),
                Rest::Longest => {
                    link.backoff.exhaust();
                    link.backoff.next(&mut UnwrapErr(SysRng))
                }
                Rest::AtLeast(wait) => wait + link.backoff.next(&mut UnwrapErr(SysRng)),
                Rest::UntilAsked => {
                    tracing::warn!("another client uses this device's keys: is there a copy of its store?");
                    Duration::MAX
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = reconnect.notified() => link.backoff.reset(),
                () = link.events.closed() => {}
            }
        }
    });
    receiver
}

/// What a link needs, and what it keeps from one connection to the next.
struct Link {
    transport: Transport,
    device_id: Vec<u8>,
    events: mpsc::Sender<LinkEvent>,
    backoff: Backoff,
    /// Of the last sign-in, until it is used.
    refresh: Option<RefreshToken>,
}

/// How long to leave the server alone.
enum Rest {
    Backoff,
    /// As long as the server says.
    AtLeast(Duration),
    /// Coming back soon would change nothing.
    Longest,
    /// Coming back by itself would do harm.
    UntilAsked,
}

/// Why the link broke.
#[derive(Debug)]
enum Broken {
    /// The server could not be reached, refused, or ended the stream and perhaps said why.
    Refused(Refused),
    /// The driver has given the link up, or would not sign the challenge.
    GivenUp,
}

impl Broken {
    /// How things stand with the server, and how long to leave it alone.
    fn means(&self) -> (Status, Rest) {
        let Self::Refused(Refused { because, retry_after }) = self else {
            return (Status::Offline, Rest::Backoff);
        };
        let wait = retry_after.unwrap_or_default();
        match because {
            Refusal::Because(ErrorReason::StreamDisplaced) => (Status::Displaced, Rest::UntilAsked),
            Refusal::Because(ErrorReason::RateLimited) => (Status::RateLimited(wait), Rest::AtLeast(wait)),
            Refusal::Because(ErrorReason::SignInThrottled) => (Status::Throttled(wait), Rest::AtLeast(wait)),
            Refusal::Because(ErrorReason::Blocked) => (Status::Blocked, Rest::Longest),
            Refusal::Because(ErrorReason::DeviceBlocked) => (Status::DeviceBlocked, Rest::Longest),
            Refusal::Because(ErrorReason::DeviceUnknown) => (Status::Revoked, Rest::Longest),
            _ => (Status::Offline, Rest::Backoff),
        }
    }
}

impl From<Refused> for Broken {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Link {
    /// Signs in, opens the stream, and passes on what it brings until it ends.
    async fn run(&mut self) -> Broken {
        let (token, (stream, frames)) = match self.open().await {
            Ok(opened) => opened,
            Err(broken) => return broken,
        };
        let opened = Instant::now();
        let (deliveries, receiver) = mpsc::channel(WAITING);
        let up = LinkEvent::Up(token, receiver, frames);
        if self.events.send(up).await.is_err() {
            return Broken::GivenUp;
        }
        let broken = deliver(stream, &deliveries).await;
        if opened.elapsed() >= STEADY {
            self.backoff.reset();
        }
        broken
    }

    async fn open(&mut self) -> Result<(Token, (MailboxStream, Option<Frames>)), Broken> {
        let tokens = match self.refresh().await? {
            Some(tokens) => tokens,
            None => self.sign_in().await?,
        };
        self.refresh = tokens.refresh;
        let stream = self.transport.listen(&tokens.access).await?;
        Ok((tokens.access, stream))
    }

    /// New tokens for the refresh token, if there is one and it is good. Presented once, it is gone,
    /// whatever becomes of the answer.
    async fn refresh(&mut self) -> Result<Option<Tokens>, Broken> {
        let Some(token) = self.refresh.take() else {
            return Ok(None);
        };
        let refused = match self.transport.refresh_tokens(token).await {
            Ok(tokens) => return Ok(Some(tokens)),
            Err(refused) => refused,
        };
        match refused.because {
            Refusal::Because(ErrorReason::RefreshReused) => {
                let told = self.events.send(LinkEvent::TokenReused).await;
                told.map(|()| None).map_err(|_| Broken::GivenUp)
            }
            Refusal::Because(
                ErrorReason::RefreshInvalid | ErrorReason::OriginMismatch | ErrorReason::Unsupported,
            ) => Ok(None),
            _ => Err(refused.into()),
        }
    }

    /// Signs a challenge.
    async fn sign_in(&mut self) -> Result<Tokens, Broken> {
        let challenge = self
            .transport
            .begin_authentication(self.device_id.clone())
            .await?;
        let (signed, signature) = oneshot::channel();
        self.events
            .send(LinkEvent::Sign(challenge, signed))
            .await
            .map_err(|_| Broken::GivenUp)?;
        let request = signature.await.map_err(|_| Broken::GivenUp)?;
        Ok(self.transport.complete_authentication(request).await?)
    }
}

async fn deliver(mut stream: MailboxStream, deliveries: &mpsc::Sender<Incoming>) -> Broken {
    loop {
        let incoming = tokio::select! {
            incoming = stream.next() => incoming,
            () = deliveries.closed() => return Broken::GivenUp,
        };
        match incoming {
            Ok(incoming) => {
                if deliveries.send(incoming).await.is_err() {
                    return Broken::GivenUp;
                }
            }
            Err(refused) => return Broken::Refused(refused),
        }
    }
}
