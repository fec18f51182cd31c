//! The stream of a dialled connection: counts every byte on the wire, ends at a cap, and holds
//! the connection slots for as long as it lives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::slots::Slot;

/// Bytes on the wire of one connection, TLS and proxy handshakes included.
#[derive(Debug)]
pub struct Meter {
    read: AtomicU64,
    written: AtomicU64,
    read_cap: AtomicU64,
    /// Counts the same bytes together with others'.
    whole: Option<Arc<Meter>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            read_cap: AtomicU64::new(u64::MAX),
            whole: None,
        }
    }
}

impl Meter {
    /// Makes a meter whose bytes count in this one as well.
    pub(super) fn part(self: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self {
            whole: Some(self.clone()),
            ..Self::default()
        })
    }

    /// Returns the bytes received so far.
    pub fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Returns the bytes sent so far.
    pub fn written_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Makes reads fail with [`ReadCapReached`] once this many bytes were received in all.
    pub fn cap_reads(&self, bytes: u64) {
        self.read_cap.store(bytes, Ordering::Relaxed);
    }

    fn count_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.count_read(bytes);
        }
    }

    fn count_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.count_written(bytes);
        }
    }
}

/// The peer sent as much as the connection may receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {cap_bytes} bytes received")]
pub struct ReadCapReached {
    /// The cap.
    pub cap_bytes: u64,
}

impl ReadCapReached {
    /// Finds the cap as the cause of an I/O error, or of an error that wraps one.
    pub fn in_chain(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(*found);
            }
            let inner = error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            if let Some(found) = inner.and_then(|inner| inner.downcast_ref::<Self>()) {
                return Some(*found);
            }
            next = error.source();
        }
        None
    }
}

/// Counts what passes through a stream.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, meter: Arc<Meter>) -> Self {
        Self { stream, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let cap_bytes = self.meter.read_cap.load(Ordering::Relaxed);
        let left = cap_bytes.saturating_sub(self.meter.read_bytes());
        if left == 0 {
            return Poll::Ready(Err(io::Error::other(ReadCapReached { cap_bytes })));
        }
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let before = buf.filled().len();
        let polled = if buf.remaining() <= left {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        } else {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(left));
            let polled = Pin::new(&mut self.stream).poll_read(cx, &mut part);
            let read = part.filled().len();
            buf.advance(read);
            polled
        };
        self.meter.count_read(buf.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = polled {
            self.meter.count_written(written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[derive(Debug)]
pub(super) enum Transport {
    Plain(Metered<TcpStream>),
    Tls(Box<TlsStream<Metered<TcpStream>>>),
}

/// A connection made by the dialer, in clear or under TLS. Dropping it frees its slots.
#[derive(Debug)]
pub struct DialStream {
    transport: Transport,
    meter: Arc<Meter>,
    slots: Vec<Slot>,
}

impl DialStream {
    pub(super) fn new(transport: Transport, meter: Arc<Meter>, slots: Vec<Slot>) -> Self {
        Self {
            transport,
            meter,
            slots,
        }
    }

    /// Says whether there is another slot of each kind that the connection holds.
    pub fn leaves_room(&self) -> bool {
        self.slots
            .iter()
            .all(|slot| slot.semaphore().available_permits() > 0)
    }

    /// Returns the connection's byte counters, which stay readable when the stream is moved.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }
}

impl AsyncRead for DialStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for DialStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_are_counted_and_reads_end_at_the_cap() {
        let (near, mut far) = tokio::io::duplex(64);
        let whole = Arc::new(Meter::default());
        let meter = whole.part();
        let mut near = Metered::new(near, meter.clone());
        near.write_all(b"abc").await.unwrap();
        far.write_all(b"12345678").await.unwrap();
        let mut buffer = [0; 8];
        assert_eq!(near.read(&mut buffer[..4]).await.unwrap(), 4);
        assert_eq!((meter.read_bytes(), meter.written_bytes()), (4, 3));
        meter.cap_reads(6);
        assert_eq!(
            near.read(&mut buffer).await.unwrap(),
            2,
            "a read ends at the cap exactly"
        );
        let error = near.read_u8().await.unwrap_err();
        assert_eq!(
            ReadCapReached::in_chain(&error),
            Some(ReadCapReached { cap_bytes: 6 })
        );
        assert_eq!((whole.read_bytes(), whole.written_bytes()), (6, 3));
    }
}
