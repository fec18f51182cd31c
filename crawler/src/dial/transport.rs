//! The dialer as nostr-sdk's WebSocket transport, so that its clients go through the same guard.
//!
//! The SDK's own connection mode (direct, proxy, Tor) is ignored: the dialer's configuration
//! decides by network.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_wsocket::message::CloseFrame;
use async_wsocket::{ConnectionMode, Message};
use futures_util::stream::SplitSink;
use futures_util::{Sink, SinkExt, StreamExt, future};
use nostr_sdk::Url;
use nostr_sdk::pool::transport::error::TransportError;
use nostr_sdk::pool::transport::websocket::{WebSocketSink, WebSocketStream, WebSocketTransport};
use nostr_sdk::util::BoxedFuture;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use super::Dialer;
use super::error::DialError;
use super::target::{Target, TargetError};
use super::websocket::{self, UpgradeError, WebSocket, WebSocketLimits};

/// Connects nostr-sdk clients through a [`Dialer`]: `ClientBuilder::websocket_transport` takes it.
#[derive(Debug, Clone)]
pub struct GuardedTransport {
    dialer: Dialer,
    limits: WebSocketLimits,
    max_bytes: Option<u64>,
}

/// Why the SDK got no connection.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("cannot dial")]
    Target(#[from] TargetError),
    #[error("cannot connect")]
    Dial(#[from] DialError),
    #[error("cannot upgrade")]
    Upgrade(#[from] UpgradeError),
    #[error("not connected within {0:?}")]
    TimedOut(Duration),
}

impl GuardedTransport {
    /// Makes a transport over the dialer.
    pub fn new(dialer: Dialer, limits: WebSocketLimits) -> Self {
        Self {
            dialer,
            limits,
            max_bytes: None,
        }
    }

    /// Ends each connection once it has received this many bytes.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    async fn open(&self, url: &Url) -> Result<WebSocket, ConnectError> {
        let connection = self.dialer.dial(&Target::from_url(url)?).await?;
        if let Some(bytes) = self.max_bytes {
            connection.stream.meter().cap_reads(bytes);
        }
        let (socket, _) = websocket::upgrade(connection.stream, url.as_str(), &self.limits).await?;
        Ok(socket)
    }
}

impl WebSocketTransport for GuardedTransport {
    fn support_ping(&self) -> bool {
        true
    }

    fn connect<'a>(
        &'a self,
        url: &'a Url,
        _mode: &'a ConnectionMode,
        timeout: Duration,
    ) -> BoxedFuture<'a, Result<(WebSocketSink, WebSocketStream), TransportError>> {
        Box::pin(async move {
            let socket = tokio::time::timeout(timeout, self.open(url))
                .await
                .unwrap_or(Err(ConnectError::TimedOut(timeout)))
                .map_err(TransportError::backend)?;
            let (sink, stream) = socket.split();
            let messages = stream.filter_map(|message| {
                future::ready(match message {
                    Ok(message) => from_socket(message).map(Ok),
                    Err(error) => Some(Err(TransportError::backend(error))),
                })
            });
            let sink: WebSocketSink = Box::new(TransportSink(sink));
            let stream: WebSocketStream = Box::pin(messages);
            Ok((sink, stream))
        })
    }
}

/// Takes the SDK's messages. Written out because the combinator for mapping sink errors panics
/// when polled after one.
struct TransportSink(SplitSink<WebSocket, WsMessage>);

impl Sink<Message> for TransportSink {
    type Error = TransportError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready_unpin(cx).map_err(TransportError::backend)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Message) -> Result<(), Self::Error> {
        self.0
            .start_send_unpin(to_socket(item))
            .map_err(TransportError::backend)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_flush_unpin(cx).map_err(TransportError::backend)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_close_unpin(cx).map_err(TransportError::backend)
    }
}

fn to_socket(message: Message) -> WsMessage {
    message.into()
}

fn from_socket(message: WsMessage) -> Option<Message> {
    Some(match message {
        WsMessage::Text(text) => Message::Text(text.as_str().to_owned()),
        WsMessage::Binary(data) => Message::Binary(data.to_vec()),
        WsMessage::Ping(data) => Message::Ping(data.to_vec()),
        WsMessage::Pong(data) => Message::Pong(data.to_vec()),
        WsMessage::Close(frame) => Message::Close(frame.map(|frame| CloseFrame {
            code: frame.code.into(),
            reason: frame.reason.as_str().to_owned(),
        })),
        // Raw frames are never read.
        WsMessage::Frame(_) => return None,
    })
}
