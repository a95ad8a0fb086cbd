//! One client's connection: when it last did anything, and an end to answers that are not taken.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// What a connection is doing.
#[derive(Clone)]
pub(crate) struct Activity {
    /// Since when it waits for a request; `None` while there is one.
    waits_since: Arc<Mutex<Option<Instant>>>,
    /// Whether the client does not take what is written.
    stalls: Arc<AtomicBool>,
}

impl Activity {
    pub(crate) fn new() -> Self {
        let now = Arc::new(Mutex::new(Some(Instant::now())));
        Self { waits_since: now, stalls: Arc::default() }
    }

    /// A request's headers are complete.
    pub(crate) fn request(&self) {
        self.set(None);
    }

    /// The answer is made, or has been taken at last.
    pub(crate) fn answer(&self) {
        self.set(Some(Instant::now()));
    }

    fn set(&self, to: Option<Instant>) {
        *self.waits_since.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// How long it has been waiting for a request, if it is.
    pub(crate) fn idle(&self) -> Option<Duration> {
        if self.stalls.load(Relaxed) {
            return None;
        }
        let since = *self.waits_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| since.elapsed())
    }
}

/// A socket that fails when what is written is not taken in time: not a moment for each piece, but
/// one for everything that hyper has to write, so that a client that takes a byte now and then is
/// cut off too.
pub(crate) struct Socket {
    stream: TcpStream,
    activity: Activity,
    timeout: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, activity: Activity, timeout: Duration) -> Self {
        Self { stream, activity, timeout, alarm: None }
    }

    /// Gives the result on, with an end to waiting.
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() && self.alarm.is_none() {
            return written;
        }
        let alarm = self.alarm.get_or_insert_with(|| {
            self.activity.stalls.store(true, Relaxed);
            Box::pin(tokio::time::sleep(self.timeout))
        });
        if alarm.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has written everything.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.alarm.take().is_some() {
            self.activity.answer();
            self.activity.stalls.store(false, Relaxed);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
