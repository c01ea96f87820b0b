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
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sottovoce_proto::v1::{Envelope, ErrorReason, PrekeysLow};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::Status;

use crate::app::App;
use crate::clock::now_ms;
use crate::hub::{Hub, HubFull, Seat};
use crate::refusal::Refusal;
use crate::store::{Caller, OpenStream, SessionOver, Store};
#[cfg(test)]
pub(crate) use mail::Mail;

pub(crate) use delivery::Delivery;

/// Events held ready for the connection. With the envelopes read at a time and what gRPC and HTTP/2 have
/// ready to send, a client that does not read costs some 1.4 MiB, if the ciphertexts are the longest.
const READ_AHEAD: usize = 4;

/// What happens in a stream.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    // Boxed: a channel holds its places ready, and most streams are quiet.
    Envelope(Box<Envelope>),
    QueueEmpty,
    PrekeysLow(PrekeysLow),
}

/// What the client receives: events, then the reason they ended.
#[derive(Debug)]
pub(crate) struct Deliveries {
    events: mpsc::Receiver<Event>,
    // Apart from the events, so that a client that does not read cannot keep its stream from ending.
    end: Option<oneshot::Receiver<Refusal>>,
}

/// Begins the stream of the calling device, which displaces an older one.
pub(crate) async fn open(app: &Arc<App>, caller: &Caller) -> Result<Deliveries, Refusal> {
    let epoch = count(app, caller).await?;
    let seat = sit_down(&app.hub, &app.store, caller, epoch).await?;
    app.hub.opened(caller.device, epoch);
    let (events, received) = mpsc::channel(READ_AHEAD);
    let (ended, end) = oneshot::channel();
    let token_time = Duration::from_millis(caller.expires_at_ms.saturating_sub(now_ms()));
    let stopping = app.stopping.clone();
    let delivery = Delivery::new(
        app.store.clone(),
        caller.device,
        seat,
        events,
        app.limits.delivery_window,
    );
    tokio::spawn(async move {
        let reason = tokio::select! {
            biased;
            () = stopping.cancelled() => ErrorReason::ShuttingDown,
            () = tokio::time::sleep(token_time) => ErrorReason::TokenInvalid,
            reason = delivery.run() => reason,
        };
        // Nobody listens when the client has gone.
        let _ = ended.send(Refusal::because(reason));
    });
    Ok(Deliveries {
        events: received,
        end: Some(end),
    })
}

/// Which of the device's streams this is. None is begun, and none displaced, for a session that is over.
async fn count(app: &App, caller: &Caller) -> Result<i64, Refusal> {
    if app.several_nodes {
        // What is counted displaces: not for one who cannot sit down.
        app.hub.has_room(&caller.device)?;
        let (device, grounds) = (caller.device, caller.grounds);
        return Ok(app.store.write(OpenStream { device, grounds }).await?);
    }
    check_grounds(&app.store, caller).await?;
    Ok(0)
}

/// Takes the device's seat, for a session that goes on.
async fn sit_down(hub: &Hub, store: &Store, caller: &Caller, epoch: i64) -> Result<Seat, Refusal> {
    let seat = hub.take_seat(caller.device, epoch, caller.grounds)?;
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

impl Deliveries {
    /// What happens, and the reason it ends, each by itself.
    pub(crate) fn split(self) -> (mpsc::Receiver<Event>, Option<oneshot::Receiver<Refusal>>) {
        (self.events, self.end)
    }
}

/// The end of `end`, or an end without a reason.
pub(crate) async fn ended(end: Option<oneshot::Receiver<Refusal>>) -> Refusal {
    let internal = || Refusal::because(ErrorReason::Internal);
    match end {
        Some(end) => end.await.unwrap_or_else(|_| internal()),
        None => internal(),
    }
}

impl Stream for Deliveries {
    type Item = Result<Event, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = std::task::ready!(self.events.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(event)));
        }
        let Some(end) = self.end.as_mut() else {
            return Poll::Ready(None);
        };
        let refusal = std::task::ready!(Pin::new(end).poll(cx))
            .unwrap_or_else(|_| Refusal::because(ErrorReason::Internal));
        self.end = None;
        Poll::Ready(Some(Err(refusal.into())))
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
    use crate::limits::Limits;
    use crate::store::Grounds;
    use sottovoce_statements::DeviceId;

    #[tokio::test]
    async fn who_sits_down_after_the_end_of_its_session_gets_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::new(1, Outbox::nowhere());
        let limits = Limits::default();
        let store = Store::open(folder.path(), &Database::Sqlite, &limits, hub.clone());
        let store = store.await.unwrap();
        // Past the gate: the database has no such session any more.
        let caller = Caller {
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
        };
        let seat = sit_down(&hub, &store, &caller, 0).await;
        assert_eq!(seat.unwrap_err(), Refusal::because(ErrorReason::TokenInvalid));
        assert_eq!(hub.streams(), 0);
    }
}
