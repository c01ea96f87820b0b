//! Sending, receiving and acknowledging on one stream.
//!
//! ```text
//!   frames ─▶ read ─▶ a place in the writer's queue ─▶ committed ─▶ result ─┐
//!                                                                           ├─▶ frames
//!   the hub, the database ───────▶ delivery ──▶ envelopes ──────────────────┘
//! ```
//!
//! A client that does not read its answers is not read from either: what is held for it is bounded.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use sottovoce_proto::v1::connect_request::Frame as Asked;
use sottovoce_proto::v1::connect_response::Frame;
use sottovoce_proto::v1::{ConnectRequest, ConnectResponse, ErrorReason, QueueEmpty, SendResult};
use tonic::{Status, Streaming};
use tonic_types::StatusExt;

use super::{read_acknowledgement, result};
use crate::app::App;
use crate::limits::MAX_UNANSWERED;
use crate::rates::DeviceRate;
use crate::refusal::Refusal;
use crate::store::Caller;
use crate::stream::{self, Answers, Event, Saying};

/// Begins the stream, which displaces an older one of the device.
pub(super) async fn open(
    app: &Arc<App>,
    caller: Caller,
    mut asked: Streaming<ConnectRequest>,
) -> Result<Answers<ConnectResponse>, Refusal> {
    let delivery = stream::open(app, &caller).await?;
    let app = app.clone();
    Ok(stream::answer(|out| async move {
        let course = Course {
            app,
            caller,
            out: &out,
        };
        // Whichever comes first; the other is dropped, and with it what it waits for.
        tokio::select! {
            biased;
            refusal = delivery.run(&out) => Some(refusal),
            outcome = course.run(&mut asked) => outcome.err(),
        }
    }))
}

/// What the client asks, and what becomes of it.
struct Course<'o> {
    app: Arc<App>,
    caller: Caller,
    out: &'o Saying<ConnectResponse>,
}

/// What a frame of the client's becomes.
type Answer = BoxFuture<'static, Result<Option<SendResult>, Refusal>>;

impl Course<'_> {
    /// Until the client has said all and has its answers, or something is wrong.
    async fn run(&self, asked: &mut Streaming<ConnectRequest>) -> Result<(), Refusal> {
        let mut unanswered = FuturesUnordered::<Answer>::new();
        let mut listening = true;
        let mut held = None;
        while listening || !unanswered.is_empty() {
            tokio::select! {
                frame = self.next(asked, &mut held), if listening && unanswered.len() < MAX_UNANSWERED => {
                    match frame? {
                        Some(frame) => {
                            // In a box: no quiet stream holds room for it.
                            let answer = Box::pin(self.begin(frame)).await?;
                            unanswered.push(answer);
                        }
                        None => listening = false,
                    }
                }
                Some(answer) = unanswered.next(), if !unanswered.is_empty() => {
                    if let Some(result) = answer? {
                        // Nobody listens when the client has gone; the stream ends by itself then.
                        let _ = self.out.send(Box::new(to_response(result))).await;
                    }
                }
            }
        }
        Ok(())
    }

    /// The next frame, which waits in `held` until the device's rate allows it: a refusal in the middle of
    /// several would let the later ones overtake. Nothing is lost when this is dropped in between.
    async fn next(
        &self,
        asked: &mut Streaming<ConnectRequest>,
        held: &mut Option<ConnectRequest>,
    ) -> Result<Option<ConnectRequest>, Refusal> {
        if held.is_none() {
            *held = asked.message().await.map_err(|status| unread(&status))?;
        }
        while let Some(wait) = held.as_ref().and_then(|frame| self.must_wait(frame)) {
            tokio::time::sleep(wait).await;
        }
        Ok(held.take())
    }

    fn must_wait(&self, frame: &ConnectRequest) -> Option<Duration> {
        let kind = match &frame.frame {
            Some(Asked::Acknowledge(_)) => DeviceRate::Acknowledgements,
            Some(Asked::Send(_)) | None => DeviceRate::Sends,
        };
        self.app.rates.wait_of_device(kind, self.caller.device)
    }

    /// Messages take their places in the order of their frames.
    async fn begin(&self, frame: ConnectRequest) -> Result<Answer, Refusal> {
        match frame.frame.ok_or_else(|| Refusal::field("frame"))? {
            Asked::Send(send) => {
                let id = send.client_message_id.clone();
                let begun = self.app.begin_one(&self.caller, send).await;
                Ok(Box::pin(async move { Ok(Some(result(id, begun).await)) }))
            }
            Asked::Acknowledge(request) => {
                let change = read_acknowledgement(&self.caller, &request)?;
                let pending = self.app.store.enqueue(change).await;
                Ok(Box::pin(async move {
                    pending.answer().await.map_err(Refusal::from)?;
                    Ok(None)
                }))
            }
        }
    }
}

/// Why a frame was not read: what was said when its bytes came, or that they are no frame. On its way
/// here the refusal has become a status.
fn unread(status: &Status) -> Refusal {
    let Some(said) = status.get_details_error_info() else {
        return Refusal::field("request");
    };
    let limit = said.metadata.get("limit").and_then(|limit| limit.parse().ok());
    let field = said.metadata.get("field").map(String::as_str);
    match (said.reason.as_str(), field, limit) {
        ("TOO_LARGE", Some("request.fields"), Some(limit)) => Refusal::too_large("request.fields", limit),
        ("TOO_LARGE", _, Some(limit)) => Refusal::too_large("request", limit),
        ("DEADLINE_EXCEEDED", ..) => Refusal::because(ErrorReason::DeadlineExceeded),
        _ => Refusal::field("request"),
    }
}

fn to_response(result: SendResult) -> ConnectResponse {
    ConnectResponse {
        frame: Some(Frame::Result(result)),
    }
}

impl From<Event> for ConnectResponse {
    fn from(event: Event) -> Self {
        Self {
            frame: Some(match event {
                Event::Envelope(envelope) => Frame::Envelope(envelope),
                Event::QueueEmpty => Frame::QueueEmpty(QueueEmpty {}),
                Event::PrekeysLow(low) => Frame::PrekeysLow(low),
            }),
        }
    }
}
