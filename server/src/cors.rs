//! Which web pages may call (the Fetch standard's CORS protocol): those of the origins an operator has
//! named, and none unless named. Tokens travel in a header that pages set themselves, so that nothing
//! here allows a browser's own credentials.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use tonic::body::Body;

/// What a gRPC-Web client sends beside what browsers let every page send.
const ALLOWED_HEADERS: &str =
    "authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent,grpc-accept-encoding";

/// What it reads beside what browsers let every page read.
const EXPOSED_HEADERS: &str = "grpc-status,grpc-message,grpc-status-details-bin,x-request-id";

/// How long a browser remembers, in seconds: two hours, the most that some of them do.
const MAX_AGE: &str = "7200";

/// The origins whose pages may call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cors(Vec<HeaderValue>);

/// An origin that is none (RFC 6454): `https://host` or `https://host:port`, in lower case, and nothing
/// after it. There is no wildcard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin, such as https://chat.example")]
pub struct WebOriginError(String);

impl Cors {
    pub(crate) fn new(origins: &[String]) -> Result<Self, WebOriginError> {
        let read = |origin: &String| read_origin(origin).ok_or_else(|| WebOriginError(origin.clone()));
        origins.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The origin of a request, if its pages may call.
    pub(crate) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        self.0.iter().find(|allowed| *allowed == origin).cloned()
    }

    /// The answer to a browser that asks whether a page may call. No call is an OPTIONS.
    pub(crate) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        if request.method() != Method::OPTIONS
            || !request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if self.allowed(request.headers()).is_some() {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(ALLOWED_HEADERS),
            );
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        }
        Some(response)
    }

    /// Lets the pages of `origin` read an answer.
    pub(crate) fn put_headers(&self, headers: &mut HeaderMap, origin: Option<HeaderValue>) {
        if self.0.is_empty() {
            return;
        }
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(EXPOSED_HEADERS),
            );
        }
    }
}

fn read_origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let host = uri
        .host()
        .filter(|host| !host.is_empty() && !host.contains('*'))?;
    let port = uri.port_u16().map_or(String::new(), |port| format!(":{port}"));
    let scheme = uri
        .scheme_str()
        .filter(|scheme| matches!(*scheme, "https" | "http"))?;
    // What a browser would write, to the letter: else it would never be found equal.
    let written = format!("{scheme}://{host}{port}").to_ascii_lowercase();
    (written == text).then(|| HeaderValue::try_from(written).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str]) -> Result<Cors, WebOriginError> {
        Cors::new(&origins.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for good in [
            "https://chat.example",
            "http://localhost:8080",
            "https://[2001:db8::1]:8443",
        ] {
            assert!(cors(&[good]).is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "chat.example",
            "https://",
            "https://*",
            "https://*.example",
            "https://chat.example/",
            "https://chat.example/path",
            "https://Chat.example",
            "ftp://chat.example",
            "https://me@chat.example",
            "https://chat.example?x",
            "https://chat.example:",
            "https://chat.example:99999",
        ] {
            assert_eq!(cors(&[bad]).unwrap_err(), WebOriginError(bad.to_owned()));
        }
    }

    #[test]
    fn only_named_origins_are_allowed_and_to_the_letter() {
        let cors = cors(&["https://chat.example", "https://other.example"]).unwrap();
        let asked = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, origin.parse().unwrap());
            cors.allowed(&headers).is_some()
        };
        assert!(asked("https://chat.example") && asked("https://other.example"));
        for stranger in [
            "https://chat.example:8443",
            "http://chat.example",
            "https://chat.example.evil",
            "null",
            "*",
        ] {
            assert!(!asked(stranger), "{stranger}");
        }
        assert!(cors.allowed(&HeaderMap::new()).is_none());
    }
}
