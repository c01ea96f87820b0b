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
use tokio::time::{Instant, Sleep, sleep};
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

/// Pause between two lines of the log about refused connections.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

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
    unfold(
        (listening, Refused::default()),
        move |(mut listening, mut refused)| {
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
                        if let Some(connections) = refused.one_more(Instant::now()) {
                            tracing::warn!(connections, "refused: as many are open as the limits allow");
                        }
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
                    return Some((Ok(connection), (listening, refused)));
                }
            }
        },
    )
}

/// Connections refused, and when that was last said: who knocks often does not fill the log.
#[derive(Debug, Default)]
struct Refused {
    unsaid: u64,
    said: Option<Instant>,
}

impl Refused {
    /// Counts one. How many there were since it was last said, when it is time to say so again.
    fn one_more(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self
            .said
            .is_some_and(|said| now.duration_since(said) < REFUSED_PAUSE)
        {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

impl Connection {
    /// Fails once the connection is cut, and otherwise has the task woken when it is.
    fn check_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_cut(cx)?;
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
        self.check_cut(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_cut(cx)?;
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
        self.check_cut(cx)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn cutting_ends_a_write_that_nobody_reads() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = CancellationToken::new();
        let mut connections = Box::pin(incoming(listener, &Limits::default(), cut.clone()));
        let _deaf = TcpStream::connect(address).await.unwrap();
        let mut connection = connections.next().await.unwrap().unwrap();
        let writing = tokio::spawn(async move {
            loop {
                if let Err(error) = connection.write_all(&[0; 65_536]).await {
                    return error.kind();
                }
            }
        });
        sleep(Duration::from_millis(200)).await;
        assert!(!writing.is_finished());
        cut.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), writing).await;
        assert_eq!(ended.unwrap().unwrap(), io::ErrorKind::ConnectionAborted);
    }

    #[test]
    fn refused_connections_are_counted_and_seldom_said() {
        let mut refused = Refused::default();
        let now = Instant::now();
        assert_eq!(refused.one_more(now), Some(1));
        for _ in 0..1000 {
            assert_eq!(refused.one_more(now + REFUSED_PAUSE / 2), None);
        }
        assert_eq!(refused.one_more(now + REFUSED_PAUSE), Some(1001));
        assert_eq!(refused.one_more(now + REFUSED_PAUSE), None);
    }
}
