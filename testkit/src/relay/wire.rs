//! Bytes that a hostile peer puts on the wire as they are, where an answer should be.
//!
//! Owns the bytes and how they are sent: at once, drop by drop, or without end. The catalogues
//! say what is wrong with them: `wire/http.rs`, `wire/frames.rs`, `wire/tls.rs`. At which stage
//! they come is said by the fault that carries them.

mod frames;
mod http;
mod tls;

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use crate::limits::ENDLESS_BYTES;

/// Bytes on the wire: first some, then others again and again.
#[derive(Clone, PartialEq, Eq)]
pub struct Wire {
    /// What is wrong, for messages of tests.
    name: &'static str,
    first: Vec<u8>,
    again: Vec<u8>,
    /// Sends one byte per interval.
    interval: Option<Duration>,
    /// Closes the connection after the last byte; else it is held open in silence.
    closes: bool,
}

/// Tests print which one it was, not its megabytes.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire({})", self.name)
    }
}

impl Wire {
    /// Sends these bytes, then nothing more.
    pub fn new(name: &'static str, first: impl Into<Vec<u8>>) -> Self {
        Self {
            name,
            first: first.into(),
            again: Vec::new(),
            interval: None,
            closes: false,
        }
    }

    /// Then these without end, or nearly so: a forgotten test ends one day.
    #[must_use]
    pub fn again(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        // Few large writes: a flood has to be faster than its reader.
        self.again = bytes.repeat((64_usize << 10).div_ceil(bytes.len().max(1)));
        self
    }

    /// One byte per interval.
    #[must_use]
    pub fn dripping(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Ends the connection after it.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Sends everything. Says whether the connection has to be closed then.
    pub(super) async fn send(&self, io: &mut (impl AsyncWrite + Unpin)) -> io::Result<bool> {
        match self.interval {
            Some(interval) => {
                for byte in &self.first {
                    io.write_all(&[*byte]).await?;
                    io.flush().await?;
                    sleep(interval).await;
                }
            }
            None => io.write_all(&self.first).await?,
        }
        if !self.again.is_empty() {
            for _ in 0..ENDLESS_BYTES / self.again.len() {
                io.write_all(&self.again).await?;
            }
        }
        io.flush().await?;
        if self.closes {
            io.shutdown().await?;
        }
        Ok(self.closes)
    }
}
