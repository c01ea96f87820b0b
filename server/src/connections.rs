//! Accepting connections: as many as there is room for, none that stays silent, and all of them cut
//! when the server's patience with stopping has run out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::stream::unfold;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpIncoming};

use crate::limits::Limits;

/// Length of the HTTP/2 client preface (RFC 9113 section 3.4), the first thing a gRPC client says; a
/// gRPC-Web request over HTTP/1.1 is longer. From there on the HTTP library has its own timeouts.
const GREETING_LEN: usize = 24;

/// Pause before TCP asks an idle peer whether it is still there, for connections without HTTP/2 pings.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Pause after a failed accept, most often for want of file descriptors: those come back with time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A client's connection, with its place among those allowed.
#[derive(Debug)]
pub(crate) struct Connection {
    io: TcpStream,
    greeting: Option<Greeting>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
}

/// How much the client has yet to say, and by when.
#[derive(Debug)]
struct Greeting {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

/// The connections as they come in, until `cut` is cancelled, which also ends those that are open.
pub(crate) fn incoming(
    listener: TcpListener,
    limits: &Limits,
    cut: CancellationToken,
) -> impl Stream<Item = io::Result<Connection>> + use<> {
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let patience = limits.first_byte_timeout;
    let listening = TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .with_keepalive(Some(TCP_KEEPALIVE));
    unfold(listening, move |mut listening| {
        let (places, cut) = (places.clone(), cut.clone());
        async move {
            loop {
                let io = match listening.next().await? {
                    Ok(io) => io,
                    Err(error) => {
                        tracing::warn!(kind = %error.kind(), "a connection could not be accepted");
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                let Ok(place) = places.clone().try_acquire_owned() else {
                    tracing::warn!("a connection was refused: as many are open as the limits allow");
                    continue;
                };
                let connection = Connection {
                    io,
                    greeting: Some(Greeting {
                        missing: GREETING_LEN,
                        deadline: Box::pin(sleep(patience)),
                    }),
                    cut: Box::pin(cut.cancelled_owned()),
                    _place: place,
                };
                return Some((Ok(connection), listening));
            }
        }
    })
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        let Some(greeting) = self.greeting.as_mut() else {
            return read;
        };
        greeting.missing = greeting
            .missing
            .saturating_sub(buf.filled().len().saturating_sub(before));
        if greeting.missing == 0 {
            self.greeting = None;
            return read;
        }
        if read.is_ready() {
            return read;
        }
        ready!(greeting.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl Connected for Connection {
    // Nothing of the peer goes further than this: what is not known cannot be logged.
    type ConnectInfo = ();

    fn connect_info(&self) {}
}
