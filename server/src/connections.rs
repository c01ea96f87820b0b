//! Accepting connections: from those who are not blocked, as many as there is room for, no more of one
//! address than its share, none that stays silent, and all of them cut when the server's patience with
//! stopping has run out.

mod admission;
mod greeted;
mod stream;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::blocks::Blocked;
use crate::clock::now_ms;
use crate::limits::{Limits, MAX_HANDSHAKES, MAX_HANDSHAKES_PER_ADDRESS};
use crate::peer::Peer;
use crate::prefix::AddressPrefix;
use crate::serving::{Calls, Http, Manners};
use crate::tls;
use crate::turns::{Lines, Turn};

pub(crate) use admission::{Admission, Place};
pub(crate) use greeted::Greeted;
pub(crate) use stream::Stream;

/// Length of the HTTP/2 client preface (RFC 9113 section 3.4), the first thing a gRPC client says; a
/// gRPC-Web request over HTTP/1.1 is longer. From there on the HTTP library has its own timeouts.
pub(crate) const GREETING: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Pause after a failed accept, most often for want of file descriptors: those come back with time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection is served with.
pub(crate) struct Connections<S> {
    app: Arc<App>,
    tls: Option<TlsAcceptor>,
    http: Http,
    /// What answers the calls.
    service: S,
    admission: Admission,
    handshakes: Semaphore,
    handshakes_of: Lines<AddressPrefix>,
    /// Cancelled when no more connections are to be accepted, and those there are end in order.
    closing: CancellationToken,
    /// Cancelled when they end at once.
    cut: CancellationToken,
}

/// A handshake's place among those under way; given back when dropped.
#[expect(dead_code, reason = "held, and never looked at")]
enum HandshakeTurn<'t> {
    Own(Turn<'t, AddressPrefix>),
    OfMany(Option<SemaphorePermit<'t>>),
}

impl<S: Calls> Connections<S> {
    pub(crate) fn new(
        app: Arc<App>,
        tls: Option<TlsAcceptor>,
        manners: Manners,
        service: S,
        closing: CancellationToken,
        cut: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            http: Http::new(&app.limits, manners),
            admission: Admission::new(&app),
            handshakes: Semaphore::new(MAX_HANDSHAKES),
            handshakes_of: Lines::new(MAX_HANDSHAKES_PER_ADDRESS),
            app,
            tls,
            service,
            closing,
            cut,
        })
    }

    /// Accepts until it is told to close; then waits until the last connection has ended.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        let open = TaskTracker::new();
        while let Some(accepted) = self.closing.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((socket, address)) => {
                    let peer = Peer::new(address.ip());
                    if let Some(place) = self.admission.admit(peer) {
                        open.spawn(self.clone().hold(socket, peer, place));
                    } else {
                        self.app.metrics.counts.connections_refused.add(1);
                    }
                }
                Err(error) => {
                    tracing::warn!(kind = %error.kind(), "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Closes the port: who comes now is refused at once, and not kept waiting.
        drop(listener);
        open.close();
        open.wait().await;
    }

    /// Serves one connection for as long as it has its place.
    async fn hold(self: Arc<Self>, socket: TcpStream, peer: Peer, _place: Place) {
        let _counted = self.app.metrics.connections.one_more();
        tokio::select! {
            biased;
            () = self.cut.cancelled() => {}
            () = blocked(self.app.blocks.watch(), peer) => {}
            // How a connection ends is its client's affair: gone, silent, or confused.
            _ = self.serve(socket, peer) => {}
        }
    }

    async fn serve(&self, socket: TcpStream, peer: Peer) -> io::Result<()> {
        socket.set_nodelay(true)?;
        // In boxes, so that what is done with is not held for as long as the connection lasts.
        let stream = Box::pin(self.secure(socket, peer)).await?;
        let greeted = Box::pin(greet(stream, &self.app.limits)).await?;
        self.http
            .serve(greeted, peer, self.service.clone(), &self.closing)
            .await;
        Ok(())
    }

    /// Behind a proxy that passes TLS on there are many: they have no share of their own.
    async fn handshake_turn(&self, peer: Peer) -> HandshakeTurn<'_> {
        let all = &self.handshakes;
        if peer.stands_for_many(&self.app.trusted_proxies) {
            HandshakeTurn::OfMany(all.acquire().await.ok())
        } else {
            HandshakeTurn::Own(self.handshakes_of.turn(peer.pooled(), 1, Some(all)).await)
        }
    }

    /// The TLS handshake, where there is one to make: in time, waiting for others included. Who says nothing
    /// keeps nobody waiting.
    async fn secure(&self, socket: TcpStream, peer: Peer) -> io::Result<Stream> {
        let Some(tls) = &self.tls else {
            return Ok(Stream::Plain(socket));
        };
        let handshake = async {
            let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
            let _turn = self.handshake_turn(peer).await;
            hello.into_stream_with(tls.config().clone(), tls::prepare).await
        };
        let secured = timeout(self.app.limits.handshake_timeout, handshake).await??;
        Ok(Stream::Tls(Box::new(secured)))
    }
}

/// Waits until a client has said as much as every client says first. A connection on which less comes is
/// not worth what the HTTP library would hold for it.
async fn greet(mut stream: Stream, limits: &Limits) -> io::Result<Greeted<Stream>> {
    let mut greeting = [0; GREETING.len()];
    timeout(limits.first_byte_timeout, stream.read_exact(&mut greeting)).await??;
    Ok(Greeted::new(greeting, stream))
}

/// Done when the peer is blocked.
async fn blocked(mut blocked: Blocked, peer: Peer) {
    while !blocked.has(peer.address(), now_ms()) {
        blocked.changed().await;
    }
}
