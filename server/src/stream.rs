//! One mailbox stream: everything that waits, oldest first, then `queue_empty` once, then what comes.
//!
//! ```text
//!   backlog ── nothing left of what waited at the start ──▶ queue_empty ──▶ live
//!      └─────────────┬────────────────────────────────────────────────────────┘
//!                    ▼   displaced · revoked · token expired · server stopping · client gone
//!                   end
//! ```
//!
//! The stream knows up to which envelope it has delivered and which of those are not acknowledged. What is
//! next it is handed by the hub, when that is the very next one, and reads from the database otherwise.

mod delivery;
mod mail;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use sottovoce_proto::v1::{Envelope, ErrorReason, PrekeysLow};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::app::App;
use crate::clock::now_ms;
use crate::hub::{HubFull, Place, Seat};
use crate::refusal::Refusal;
use crate::store::{Caller, OpenStream, SessionOver, Store};
#[cfg(test)]
pub(crate) use mail::Mail;

pub(crate) use delivery::Delivery;

/// Answers held ready for the connection. With the one that waits for a place, the one that gRPC has encoded
/// and the one that HTTP/2 is sending, a client that does not read costs some 0.9 MiB, if the ciphertexts are
/// the longest.
const READ_AHEAD: usize = 4;

/// What happens in a stream.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    Envelope(Envelope),
    QueueEmpty,
    PrekeysLow(PrekeysLow),
}

/// A stream that has begun: its device sits in the hub.
pub(crate) struct Course {
    delivery: Delivery<Store>,
    token_time: Duration,
    stopping: CancellationToken,
}

/// What the client receives: answers, then the reason they ended.
#[derive(Debug)]
pub(crate) struct Answers<A> {
    answers: mpsc::Receiver<Box<A>>,
    // Apart from the answers, so that a client that does not read cannot keep its stream from ending.
    end: Option<oneshot::Receiver<Option<Refusal>>>,
}

/// The other side of it. In boxes: a channel holds its places ready, and most streams are quiet.
pub(crate) type Saying<A> = mpsc::Sender<Box<A>>;

/// Begins the stream of the calling device, which displaces an older one.
pub(crate) async fn open(app: &App, caller: &Caller) -> Result<Course, Refusal> {
    // What is counted displaces: not for one who cannot sit down.
    let place = app.hub.reserve(caller.device)?;
    let epoch = count(app, caller).await?;
    let seat = sit_down(place, &app.store, caller, epoch).await?;
    app.hub.opened(caller.device, epoch);
    let counts = app.metrics.counts.clone();
    Ok(Course {
        delivery: Delivery::new(app.store.clone(), counts, seat, app.limits.delivery_window),
        token_time: Duration::from_millis(caller.expires_at_ms.saturating_sub(now_ms())),
        stopping: app.stopping.clone(),
    })
}

impl Course {
    /// Delivers until something ends the stream, and says what.
    pub(crate) async fn run<A: From<Event>>(&self, out: &Saying<A>) -> Refusal {
        let reason = tokio::select! {
            biased;
            () = self.stopping.cancelled() => ErrorReason::ShuttingDown,
            () = tokio::time::sleep(self.token_time) => ErrorReason::TokenInvalid,
            reason = self.delivery.run(out) => reason,
        };
        Refusal::because(reason)
    }
}

/// Has `course` answer until it ends, with or without a refusal: one task is all that a stream is.
pub(crate) fn answer<A, F>(course: impl FnOnce(Saying<A>) -> F) -> Answers<A>
where
    A: Send + 'static,
    F: Future<Output = Option<Refusal>> + Send + 'static,
{
    let (out, answers) = mpsc::channel(READ_AHEAD);
    let (ended, end) = oneshot::channel();
    // Not in an async block of its own, which would hold the course twice.
    let course = course(out).map(|reason| {
        // Nobody listens when the client has gone.
        let _ = ended.send(reason);
    });
    tokio::spawn(course);
    Answers {
        answers,
        end: Some(end),
    }
}

/// Which of the device's streams this is. None is begun, and none displaced, for a session that is over.
async fn count(app: &App, caller: &Caller) -> Result<i64, Refusal> {
    if app.several_nodes {
        let (device, grounds) = (caller.device, caller.grounds);
        return Ok(app.store.write(OpenStream { device, grounds }).await?);
    }
    check_grounds(&app.store, caller).await?;
    Ok(0)
}

/// Takes the device's seat, for a session that goes on.
async fn sit_down(place: Place, store: &Store, caller: &Caller, epoch: i64) -> Result<Seat, Refusal> {
    let seat = place.sit(epoch, caller.grounds);
    // From here on the end of the session is heard of. It may have ended since the token was checked.
    check_grounds(store, caller).await?;
    Ok(seat)
}

async fn check_grounds(store: &Store, caller: &Caller) -> Result<(), Refusal> {
    match store.stands(&caller.device, caller.grounds).await? {
        true => Ok(()),
        false => Err(SessionOver.into()),
    }
}

impl<A> Stream for Answers<A> {
    type Item = Result<A, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(answer) = ready!(self.answers.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(*answer)));
        }
        let Some(end) = self.end.as_mut() else {
            return Poll::Ready(None);
        };
        // A task that ended without a word has failed.
        let reason =
            ready!(Pin::new(end).poll(cx)).unwrap_or_else(|_| Some(Refusal::because(ErrorReason::Internal)));
        self.end = None;
        Poll::Ready(reason.map(|refusal| Err(refusal.into())))
    }
}

impl From<SessionOver> for Refusal {
    fn from(_: SessionOver) -> Self {
        Self::because(ErrorReason::TokenInvalid)
    }
}

impl From<HubFull> for Refusal {
    fn from(_: HubFull) -> Self {
        Self::because(ErrorReason::ServerFull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Origin;
    use crate::config::Database;
    use crate::hints::Outbox;
    use crate::hub::Hub;
    use crate::limits::Limits;
    use crate::store::Grounds;
    use sottovoce_statements::DeviceId;

    fn nobody() -> Caller {
        Caller {
            device: DeviceId::from_bytes([1; 16]),
            account: 1,
            grounds: Grounds {
                session: [1; 16],
                breaks: 0,
            },
            identity_key: [0; 32],
            address: "a@b.example".to_owned(),
            origin: Origin(None),
            expires_at_ms: u64::MAX,
        }
    }

    #[tokio::test]
    async fn who_sits_down_after_the_end_of_its_session_gets_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::new(1, Outbox::nowhere());
        let limits = Limits::default();
        let store = Store::open(folder.path(), &Database::Sqlite, &limits, hub.clone());
        let store = store.await.unwrap();
        // Past the gate: the database has no such session any more.
        let caller = nobody();
        let place = hub.reserve(caller.device).unwrap();
        let seat = sit_down(place, &store, &caller, 0).await;
        assert_eq!(seat.unwrap_err(), Refusal::because(ErrorReason::TokenInvalid));
        assert_eq!(hub.streams(), 0);
    }
}
