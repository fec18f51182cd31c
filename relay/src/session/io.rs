//! Frames in and frames out.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use crate::config::RelayConfig;
use crate::limits::{LINGER_BYTES, LINGER_TIMEOUT};
use crate::metrics::RelayMetrics;
use crate::outbox::{Outbox, Outgoing};

/// A message from the client.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A text frame.
    Text(Utf8Bytes),
    /// A binary frame, which Nostr has no use for.
    Binary,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client said goodbye, or hung up.
    Client,
    /// Nothing more can be written to the client.
    Gone,
    /// The service stops.
    Stop,
    /// The client has said nothing for long.
    Idle,
    /// A message was too large.
    TooLarge,
    /// A text was not UTF-8.
    NotText,
    /// What came was not WebSocket.
    Broken,
}

impl End {
    /// Says whether the end was ours, so that the client may still be sending.
    pub(super) fn is_ours(self) -> bool {
        !matches!(self, Self::Client | Self::Gone)
    }
}

/// Reads messages into the inbox, and pings, until the session has to end.
///
/// # Security
/// The size of a message is bounded by the socket's configuration. A client that sends slowly, or
/// nothing, or never finishes a message is ended by the idle time-out; one whose messages are
/// handled slowly is only read more slowly.
pub(super) async fn read<S>(
    stream: &mut SplitStream<WebSocketStream<S>>,
    inbox: &mpsc::Sender<Incoming>,
    outbox: &Outbox,
    config: &RelayConfig,
    stop: &CancellationToken,
    gone: &CancellationToken,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut heard = Instant::now();
    let mut ping = interval_at(heard + config.ping_interval, config.ping_interval);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let frame = tokio::select! {
            biased;
            () = stop.cancelled() => return End::Stop,
            () = gone.cancelled() => return End::Gone,
            frame = stream.next() => frame,
            _ = ping.tick() => {
                if heard.elapsed() >= config.idle_timeout {
                    return End::Idle;
                }
                outbox.force(Outgoing::Ping);
                continue;
            }
        };
        let incoming = match frame {
            Some(Ok(Message::Text(text))) => Some(Incoming::Text(text)),
            Some(Ok(Message::Binary(_))) => Some(Incoming::Binary),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
            Some(Ok(Message::Close(_))) | None => return End::Client,
            Some(Err(error)) => return end_of(&error),
        };
        if let Some(incoming) = incoming {
            let sent = tokio::select! {
                () = stop.cancelled() => return End::Stop,
                () = gone.cancelled() => return End::Gone,
                sent = inbox.send(incoming) => sent,
            };
            if sent.is_err() {
                return End::Gone;
            }
        }
        heard = Instant::now();
    }
}

fn end_of(error: &Error) -> End {
    match error {
        Error::Capacity(_) => End::TooLarge,
        Error::Utf8 => End::NotText,
        Error::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )
        | Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_) => End::Client,
        _ => End::Broken,
    }
}

/// Why writing came to an end before its time.
#[derive(Debug)]
pub(super) enum NotWritten {
    /// The client took nothing for too long.
    TooSlow,
    /// The client hung up.
    Failed(#[expect(dead_code, reason = "it is logged")] Error),
}

/// Writes what is in the outbox until it is finished, or the client takes no more.
pub(super) async fn write<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    outbox: &Outbox,
    write_timeout: Duration,
    metrics: &RelayMetrics,
) -> Result<(), NotWritten>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let progress = Progress {
        within: write_timeout,
        metrics,
    };
    while let Some(first) = outbox.take().await {
        let mut next = Some(first);
        while let Some(outgoing) = next {
            let last = matches!(outgoing, Outgoing::Close { .. });
            progress.of(sink.feed(frame(outgoing))).await?;
            if last {
                return progress.of(sink.close()).await;
            }
            next = outbox.try_take();
        }
        progress.of(sink.flush()).await?;
    }
    progress.of(sink.close()).await
}

/// Bounds each write: a client has to take something now and then.
struct Progress<'a> {
    within: Duration,
    metrics: &'a RelayMetrics,
}

impl Progress<'_> {
    async fn of(&self, write: impl Future<Output = Result<(), Error>>) -> Result<(), NotWritten> {
        if let Ok(written) = timeout(self.within, write).await {
            return written.map_err(NotWritten::Failed);
        }
        let slow_clients = &self.metrics.slow_clients;
        slow_clients.with_label_values(&["disconnected"]).inc();
        Err(NotWritten::TooSlow)
    }
}

fn frame(outgoing: Outgoing) -> Message {
    match outgoing {
        Outgoing::Text(text) => Message::text(text),
        Outgoing::Event { head, event } => Message::text([&*head, &*event, "]"].concat()),
        Outgoing::Ping => Message::Ping(Bytes::new()),
        Outgoing::Close { code, reason } => Message::Close(Some(CloseFrame {
            code: CloseCode::from(code),
            reason: reason.into_owned().into(),
        })),
    }
}

/// Throws away what the client is still sending, for a moment. A connection that is closed on
/// unread data is reset, and a reset takes the last messages with it.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut S) {
    let lingering = async {
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    match timeout(LINGER_TIMEOUT, lingering).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::trace!(error = %error, "a client did not wait for the end"),
        Err(_) => tracing::trace!("a client goes on after the end"),
    }
}
