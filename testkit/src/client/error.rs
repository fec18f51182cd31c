//! What can go wrong for the client, told apart as tests need it.

use std::time::Duration;

use tokio_tungstenite::tungstenite;

use crate::limits::MAX_COLLECTED_EVENTS;

/// What went wrong for the client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not a `ws` or `wss` URL, or TLS without a root certificate.
    #[error("cannot use {url:?} as a relay URL")]
    Url {
        /// The URL as given.
        url: String,
    },
    /// TCP or TLS failed.
    #[error("connection failed")]
    Io(#[from] std::io::Error),
    /// The handshake or a frame failed.
    #[error("WebSocket failed")]
    WebSocket(#[source] Box<tungstenite::Error>),
    /// Nothing came in time.
    #[error("no {what} within {} ms", waited.as_millis())]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        waited: Duration,
    },
    /// The relay ended the connection, with this code if it sent a close frame.
    #[error("relay closed the connection (code {code:?})")]
    Closed {
        /// The status code of the close frame.
        code: Option<u16>,
    },
    /// More events than the client collects.
    #[error("more than {MAX_COLLECTED_EVENTS} events")]
    TooManyEvents,
}

impl From<tungstenite::Error> for ClientError {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
                Self::Closed { code: None }
            }
            error => Self::WebSocket(Box::new(error)),
        }
    }
}
