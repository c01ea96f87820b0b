//! A connection whose first bytes were read already, to be read again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::GREETING;

/// Gives back what was read, and then what comes.
pub(crate) struct Greeted<S> {
    greeting: [u8; GREETING.len()],
    given: usize,
    io: S,
}

impl<S> Greeted<S> {
    pub(crate) fn new(greeting: [u8; GREETING.len()], io: S) -> Self {
        Self {
            greeting,
            given: 0,
            io,
        }
    }

    /// Whether the client means HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.greeting == *GREETING
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.greeting.get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let piece = rest.get(..buf.remaining()).unwrap_or(rest);
        buf.put_slice(piece);
        self.given += piece.len();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn what_was_read_is_read_again_in_pieces_of_any_size() {
        for size in [1, 7, 24, 100] {
            let mut greeted = Greeted::new(*GREETING, &b" and more"[..]);
            assert!(greeted.is_http2());
            let mut whole = Vec::new();
            let mut piece = vec![0; size];
            loop {
                let read = greeted.read(&mut piece).await.unwrap();
                if read == 0 {
                    break;
                }
                whole.extend_from_slice(&piece[..read]);
            }
            assert_eq!(whole, [&GREETING[..], b" and more"].concat());
        }
    }
}
