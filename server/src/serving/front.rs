//! What every answer has, whatever it is an answer to: a number of its own, headers that keep browsers
//! from mischief, and permission for the origins that may read it.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use tower::ServiceExt;
use tracing::Instrument;

use super::Calls;
use super::stalls::{Stalls, Taken};
use crate::cors::Cors;
use crate::peer::Peer;

/// A number for each request, random, of the server's own making: what a client sends of the kind is not
/// looked at.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Random bytes of such a number.
const REQUEST_ID_LEN: usize = 16;

/// How answers look to browsers; the same on every connection.
#[derive(Debug)]
pub(crate) struct Manners {
    cors: Cors,
    encrypted: bool,
}

/// Everything on one connection goes through here first.
pub(crate) struct Front<S> {
    manners: Arc<Manners>,
    peer: Peer,
    stalls: Arc<Stalls>,
    calls: S,
}

impl Manners {
    pub(crate) fn new(cors: Cors, encrypted: bool) -> Self {
        Self { cors, encrypted }
    }

    fn put_headers(&self, headers: &mut HeaderMap) {
        // Nothing here is a page, may be kept, or is for anybody to guess the kind of.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        );
        if self.encrypted {
            // A year (RFC 6797); of this name only, for others are not ours to speak for.
            headers.insert(
                STRICT_TRANSPORT_SECURITY,
                HeaderValue::from_static("max-age=31536000"),
            );
        }
    }
}

impl<S: Calls> Front<S> {
    pub(crate) fn new(manners: Arc<Manners>, peer: Peer, stalls: Arc<Stalls>, calls: S) -> Self {
        Self {
            manners,
            peer,
            stalls,
            calls,
        }
    }
}

impl<S: Calls> hyper::service::Service<Request<Incoming>> for Front<S> {
    type Response = Response<Taken>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Taken>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let id = request_id();
        let span = tracing::info_span!("request", id = %id.as_deref().unwrap_or_default());
        let manners = self.manners.clone();
        let stalls = self.stalls.clone();
        let origin = manners.cors.allowed(request.headers());
        let preflight = manners.cors.preflight(&request);
        request.extensions_mut().insert(self.peer);
        let calls = self.calls.clone();
        let answer = async move {
            let mut response = match preflight {
                Some(response) => response,
                None => calls.oneshot(request).await?,
            };
            let headers = response.headers_mut();
            manners.put_headers(headers);
            manners.cors.put_headers(headers, origin);
            if let Some(id) = id.and_then(|id| HeaderValue::try_from(id).ok()) {
                headers.insert(REQUEST_ID, unrepeated(id));
            }
            Ok(response.map(|body| Taken::new(body, stalls)))
        };
        Box::pin(answer.instrument(span))
    }
}

/// What no other answer has is no use to the compression of headers, and would push out what is.
fn unrepeated(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// `None` when the system has no randomness: then there is more amiss than a number.
fn request_id() -> Option<String> {
    let mut bytes = [0; REQUEST_ID_LEN];
    getrandom::fill(&mut bytes).ok()?;
    let mut text = String::with_capacity(2 * REQUEST_ID_LEN);
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}
