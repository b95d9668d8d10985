//! What strangers may send: a stream that gives only so many bytes until its gate is lifted.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of which only so much is read until [`Gate::lift`]: a WebSocket's own limit cannot be raised
/// once it is open, and strangers must not get the room of agents that have logged in.
#[derive(Debug)]
pub(crate) struct Gate<S> {
    stream: S,
    left: Option<usize>,
}

impl<S> Gate<S> {
    /// Gives `limit` bytes and then errors, or everything if there is no limit.
    pub(crate) fn new(stream: S, limit: Option<usize>) -> Self {
        Self { stream, left: limit }
    }

    /// No limit any more.
    pub(crate) fn lift(&mut self) {
        self.left = None;
    }

    /// Whether the limit is reached.
    pub(crate) fn is_spent(&self) -> bool {
        self.left == Some(0)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(left) = self.left else { return Pin::new(&mut self.stream).poll_read(cx, buf) };
        if left == 0 {
            return Poll::Ready(Err(io::Error::other("more than may be sent before the login")));
        }
        let room = left.min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buf.advance(read);
        self.left = Some(left - read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
