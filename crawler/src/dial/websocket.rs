//! The WebSocket upgrade over a dialled connection ([RFC 6455]), with bounds on what may come.
//!
//! No extensions are offered, so no compressed frame can explode.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455

use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error as WsError};

use super::stream::{DialStream, ReadCapReached};
use crate::limits;

/// What we call ourselves to relays, so that operators can tell who reads them.
pub const DEFAULT_USER_AGENT: &str = concat!(
    "BigBrotr/",
    env!("CARGO_PKG_VERSION"),
    " (+",
    env!("CARGO_PKG_REPOSITORY"),
    ")"
);

/// A WebSocket over a dialled connection.
pub type WebSocket = WebSocketStream<DialStream>;

/// Bounds of one WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// The largest message that is received, bytes.
    pub max_message_bytes: usize,
    /// The largest frame that is received, bytes; refused before it is read.
    pub max_frame_bytes: usize,
    /// The longest wait for the upgrade.
    pub upgrade_timeout: Duration,
    /// The `User-Agent` header; left out when empty or not printable ASCII.
    pub user_agent: String,
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: limits::MAX_MESSAGE_BYTES,
            max_frame_bytes: limits::MAX_MESSAGE_BYTES,
            upgrade_timeout: limits::UPGRADE_TIMEOUT,
            user_agent: DEFAULT_USER_AGENT.to_owned(),
        }
    }
}

/// Why a connection did not become a WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// No answer in time.
    #[error("no answer to the websocket upgrade within {after:?}")]
    TimedOut {
        /// The bound.
        after: Duration,
    },
    /// The server answered with another HTTP status.
    #[error("websocket upgrade refused with http status {status}")]
    Refused {
        /// The status.
        status: u16,
    },
    /// The server answered with what is no upgrade.
    #[error("answer to the websocket upgrade cannot be understood")]
    Protocol(#[source] Box<WsError>),
    /// The connection broke.
    #[error("connection broke during the websocket upgrade")]
    Io(#[source] std::io::Error),
}

impl UpgradeError {
    /// Names the reason from a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "upgrade_timeout",
            Self::Refused { .. } => "upgrade_refused",
            Self::Protocol(_) => "upgrade_protocol",
            Self::Io(error) if ReadCapReached::in_chain(error).is_some() => "byte_cap",
            Self::Io(_) => "upgrade_broken",
        }
    }

    fn of(error: WsError) -> Self {
        match error {
            WsError::Http(response) => Self::Refused {
                status: response.status().as_u16(),
            },
            WsError::Io(error) => Self::Io(error),
            other => Self::Protocol(Box::new(other)),
        }
    }
}

/// Makes a WebSocket of a connection; tells what that took.
///
/// # Security
/// The answer's head is bounded by the library, messages by `limits`.
pub async fn upgrade(
    stream: DialStream,
    url: &str,
    limits: &WebSocketLimits,
) -> Result<(WebSocket, Duration), UpgradeError> {
    let mut request = url.into_client_request().map_err(UpgradeError::of)?;
    if let Ok(agent) = HeaderValue::from_str(&limits.user_agent)
        && !agent.is_empty()
    {
        request.headers_mut().insert(USER_AGENT, agent);
    }
    let started = Instant::now();
    let handshake =
        tokio_tungstenite::client_async_with_config(request, stream, Some(config(limits)));
    match tokio::time::timeout(limits.upgrade_timeout, handshake).await {
        Ok(Ok((socket, _response))) => Ok((socket, started.elapsed())),
        Ok(Err(error)) => Err(UpgradeError::of(error)),
        Err(_) => Err(UpgradeError::TimedOut {
            after: limits.upgrade_timeout,
        }),
    }
}

fn config(limits: &WebSocketLimits) -> tungstenite::protocol::WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(limits::READ_BUFFER_BYTES)
        .write_buffer_size(limits::WRITE_BUFFER_BYTES)
        .max_write_buffer_size(limits::MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(limits.max_message_bytes))
        .max_frame_size(Some(limits.max_frame_bytes))
}
