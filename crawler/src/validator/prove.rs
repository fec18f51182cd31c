//! Asking one candidate.

use bigbrotr_core::relay_url::RelayUrl;

use super::config::ValidatorConfig;
use super::limits::MAX_SESSION_BYTES;
use crate::dial::Dialer;
use crate::dial::websocket::WebSocketLimits;
use crate::session::{Fault, ReadVerdict, Session, SessionConfig};

/// What a try came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It answered as a relay does, with this kind of message.
    Relay {
        /// The answer, from a closed set.
        answer: &'static str,
    },
    /// It did not.
    None {
        /// Why, from a closed set.
        reason: &'static str,
        /// Whose fault that is.
        fault: Fault,
    },
}

/// Asks a candidate for an event. We stay anonymous.
///
/// # Security
/// The candidate is a stranger's word: the dialer refuses special-purpose addresses, and what is
/// received is bounded in size and time.
pub(super) async fn prove(dialer: &Dialer, url: &RelayUrl, config: &ValidatorConfig) -> Proof {
    let limits = SessionConfig {
        websocket: WebSocketLimits {
            upgrade_timeout: config.open_timeout,
            ..WebSocketLimits::default()
        },
        send_timeout: config.read_timeout,
        max_bytes: Some(MAX_SESSION_BYTES),
        keys: None,
        ..SessionConfig::default()
    };
    let mut session = match Session::connect(dialer, url, &limits).await {
        Ok(session) => session,
        Err(error) => {
            return Proof::None {
                reason: error.reason(),
                fault: error.fault(),
            };
        }
    };
    let verdict = session.probe_read(config.read_timeout).await.verdict;
    session.close().await;
    let answer = verdict.as_str();
    if verdict.is_answer() {
        Proof::Relay { answer }
    } else {
        Proof::None {
            reason: answer,
            fault: match verdict {
                ReadVerdict::Silent => Fault::Unclear,
                ReadVerdict::Disconnected(error) => error.fault(),
                _ => Fault::Theirs,
            },
        }
    }
}
