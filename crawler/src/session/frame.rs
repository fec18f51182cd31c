//! One text message as it came, parsed only when asked for.

use bigbrotr_core::message::{RelayMessage, RelayMessageError};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::limits::MAX_CHALLENGE_BYTES;

/// A text message from a relay: owns the text.
#[derive(Debug, Clone)]
pub struct Frame(Utf8Bytes);

impl Frame {
    pub(super) fn new(text: Utf8Bytes) -> Self {
        Self(text)
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        self.0.as_str()
    }

    /// Parses the message. Events in it stay text.
    pub fn message(&self) -> Result<RelayMessage<'_>, RelayMessageError> {
        RelayMessage::parse(self.text())
    }

    /// Rules out most messages as challenges without parsing them.
    pub(super) fn may_be_auth(&self) -> bool {
        let text = self.text();
        // A challenge may be escaped, at most six bytes for each character.
        text.len() < MAX_CHALLENGE_BYTES * 6 + 64
            && text.get(..24).unwrap_or(text).contains("\"AUTH\"")
    }

    /// Says whether the message is of a reconciliation, by its first word.
    pub(super) fn is_of_reconciliation(&self) -> bool {
        self.begins_with("\"NEG-")
    }

    /// Rules out most messages as ends of subscriptions without parsing them.
    pub(super) fn may_be_closed(&self) -> bool {
        self.begins_with("\"CLOSED\"")
    }

    fn begins_with(&self, verb: &str) -> bool {
        let text = self.text().trim_start();
        text.strip_prefix('[')
            .is_some_and(|rest| rest.trim_start().starts_with(verb))
    }
}
