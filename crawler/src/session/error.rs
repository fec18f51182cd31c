//! Why a conversation did not begin, or ended.

use std::io;
use std::time::Duration;

use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::dial::websocket::UpgradeError;
use crate::dial::{DialError, ReadCapReached};
use crate::limits::KEPT_TEXT_CHARS;

/// Why a conversation did not begin, or ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No connection.
    #[error("cannot connect")]
    Dial(#[from] DialError),
    /// The connection did not become a WebSocket.
    #[error("cannot upgrade to a websocket")]
    Upgrade(#[from] UpgradeError),
    /// The relay closed the WebSocket.
    #[error("relay closed the connection (code {code:?}): {reason:?}")]
    Closed {
        /// The close code, if there was one.
        code: Option<u16>,
        /// The relay's reason, shortened.
        reason: String,
    },
    /// The connection ended without a close.
    #[error("connection was lost")]
    Disconnected {
        /// Why, if the system tells.
        #[source]
        source: Option<io::Error>,
    },
    /// A message or frame larger than allowed.
    #[error("relay sent a message of {bytes} bytes, {max_bytes} are allowed")]
    TooLarge {
        /// Its size as far as known.
        bytes: usize,
        /// The bound.
        max_bytes: usize,
    },
    /// More bytes than the session may receive.
    #[error("relay sent more than the session's {max_bytes} bytes")]
    ByteCap {
        /// The bound.
        max_bytes: u64,
    },
    /// What came is no WebSocket traffic.
    #[error("relay broke the websocket protocol")]
    Protocol(#[source] Box<WsError>),
    /// Nothing came for too long, not even the answer to a ping.
    #[error("relay was silent for {after:?}")]
    Silent {
        /// The bound.
        after: Duration,
    },
    /// The relay took no message from us.
    #[error("relay did not take a message within {after:?}")]
    SendTimedOut {
        /// The bound.
        after: Duration,
    },
    /// The session had ended before.
    #[error("session is over")]
    Over,
}

impl SessionError {
    /// Names the reason from a closed set, for metric labels and stored findings.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Dial(error) => error.reason(),
            Self::Upgrade(error) => error.reason(),
            Self::Closed { .. } => "closed",
            Self::Disconnected { .. } => "disconnected",
            Self::TooLarge { .. } => "message_too_large",
            Self::ByteCap { .. } => "byte_cap",
            Self::Protocol(_) => "websocket_protocol",
            Self::Silent { .. } => "silent",
            Self::SendTimedOut { .. } => "send_timeout",
            Self::Over => "over",
        }
    }

    /// Says whether another connection may succeed a moment later: something broke, and nobody has
    /// given an answer. A time-out had its time.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_transient(),
            Self::Upgrade(error) => matches!(error, UpgradeError::Io(_)),
            Self::Disconnected { .. } => true,
            _ => false,
        }
    }

    /// Says whether the failure is on our side and so tells nothing about the relay.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Dial(error) if error.is_ours())
    }

    pub(super) fn closed(frame: Option<&CloseFrame>) -> Self {
        Self::Closed {
            code: frame.map(|frame| frame.code.into()),
            reason: frame
                .map(|frame| shorten(frame.reason.as_str()))
                .unwrap_or_default(),
        }
    }
}

impl From<WsError> for SessionError {
    fn from(error: WsError) -> Self {
        match error {
            WsError::ConnectionClosed | WsError::AlreadyClosed => Self::closed(None),
            WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => Self::TooLarge {
                bytes: size,
                max_bytes: max_size,
            },
            WsError::Io(error) => match ReadCapReached::in_chain(&error) {
                Some(ReadCapReached { cap_bytes }) => Self::ByteCap {
                    max_bytes: cap_bytes,
                },
                None => Self::Disconnected {
                    source: Some(error),
                },
            },
            WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Self::Disconnected { source: None }
            }
            other => Self::Protocol(Box::new(other)),
        }
    }
}

/// Keeps the beginning of a relay's text for humans.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(KEPT_TEXT_CHARS).collect()
}
