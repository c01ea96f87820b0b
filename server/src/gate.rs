//! What every call passes on its way in and out: its time is bounded, where it comes from is not blocked
//! and has not called too often, its token is checked and its device has not called too often, all before its
//! body is read; the body is read before it has its turn and before any of it is decoded, and whatever the
//! gRPC library refuses by itself goes out as one of our refusals.

use std::convert::Infallible;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use sottovoce_proto::v1::ErrorReason;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::app::App;
use crate::auth::{Origin, TokenHash};
use crate::body::{self, Frames};
use crate::calls::{Call, Token};
use crate::clock::now_ms;
use crate::pace::Pace;
use crate::peer::Peer;
use crate::rates::AddressRate;
use crate::refusal::Refusal;
use crate::sides::{self, Sides};
use crate::store::Caller;
use crate::turns::{Bodies, Held, Turns};

/// Taken off a client's deadline, so that the answer arrives before the client stops listening.
const ANSWER_MARGIN: Duration = Duration::from_millis(5);

/// Puts [`Gate`] in front of the services.
#[derive(Clone, Debug)]
pub(crate) struct GateLayer(Arc<Gate>);

/// A service behind the gate.
#[derive(Clone, Debug)]
pub(crate) struct Gated<S> {
    gate: Arc<Gate>,
    inner: S,
}

/// What the gate knows.
#[derive(Debug)]
pub(crate) struct Gate {
    app: Arc<App>,
    turns: Turns,
    sides: Sides,
}

impl GateLayer {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let turns = Turns::new(&app.limits);
        let sides = Sides::new();
        Self(Arc::new(Gate { app, turns, sides }))
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated {
            gate: self.0.clone(),
            inner,
        }
    }
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let gate = self.gate.clone();
        // The clone is not ready yet; the one that was polled is.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move { Ok(gate.pass(request, inner).await) })
    }
}

impl Gate {
    async fn pass<S>(&self, request: Request<Body>, inner: S) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let began = Instant::now();
        let call = Call::at(request.uri().path());
        let most = self.app.limits.request_timeout;
        let time = client_deadline(request.headers())
            .map_or(most, |theirs| theirs.saturating_sub(ANSWER_MARGIN).min(most));
        let answer = tokio::time::timeout(time, self.answer(call, request, inner)).await;
        let response = match answer {
            Ok(Ok(response)) => typed(response, call),
            Ok(Err(refusal)) => refused(refusal),
            Err(_) => refused(Refusal::because(ErrorReason::DeadlineExceeded)),
        };
        self.app.metrics.answered(
            call.map(|call| call.path),
            status_code(&response),
            began.elapsed(),
        );
        tracing::debug!(
            call = call.map_or("other", |call| call.path),
            code = ?status_code(&response),
            took_ms = began.elapsed().as_millis(),
            "answered"
        );
        response
    }

    async fn answer<S>(
        &self,
        call: Option<&Call>,
        mut request: Request<Body>,
        mut inner: S,
    ) -> Result<Response<Body>, Refusal>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let peer = self.admit(&mut request)?;
        let Some(call) = call else {
            let place = self
                .sides
                .admit(request.uri().path(), peer, &self.app.trusted_proxies)?;
            let response = served(inner.call(sides::bounded(request)).await)?;
            return Ok(match place {
                Some(place) => place.keep(response),
                None => response,
            });
        };
        if call.token == Token::Needed
            || (call.token == Token::Optional && request.headers().contains_key(AUTHORIZATION))
        {
            let caller = self.authenticate(request.headers(), peer).await?;
            self.app.rates.call_of_device(call, caller.device)?;
            let (mut request, _held) = if call.streamed {
                (self.with_frames(call, request), None)
            } else {
                let (request, held) = self
                    .with_body(call, request, &self.turns.bodies, caller.account)
                    .await?;
                (request, Some(held))
            };
            let _turn = self.turns.of_device(&caller).await;
            // The token may have become void while this waited.
            let caller = self.authenticate(request.headers(), peer).await?;
            request.extensions_mut().insert(caller);
            served(inner.call(request).await)
        } else {
            self.app.rates.call_of_stranger(call, peer)?;
            // Few turns, and their own: no more than these can who has no token put before those who do.
            let (request, _held) = self
                .with_body(call, request, &self.turns.open_bodies, peer.pooled())
                .await?;
            let _turn = self.turns.open_call().await;
            served(inner.call(request).await)
        }
    }

    /// Where a call comes from, unless nobody is served there, or it has called too often. The services
    /// find it in the request.
    fn admit(&self, request: &mut Request<Body>) -> Result<Peer, Refusal> {
        let connected = request.extensions().get::<Peer>().copied();
        // Every connection has one: without it nothing could be held against anybody.
        let connected = connected.ok_or_else(|| Refusal::because(ErrorReason::Internal))?;
        let peer = connected.behind(request.headers(), &self.app.trusted_proxies);
        if self.app.blocks.has(peer.address(), now_ms()) {
            return Err(Refusal::because(ErrorReason::Blocked));
        }
        self.app.rates.address(AddressRate::Calls, peer)?;
        request.extensions_mut().insert(peer);
        Ok(peer)
    }

    /// The request with all of its body, and the right to hold that until the call is answered.
    async fn with_body<'t, K: Copy + Eq + Hash>(
        &self,
        call: &Call,
        request: Request<Body>,
        bodies: &'t Bodies<K>,
        of: K,
    ) -> Result<(Request<Body>, Held<'t, K>), Refusal> {
        let (head, body) = request.into_parts();
        let limits = &self.app.limits;
        let pace = Pace::new(limits.body_timeout, limits.min_body_rate);
        let held = bodies.begin(of).await;
        let begun = body::begin(body, call, pace).await?;
        let mut held = held.announced(of, begun.length()).await;
        let body = begun.finish(&mut held).await?;
        Ok((Request::from_parts(head, body), held))
    }

    fn with_frames(&self, call: &Call, request: Request<Body>) -> Request<Body> {
        request.map(|body| Body::new(Frames::new(body, call, self.app.limits.body_timeout)))
    }

    async fn authenticate(&self, headers: &HeaderMap, peer: Peer) -> Result<Caller, Refusal> {
        let hash = TokenHash::presented(headers)?;
        let caller = self.app.store.caller(&hash.0, now_ms()).await?;
        if caller.is_none() {
            // Guessing is signing in.
            self.app.rates.address(AddressRate::SignIns, peer)?;
        }
        let caller = caller.ok_or_else(|| Refusal::because(ErrorReason::TokenInvalid))?;
        if caller.origin == Origin::of(headers) {
            Ok(caller)
        } else {
            Err(Refusal::because(ErrorReason::OriginMismatch))
        }
    }
}

