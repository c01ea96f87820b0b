//! The messages of a stream from a client, each read whole and judged before it is decoded.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::Frame;
use prost::bytes::{Bytes, BytesMut};
use sottovoce_proto::v1::ErrorReason;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;

use super::{Bounds, PREFIX_LEN, prefix};
use crate::calls::Call;
use crate::refusal::Refusal;

/// A body of which only whole messages come out, each no longer and of no more parts than the call
/// allows. What breaks that ends it with a refusal; so does a message that is begun and not finished.
pub(crate) struct Frames {
    body: Body,
    bounds: Bounds,
    /// How long nothing more of a message may come that is begun.
    patience: Duration,
    bytes: BytesMut,
    /// While a message is begun: when its next piece must have come.
    deadline: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl Frames {
    pub(crate) fn new(body: Body, call: &Call, patience: Duration) -> Self {
        Self {
            body,
            bounds: Bounds::of(call),
            patience,
            bytes: BytesMut::new(),
            deadline: None,
            ended: false,
        }
    }

    /// The next message, if all of it is there.
    fn whole(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Some((_, length)) = prefix(&self.bytes) else {
            return Ok(None);
        };
        self.bounds.check_length(length)?;
        let whole = length.saturating_add(PREFIX_LEN);
        if self.bytes.len() < whole {
            return Ok(None);
        }
        let message = self.bytes.split_to(whole).freeze();
        self.bounds.check(&message)?;
        Ok(Some(message))
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            if let Some(message) = self.whole()? {
                self.deadline = None;
                return Poll::Ready(Ok(Some(message)));
            }
            let Some(frame) = ready!(self.poll_piece(cx))? else {
                return Poll::Ready(if self.bytes.is_empty() {
                    Ok(None)
                } else {
                    Err(Refusal::field("request").into())
                });
            };
            self.bytes.extend_from_slice(&frame);
        }
    }

    /// The next piece that is not empty; `None` at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        use http_body::Body as _;
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(status))) => return Poll::Ready(Err(status)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => {
                        self.deadline = None;
                        return Poll::Ready(Ok(Some(data)));
                    }
                    _ => {}
                },
                Poll::Pending if self.bytes.is_empty() => return Poll::Pending,
                Poll::Pending => {
                    let patience = self.patience;
                    let deadline = self
                        .deadline
                        .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + patience)));
                    ready!(deadline.as_mut().poll(cx));
                    return Poll::Ready(Err(Refusal::because(ErrorReason::DeadlineExceeded).into()));
                }
            }
        }
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let message = ready!(self.poll_message(cx));
        self.ended = !matches!(message, Ok(Some(_)));
        Poll::Ready(message.transpose().map(|message| message.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream::{self, StreamExt};
    use http_body_util::{BodyExt, StreamBody};
    use prost::Message;
    use sottovoce_proto::v1::connect_request;
    use sottovoce_proto::v1::{AcknowledgeRequest, ConnectRequest};
    use tonic_types::StatusExt;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn acknowledging(count: usize) -> Vec<u8> {
        let frame = connect_request::Frame::Acknowledge(AcknowledgeRequest {
            envelope_ids: vec![Vec::new(); count],
        });
        let message = ConnectRequest { frame: Some(frame) }.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], length.as_slice(), &message].concat()
    }

    /// The frames of a body that comes in these pieces and then stays open.
    fn frames(pieces: Vec<Vec<u8>>) -> Frames {
        let pieces = stream::iter(pieces).map(|piece| Ok::<_, Status>(Frame::data(piece.into())));
        let body = Body::new(StreamBody::new(pieces.chain(stream::pending())));
        let connect = Call::at("/sottovoce.v1.MailboxService/Connect").unwrap();
        Frames::new(body, connect, PATIENCE)
    }

    async fn next(frames: &mut Frames) -> Result<Bytes, String> {
        match frames.frame().await.unwrap() {
            Ok(frame) => Ok(frame.into_data().unwrap()),
            Err(status) => Err(status.get_details_error_info().unwrap().reason),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn messages_come_out_one_by_one_however_they_were_cut() {
        let (one, two) = (acknowledging(3), acknowledging(5));
        let both = [one.clone(), two.clone()].concat();
        for size in [1, 7, both.len()] {
            let mut frames = frames(both.chunks(size).map(<[u8]>::to_vec).collect());
            assert_eq!(next(&mut frames).await.unwrap(), one);
            assert_eq!(next(&mut frames).await.unwrap(), two);
            let quiet = tokio::time::timeout(PATIENCE * 100, frames.frame()).await;
            assert!(quiet.is_err(), "between messages there is no hurry");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_begun_and_not_finished_ends_the_stream() {
        let whole = acknowledging(3);
        let mut frames = frames(vec![whole.clone(), whole[..7].to_vec()]);
        assert_eq!(next(&mut frames).await.unwrap(), whole);
        let began = Instant::now();
        assert_eq!(next(&mut frames).await.unwrap_err(), "DEADLINE_EXCEEDED");
        assert_eq!(began.elapsed(), PATIENCE);
        assert!(frames.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_too_long_or_of_too_many_parts_ends_the_stream() {
        for bad in [acknowledging(600), vec![0, 0, 0x10, 0, 0]] {
            let mut frames = frames(vec![bad]);
            assert_eq!(next(&mut frames).await.unwrap_err(), "TOO_LARGE");
            assert!(frames.frame().await.is_none());
        }
    }
}
