//! Streams that are none of the protocol's: health watches and reflection. They need no token, so they are
//! few, an address has no more than its share of them, and they end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::Limited;
use prost::bytes::Bytes;
use sottovoce_proto::v1::ErrorReason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use crate::limits::{
    MAX_SIDE_STREAM_LEN, MAX_SIDE_STREAMS, MAX_SIDE_STREAMS_PER_ADDRESS, SIDE_STREAM_LIFETIME,
};
use crate::peer::Peer;
use crate::prefix::AddressPrefix;
use crate::refusal::Refusal;
use crate::shares::{Share, Shares};

/// Answered at once, and what spreads the load depends on it.
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// The side streams there may be.
#[derive(Debug)]
pub(crate) struct Sides {
    free: Arc<Semaphore>,
    shares: Shares,
}

/// A side stream's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _place: OwnedSemaphorePermit,
    _share: Option<Share>,
}

/// An answer that keeps its place, and ends in time.
struct Ending {
    body: Body,
    end: Pin<Box<Sleep>>,
    ended: bool,
    _place: Place,
}

impl Sides {
    pub(crate) fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(MAX_SIDE_STREAMS)),
            shares: Shares::default(),
        }
    }

    /// A place for a call to `path`; none for one that is no stream.
    pub(crate) fn admit(
        &self,
        path: &str,
        peer: Peer,
        proxies: &[AddressPrefix],
    ) -> Result<Option<Place>, Refusal> {
        if path == CHECK || !(path.starts_with("/grpc.health.") || path.starts_with("/grpc.reflection.")) {
            return Ok(None);
        }
        let full = || Refusal::because(ErrorReason::ServerFull);
        let share = if peer.stands_for_many(proxies) {
            None
        } else {
            let share = self.shares.take(peer.pooled(), MAX_SIDE_STREAMS_PER_ADDRESS);
            Some(share.ok_or_else(full)?)
        };
        let place = self.free.clone().try_acquire_owned().map_err(|_| full())?;
        Ok(Some(Place {
            _place: place,
            _share: share,
        }))
    }
}

/// A request of which no more is read than all questions there are would be.
pub(crate) fn bounded(request: Request<Body>) -> Request<Body> {
    request.map(|body| Body::new(Limited::new(body, MAX_SIDE_STREAM_LEN)))
}

impl Place {
    /// The answer, which has this place until it has ended.
    pub(crate) fn keep(self, response: Response<Body>) -> Response<Body> {
        response.map(|body| {
            Body::new(Ending {
                body,
                end: Box::pin(sleep(SIDE_STREAM_LIFETIME)),
                ended: false,
                _place: self,
            })
        })
    }
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.end.as_mut().poll(cx).is_ready() {
            self.ended = true;
            let mut trailers = HeaderMap::new();
            // Without them the client learns of the end all the same.
            let _ = Status::from(Refusal::because(ErrorReason::DeadlineExceeded)).add_header(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::Instant;

    const WATCH: &str = "/grpc.health.v1.Health/Watch";
    const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

    fn peer(last: u8) -> Peer {
        Peer::new([192, 0, 2, last].into())
    }

    #[test]
    fn an_address_has_its_share_of_the_streams_and_checks_are_none() {
        let sides = Sides::new();
        let take = |path, peer| sides.admit(path, peer, &[]);
        let mut held = Vec::new();
        for path in [WATCH, REFLECTION]
            .into_iter()
            .cycle()
            .take(MAX_SIDE_STREAMS_PER_ADDRESS)
        {
            held.push(take(path, peer(1)).unwrap().unwrap());
        }
        assert!(take(WATCH, peer(1)).is_err());
        for path in [CHECK, "/sottovoce.v1.MailboxService/Nothing", "/"] {
            assert!(take(path, peer(1)).unwrap().is_none(), "{path}");
        }
        let addresses = MAX_SIDE_STREAMS / MAX_SIDE_STREAMS_PER_ADDRESS;
        for address in 2..=u8::try_from(addresses).unwrap() {
            for _ in 0..MAX_SIDE_STREAMS_PER_ADDRESS {
                held.push(take(WATCH, peer(address)).unwrap().unwrap());
            }
        }
        assert!(take(WATCH, peer(200)).is_err(), "as many as there are");
        drop(held);
        assert!(take(WATCH, peer(1)).unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nothing_happens_in_ends_in_time_and_gives_its_place_back() {
        let sides = Sides::new();
        let place = sides.admit(WATCH, peer(1), &[]).unwrap().unwrap();
        let quiet = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Status>>());
        let mut body = place.keep(Response::new(Body::new(quiet))).into_body();
        let began = Instant::now();
        let end = body.frame().await.unwrap().unwrap();
        assert_eq!(began.elapsed(), SIDE_STREAM_LIFETIME);
        let trailers = end.into_trailers().unwrap();
        assert_eq!(
            trailers["grpc-status"],
            (tonic::Code::DeadlineExceeded as i32).to_string()
        );
        assert!(body.frame().await.is_none());
        drop(body);
        assert_eq!(sides.free.available_permits(), MAX_SIDE_STREAMS);
    }

    #[tokio::test]
    async fn no_more_is_read_of_questions_than_all_there_are_would_be() {
        let question = |length: usize| Ok::<_, Status>(Frame::data(Bytes::from(vec![0; length])));
        let questions = stream::iter([question(MAX_SIDE_STREAM_LEN), question(1)]);
        let request = Request::new(Body::new(StreamBody::new(questions)));
        let mut body = bounded(request).into_body();
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.unwrap().is_err());
    }
}