fn served(answer: Result<Response<Body>, Infallible>) -> Result<Response<Body>, Refusal> {
    match answer {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// The device that makes a call; the gate has put it there.
pub(crate) fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Refusal> {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .ok_or_else(|| Refusal::because(ErrorReason::TokenMissing))
}

/// Where a call comes from; the gate has put it there too.
pub(crate) fn peer<T>(request: &tonic::Request<T>) -> Result<Peer, Refusal> {
    let peer = request.extensions().get::<Peer>().copied();
    peer.ok_or_else(|| Refusal::because(ErrorReason::Internal))
}

/// Gives the refusals of the gRPC library, which carry no reason, the one they should carry. Our own
/// handlers never answer without one, so what is INTERNAL here is a request that could not be decoded;
/// what is too large was refused when its body was read.
fn typed(response: Response<Body>, call: Option<&Call>) -> Response<Body> {
    if response.headers().contains_key("grpc-status-details-bin") {
        return response;
    }
    match (status_code(&response), call) {
        (Code::Unimplemented, _) => refused(Refusal::because(ErrorReason::Unsupported)),
        (Code::Internal, Some(_)) => refused(Refusal::field("request")),
        _ => response,
    }
}

fn refused(refusal: Refusal) -> Response<Body> {
    Status::from(refusal).into_http()
}

/// The status an answer without a body carries in its headers; OK when it has a body.
fn status_code(response: &Response<Body>) -> Code {
    response
        .headers()
        .get("grpc-status")
        .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}

/// `grpc-timeout`: at most eight digits and a unit (gRPC over HTTP/2, "Timeout"). What is not one is
/// no deadline.
fn client_deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount = digits.parse::<u64>().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_deadline_is_read_as_grpc_writes_it() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            client_deadline(&headers)
        };
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for bad in ["", "S", "5", "-1S", "+1S", "123456789S", "1s", "1 S"] {
            assert_eq!(read(bad), None, "{bad:?} was read as a deadline");
        }
    }
}
