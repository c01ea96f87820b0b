//! Answers that their client does not take. The HTTP library asks for the next piece of an answer as soon
//! as the client has room for it; while it does not ask, the piece before it is held in memory. A client
//! that never reads, or never opens its window, is cut off here: it may well answer pings meanwhile.
//! Pieces are small, for of one that is begun the rest is out of sight.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Frame, SizeHint};
use prost::bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tonic::Status;
use tonic::body::Body;

/// Longest piece handed over, in bytes: a frame of HTTP/2 (RFC 9113 section 4.2).
const PIECE_LEN: usize = 16 * 1024;

/// The pieces of one connection's answers that were handed over and after which none was asked for.
#[derive(Debug, Default)]
pub(crate) struct Stalls {
    handed_over: Mutex<HandedOver>,
    first: Notify,
}

#[derive(Debug, Default)]
struct HandedOver {
    next: u64,
    since: HashMap<u64, Instant>,
}

/// An answer that says of each piece when it was handed over and when the next was asked for.
#[derive(Debug)]
pub(crate) struct Taken {
    body: Body,
    /// What of a piece of the body is yet to be handed over.
    rest: Bytes,
    stalls: Arc<Stalls>,
    waiting: Option<u64>,
}

impl Stalls {
    /// Done once a piece has waited for longer than `patience`. While none waits, this sleeps.
    pub(crate) async fn longer_than(self: Arc<Self>, patience: Duration) {
        loop {
            let Some(since) = self.oldest() else {
                self.first.notified().await;
                continue;
            };
            let deadline = since + patience;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }

    fn oldest(&self) -> Option<Instant> {
        self.lock().since.values().min().copied()
    }

    fn begin(&self) -> u64 {
        let mut handed_over = self.lock();
        let id = handed_over.next;
        handed_over.next += 1;
        handed_over.since.insert(id, Instant::now());
        if handed_over.since.len() == 1 {
            self.first.notify_one();
        }
        id
    }

    fn end(&self, id: u64) {
        self.lock().since.remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HandedOver> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    pub(crate) fn new(body: Body, stalls: Arc<Stalls>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            stalls,
            waiting: None,
        }
    }

    fn asked(&mut self) {
        if let Some(id) = self.waiting.take() {
            self.stalls.end(id);
        }
    }
}

impl http_body::Body for Taken {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.asked();
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let length = self.rest.len().min(PIECE_LEN);
        let piece = self.rest.split_to(length);
        self.waiting = Some(self.stalls.begin());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.asked();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn endless(stalls: &Arc<Stalls>) -> Taken {
        let pieces = stream::iter([b"one", b"two"])
            .map(|piece| Ok::<_, Status>(Frame::data(Bytes::from_static(piece))));
        Taken::new(
            Body::new(StreamBody::new(pieces.chain(stream::pending()))),
            stalls.clone(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_after_which_nobody_asks_is_noticed_in_time() {
        let stalls = Arc::<Stalls>::default();
        let mut body = endless(&stalls);
        body.frame().await.unwrap().unwrap();
        tokio::time::advance(PATIENCE / 2).await;
        body.frame().await.unwrap().unwrap();
        let began = Instant::now();
        stalls.longer_than(PATIENCE).await;
        assert_eq!(began.elapsed(), PATIENCE, "counted from the last piece");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_more_than_there_is_may_wait_for_ever() {
        let stalls = Arc::<Stalls>::default();
        let (mut body, gone) = (endless(&stalls), endless(&stalls));
        for _ in 0..2 {
            body.frame().await.unwrap().unwrap();
        }
        assert!(body.frame().now_or_never().is_none());
        drop(gone);
        let watch = tokio::time::timeout(PATIENCE * 100, stalls.longer_than(PATIENCE));
        assert!(watch.await.is_err());
    }

    #[tokio::test]
    async fn a_long_piece_is_handed_over_in_short_ones() {
        let whole = Bytes::from(vec![7; 3 * PIECE_LEN + 1]);
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = [
            Ok::<_, Status>(Frame::data(whole.clone())),
            Ok(Frame::trailers(trailers)),
        ];
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        let mut body = Taken::new(body, Arc::default());
        let mut lengths = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            lengths.push(frame.data_ref().map_or(0, Bytes::len));
        }
        assert_eq!(lengths, [PIECE_LEN, PIECE_LEN, PIECE_LEN, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_given_up_is_no_longer_waited_for() {
        let stalls = Arc::<Stalls>::default();
        let mut body = endless(&stalls);
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(stalls.oldest(), None);
    }
}
