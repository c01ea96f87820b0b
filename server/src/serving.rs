//! HTTP on one connection: HTTP/2 for gRPC, HTTP/1.1 for gRPC-Web, each with bounds on what a client can
//! have the server hold.

mod front;
mod stalls;

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use crate::connections::Greeted;
use crate::limits::{
    CALL_WINDOW, CONNECTION_WINDOW, HEADER_TABLE_LEN, HTTP1_BUFFER_LEN, Limits, MAX_HEADER_LIST_LEN,
    MAX_RESETS, SEND_BUFFER_LEN,
};
use crate::peer::Peer;
use front::Front;
use stalls::Stalls;

pub(crate) use front::Manners;

/// What answers calls: the services behind the gate.
pub(crate) trait Calls:
    Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Calls for S where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// How connections are served, made once for all of them.
pub(crate) struct Http {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    manners: Arc<Manners>,
    stall_timeout: Duration,
}

impl Http {
    pub(crate) fn new(limits: &Limits, manners: Manners) -> Self {
        Self {
            http1: http1_builder(limits),
            http2: http2_builder(limits),
            manners: Arc::new(manners),
            stall_timeout: limits.stall_timeout,
        }
    }

    /// Serves a connection until its client has gone, breaks the rules or takes nothing of an answer for
    /// too long; after `closing`, only what was begun by then.
    ///
    /// In a box, and the connection in another: what an asynchronous function is given and hands on is
    /// otherwise kept twice, for as long as it lasts.
    pub(crate) fn serve<'a, I, S>(
        &'a self,
        io: Greeted<I>,
        peer: Peer,
        calls: S,
        closing: &'a CancellationToken,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Calls,
    {
        let stalls = Arc::<Stalls>::default();
        let is_http2 = io.is_http2();
        let front = Front::new(self.manners.clone(), peer, stalls.clone(), calls);
        let io = TokioIo::new(io);
        let stalled = stalls.longer_than(self.stall_timeout);
        if is_http2 {
            let connection = Box::pin(self.http2.serve_connection(io, front));
            Box::pin(drive(connection, stalled, closing))
        } else {
            let connection = Box::pin(self.http1.serve_connection(io, front));
            Box::pin(drive(connection, stalled, closing))
        }
    }
}

/// A connection of either version.
trait Ending: Future {
    /// Takes no new calls, and ends when those under way have.
    fn end(self: Pin<&mut Self>);
}

impl<I, S> Ending for http1::Connection<I, S>
where
    Self: Future,
    S: hyper::service::HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S::ResBody: 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, E> Ending for http2::Connection<I, S, E>
where
    Self: Future,
    S: hyper::service::HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S::ResBody: 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn drive(
    mut connection: Pin<Box<impl Ending>>,
    stalled: impl Future<Output = ()>,
    closing: &CancellationToken,
) {
    let mut stalled = pin!(stalled);
    tokio::select! {
        // Who it was and what went wrong is nobody's business; calls have their own line in the log.
        _ = connection.as_mut() => return,
        () = stalled.as_mut() => return,
        () = closing.cancelled() => connection.as_mut().end(),
    }
    tokio::select! {
        _ = connection => {}
        () = stalled => {}
    }
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.first_byte_timeout)
        .max_buf_size(HTTP1_BUFFER_LEN);
    builder
}

fn http2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let (interval, timeout) = limits.keepalive;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_calls_per_connection)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(CALL_WINDOW)
        .keep_alive_interval(interval)
        .keep_alive_timeout(timeout)
        .max_header_list_size(MAX_HEADER_LIST_LEN)
        .header_table_size(HEADER_TABLE_LEN)
        .max_send_buf_size(SEND_BUFFER_LEN)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS);
    builder
}
