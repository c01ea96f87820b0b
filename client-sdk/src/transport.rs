//! Connections to a server, and gRPC's answers as the engine knows them.

mod blobs;

use std::time::Duration;

use sottovoce_engine::Refusal;
use sottovoce_proto::ERROR_DOMAIN;
use sottovoce_proto::v1::account_service_client::AccountServiceClient;
use sottovoce_proto::v1::{self, ErrorReason};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};
use tonic::{Request, Response, Status};
use tonic_types::StatusExt;
use zeroize::Zeroizing;

use crate::config::{Config, Roots, Streaming};
use crate::error::OpenError;

pub(crate) use blobs::Pieces;

/// A server that takes longer to connect to is taken for unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A call that takes longer is given up, and made again later.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that does not answer a ping in between is taken for dead.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Largest message taken from a server: the largest envelope, with room.
pub(crate) const MAX_MESSAGE_LEN: usize = 1024 * 1024;

/// How a certificate begins in PEM (RFC 7468 section 5.1).
const BEGIN_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// A server that wants to be left alone for longer is asked again all the same.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// Connections to one server, made when first needed and again when lost.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    channel: Channel,
    anonymous: Channel,
    ways: Streaming,
}

/// Why a call brought no reply, and how long to wait before it is repeated, if the server says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) because: Refusal,
    pub(crate) retry_after: Option<Duration>,
}

/// The proof of being signed in. Not printed, not logged.
#[derive(Clone)]
pub(crate) struct Token(MetadataValue<Ascii>);

impl Transport {
    /// To the server of a configuration, as that says.
    pub(crate) fn of(config: &Config) -> Result<Self, OpenError> {
        let transport = Self::new(&config.server, config.roots.as_ref())?;
        let ways = config.streaming;
        Ok(Self { ways, ..transport })
    }

    /// For an `https` server, `roots` is whom to believe that it is that server; without them, whom the
    /// system believes.
    pub(crate) fn new(server: &str, roots: Option<&Roots>) -> Result<Self, OpenError> {
        let uri: Uri = server.parse().map_err(|_| OpenError::ServerUrl)?;
        let host = uri.host().ok_or(OpenError::ServerUrl)?;
        let endpoint = match uri.scheme_str() {
            Some("https") => {
                let tls = match roots.map(Roots::as_pem) {
                    Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                    None => ClientTlsConfig::new().with_native_roots(),
                };
                // With no certificate at all it would believe nobody, and never say why.
                if roots.is_some_and(|roots| !roots.as_pem().contains(BEGIN_CERTIFICATE)) {
                    return Err(OpenError::Roots);
                }
                Endpoint::from(uri)
                    .tls_config(tls)
                    .map_err(|_| OpenError::Roots)?
            }
            Some("http") if is_this_machine(host) => Endpoint::from(uri),
            Some("http") => return Err(OpenError::PlaintextNetwork),
            _ => return Err(OpenError::ServerUrl),
        };
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE)
            .tcp_nodelay(true);
        Ok(Self {
            channel: endpoint.clone().keep_alive_while_idle(true).connect_lazy(),
            anonymous: endpoint.connect_lazy(),
            ways: Streaming::default(),
        })
    }

    pub(crate) async fn register(&self, request: v1::RegisterRequest) -> Result<(), Refused> {
        let mut client = AccountServiceClient::new(self.channel.clone());
        answer(client.register(timed(request))).await.map(drop)
    }

    /// The connection that carries the token of this device.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// How to listen to the mailbox.
    pub(crate) fn ways(&self) -> Streaming {
        self.ways
    }

    /// The connection that never carries a token.
    pub(crate) fn anonymous(&self) -> Channel {
        self.anonymous.clone()
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        refused.because
    }
}

impl Refused {
    pub(crate) fn unavailable() -> Self {
        Self {
            because: Refusal::Unavailable,
            retry_after: None,
        }
    }
}

impl Token {
    /// Makes the header that carries a token; none if the token cannot be in one. The copy within the
    /// header is the HTTP library's and is not erased.
    pub(crate) fn new(access_token: &str) -> Option<Self> {
        const SCHEME: &str = "Bearer ";
        // Room for all of it: growing would leave a copy behind.
        let mut header = Zeroizing::new(String::with_capacity(SCHEME.len() + access_token.len()));
        header.push_str(SCHEME);
        header.push_str(access_token);
        let mut value: MetadataValue<Ascii> = header.parse().ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

/// The whole answer to a call, in good time. The deadline that goes with the request ends the wait for an
/// answer to begin; this one also ends an answer that begins and never ends.
pub(crate) async fn answer<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Refused> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(refusal(&status)),
        Err(_) => Err(Refused::unavailable()),
    }
}

pub(crate) fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

pub(crate) fn signed_in<T>(mut request: Request<T>, token: &Token) -> Request<T> {
    request.metadata_mut().insert("authorization", token.0.clone());
    request
}

/// Why the server refused, where it says so in this protocol's words, and how long it wants to be left
/// alone.
pub(crate) fn refusal(status: &Status) -> Refused {
    let because = status
        .get_details_error_info()
        .filter(|info| info.domain == ERROR_DOMAIN)
        .and_then(|info| ErrorReason::from_reason(&info.reason))
        .map_or(Refusal::Unavailable, Refusal::Because);
    let retry_after = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay)
        .map(|delay| delay.min(LONGEST_WAIT));
    Refused { because, retry_after }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn plaintext_reaches_this_machine_only() {
        for near in [
            "http://127.0.0.1:7443",
            "http://localhost:7443",
            "http://[::1]:7443",
        ] {
            assert!(Transport::new(near, None).is_ok(), "{near}");
        }
        for far in [
            "http://192.0.2.1:7443",
            "http://chat.example",
            "http://localhost.example",
        ] {
            assert!(
                matches!(Transport::new(far, None), Err(OpenError::PlaintextNetwork)),
                "{far}"
            );
        }
        for wrong in ["", "127.0.0.1:7443", "ftp://localhost"] {
            assert!(
                matches!(Transport::new(wrong, None), Err(OpenError::ServerUrl)),
                "{wrong}"
            );
        }
    }

    #[tokio::test]
    async fn roots_hold_a_certificate() {
        let server = "https://chat.example";
        for nothing in ["", "nonsense", "-----BEGIN CERTIFICATE-----\n?"] {
            let transport = Transport::new(server, Some(&Roots::pem(nothing)));
            assert!(matches!(transport, Err(OpenError::Roots)), "{nothing}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_begins_and_never_ends_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let transport = Transport::new(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        let call = tokio::spawn(async move { transport.begin_authentication(vec![1; 16]).await });
        let (mut server, _) = listener.accept().await.unwrap();
        // RFC 9113: a SETTINGS frame, then HEADERS of stream 1 with `:status 200` (RFC 7541, index 8).
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let headers = [0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
        server
            .write_all(&[&settings[..], &headers].concat())
            .await
            .unwrap();
        // Time enough for the client to have both; then all the time it would give the answer, at once.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!call.is_finished());
        tokio::time::pause();
        // Before the connection is taken for dead: a server may well answer pings and nothing else.
        let answer = tokio::time::timeout(CALL_TIMEOUT + KEEPALIVE / 4, call).await;
        assert_eq!(answer.expect("an end").unwrap(), Err(Refused::unavailable()));
    }
}
