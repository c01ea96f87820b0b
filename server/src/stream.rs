//! One mailbox stream: everything that waits, oldest first, then `queue_empty` once, then what comes.
//!
//! ```text
//!   backlog ── nothing left of what waited at the start ──▶ queue_empty ──▶ live
//!      └─────────────┬────────────────────────────────────────────────────────┘
//!                    ▼   displaced · token expired · server stopping · client gone
//!                   end
//! ```
//!
//! The stream holds a cursor and nothing else: what is next is asked of the database each time.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{Envelope, ErrorReason, QueueEmpty, SubscribeResponse};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::Status;

use crate::app::App;
use crate::clock::now_ms;
use crate::hub::{HubFull, Seat};
use crate::refusal::Refusal;
use crate::store::{Caller, ReadError, StoredEnvelope};

/// Envelopes read from the database at a time and held ready for the connection: with the longest
/// ciphertexts this is 512 KiB for a client that does not read.
const READ_AHEAD: usize = 4;

/// What the client receives: events, then the reason they ended.
#[derive(Debug)]
pub(crate) struct Deliveries {
    events: mpsc::Receiver<SubscribeResponse>,
    // Apart from the events, so that a client that does not read cannot keep its stream from ending.
    end: Option<oneshot::Receiver<Refusal>>,
}

/// Begins the stream of the calling device, which displaces an older one.
pub(crate) fn open(app: &Arc<App>, caller: &Caller) -> Result<Deliveries, Refusal> {
    let seat = app.hub.take_seat(caller.device)?;
    let (sender, events) = mpsc::channel(READ_AHEAD);
    let (ended, end) = oneshot::channel();
    let token_time = Duration::from_millis(caller.expires_at_ms.saturating_sub(now_ms()));
    let delivery = Delivery {
        app: app.clone(),
        caller: caller.clone(),
        seat,
        events: sender,
    };
    tokio::spawn(async move {
        let refusal = delivery.run(token_time).await;
        // Nobody listens when the client has gone.
        let _ = ended.send(refusal);
    });
    Ok(Deliveries {
        events,
        end: Some(end),
    })
}

impl Stream for Deliveries {
    type Item = Result<SubscribeResponse, Status>;

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

struct Delivery {
    app: Arc<App>,
    caller: Caller,
    seat: Seat,
    events: mpsc::Sender<SubscribeResponse>,
}

impl Delivery {
    /// Delivers until something ends the stream, and says what.
    async fn run(self, token_time: Duration) -> Refusal {
        let reason = tokio::select! {
            biased;
            () = self.app.stopping.cancelled() => ErrorReason::ShuttingDown,
            () = self.seat.displaced() => ErrorReason::StreamDisplaced,
            () = tokio::time::sleep(token_time) => ErrorReason::TokenInvalid,
            result = self.deliver() => match result {
                Err(Interrupted::ReadFailed) => ErrorReason::Internal,
                // Nobody is left to hear this.
                Err(Interrupted::ClientGone) => ErrorReason::Unspecified,
                Ok(never) => match never {},
            },
            () = self.events.closed() => ErrorReason::Unspecified,
        };
        Refusal::because(reason)
    }

    async fn deliver(&self) -> Result<Infallible, Interrupted> {
        let newest = self.app.store.newest_sequence(&self.caller.device).await?;
        let mut cursor = 0;
        while self.deliver_up_to(newest, &mut cursor).await? == Progress::WindowFull {
            self.seat.woken().await;
        }
        self.say(Event::QueueEmpty(QueueEmpty {})).await?;
        loop {
            self.deliver_up_to(i64::MAX, &mut cursor).await?;
            self.seat.woken().await;
        }
    }

    /// Delivers what there is after `cursor` and up to `until`, as far as the window has room.
    async fn deliver_up_to(&self, until: i64, cursor: &mut i64) -> Result<Progress, Interrupted> {
        let (store, device) = (&self.app.store, &self.caller.device);
        loop {
            // Everything up to the cursor was delivered by this stream: what of it is still there has
            // not been acknowledged.
            let unacknowledged = store.unacknowledged(device, *cursor).await?;
            let room = self.app.limits.delivery_window.saturating_sub(unacknowledged);
            let at_most = room.clamp(1, READ_AHEAD as u64);
            let envelopes = store.envelopes(device, *cursor, until, at_most).await?;
            if envelopes.is_empty() {
                return Ok(Progress::NothingLeft);
            }
            if room == 0 {
                return Ok(Progress::WindowFull);
            }
            for envelope in envelopes {
                let sequence = envelope.sequence;
                self.say(Event::Envelope(to_message(envelope))).await?;
                *cursor = sequence;
            }
        }
    }

    async fn say(&self, event: Event) -> Result<(), Interrupted> {
        let event = SubscribeResponse { event: Some(event) };
        self.events.send(event).await.map_err(|_| Interrupted::ClientGone)
    }
}

/// How far a delivery came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There is no more.
    NothingLeft,
    /// There is more than the window has room for.
    WindowFull,
}

/// Why a delivery cannot go on.
enum Interrupted {
    ClientGone,
    ReadFailed,
}

impl From<ReadError> for Interrupted {
    fn from(_: ReadError) -> Self {
        Self::ReadFailed
    }
}

impl From<HubFull> for Refusal {
    fn from(_: HubFull) -> Self {
        Self::because(ErrorReason::ServerFull)
    }
}

fn to_message(envelope: StoredEnvelope) -> Envelope {
    Envelope {
        envelope_id: envelope.id,
        sender: envelope.sender,
        sender_device_id: envelope.sender_device,
        ciphertext: envelope.ciphertext,
        received_at_ms: envelope.received_at_ms,
        channel_id: Vec::new(),
        ephemeral: false,
    }
}
