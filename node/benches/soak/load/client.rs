//! A connection to the node from an address of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// How long a client waits for a connection, and for room to send.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects from this address; `None` when that is refused.
pub(super) async fn connect(to: SocketAddr, from: Ipv4Addr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::from((from, 0))).ok()?;
    timeout(PATIENCE, socket.connect(to)).await.ok()?.ok()
}

/// A WebSocket.
pub(super) struct Client(WebSocketStream<TcpStream>);

impl Client {
    /// Connects from this address; `None` when that is refused.
    pub(super) async fn connect(to: SocketAddr, from: Ipv4Addr) -> Option<Self> {
        let stream = connect(to, from).await?;
        let opening = tokio_tungstenite::client_async(format!("ws://{to}/"), stream);
        let (ws, _) = timeout(PATIENCE, opening).await.ok()?.ok()?;
        Some(Self(ws))
    }

    /// Sends; `None` when the connection is over.
    pub(super) async fn send(&mut self, message: Message) -> Option<()> {
        let sent = timeout(PATIENCE, self.0.send(message)).await;
        sent.ok()?.ok()
    }

    /// Sends text.
    pub(super) async fn say(&mut self, text: impl Into<String>) -> Option<()> {
        self.send(Message::text(text.into())).await
    }

    /// Waits for the next text, this long at most.
    pub(super) async fn next(&mut self, patience: Duration) -> Option<String> {
        let next = async {
            loop {
                if let Message::Text(text) = self.0.next().await?.ok()? {
                    return Some(text.to_string());
                }
            }
        };
        timeout(patience, next).await.ok()?
    }
}
