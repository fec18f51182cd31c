//! Asking one candidate, and whose fault it is when that fails.

use std::io;

use bigbrotr_core::relay_url::RelayUrl;

use super::config::ValidatorConfig;
use super::limits::MAX_SESSION_BYTES;
use crate::dial::websocket::WebSocketLimits;
use crate::dial::{DialError, Dialer, Phase, ResolveError};
use crate::session::{Session, SessionConfig, SessionError};

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

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The candidate's: something was there and is no relay, or said so.
    Candidate,
    /// The candidate's too, though nothing was reached: its name does not exist.
    Name,
    /// Ours: it was not even tried.
    Ours,
    /// The candidate's if we have a network: nothing came back.
    Unclear,
}

impl Proof {
    /// Says whether something on the network answered, whatever it was.
    pub(super) fn shows_network(self) -> bool {
        matches!(
            self,
            Self::Relay { .. }
                | Self::None {
                    fault: Fault::Candidate,
                    ..
                }
        )
    }
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
                fault: fault(&error),
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
            fault: Fault::Candidate,
        }
    }
}

/// Says whose fault it is that no WebSocket could be opened.
fn fault(error: &SessionError) -> Fault {
    let SessionError::Dial(error) = error else {
        return Fault::Candidate;
    };
    if error.is_ours() {
        return Fault::Ours;
    }
    match error {
        DialError::Resolve { source, .. } => match source {
            ResolveError::TimedOut | ResolveError::Failed { .. } => Fault::Unclear,
            ResolveError::InvalidName { .. } | ResolveError::NotFound | ResolveError::NoAddress => {
                Fault::Name
            }
        },
        DialError::SpecialAddress { .. } => Fault::Name,
        DialError::Connect { source, .. } => match source.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Fault::Candidate,
            _ => Fault::Unclear,
        },
        // A proxy without a network of its own tells the same of every host.
        DialError::Proxy { .. } => Fault::Unclear,
        DialError::TimedOut { phase, .. } => match phase {
            Phase::Queue => Fault::Ours,
            Phase::Resolve | Phase::Tcp | Phase::Proxy => Fault::Unclear,
            Phase::Tls => Fault::Candidate,
        },
        _ => Fault::Candidate,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bigbrotr_core::network::Network;

    use super::*;

    fn of(error: DialError) -> Fault {
        fault(&SessionError::Dial(error))
    }

    fn resolve(source: ResolveError) -> DialError {
        DialError::Resolve {
            host: "relay.example.com".into(),
            source,
        }
    }

    fn connect(kind: io::ErrorKind) -> DialError {
        DialError::Connect {
            address: ([192, 0, 2, 1], 443).into(),
            source: kind.into(),
        }
    }

    fn timed_out(phase: Phase) -> DialError {
        DialError::TimedOut {
            phase,
            after: Duration::from_secs(1),
        }
    }

    #[test]
    fn only_what_something_out_there_did_is_held_against_a_candidate() {
        for (error, expected) in [
            (
                DialError::Disabled {
                    network: Network::Tor,
                },
                Fault::Ours,
            ),
            (
                DialError::Busy {
                    host: "x".into(),
                    waited: Duration::ZERO,
                },
                Fault::Ours,
            ),
            (timed_out(Phase::Queue), Fault::Ours),
            (connect(io::ErrorKind::AddrNotAvailable), Fault::Ours),
            (resolve(ResolveError::TimedOut), Fault::Unclear),
            (timed_out(Phase::Tcp), Fault::Unclear),
            (connect(io::ErrorKind::NetworkUnreachable), Fault::Unclear),
            (resolve(ResolveError::NotFound), Fault::Name),
            (connect(io::ErrorKind::ConnectionRefused), Fault::Candidate),
            (timed_out(Phase::Tls), Fault::Candidate),
        ] {
            let text = format!("{error:?}");
            assert_eq!(of(error), expected, "{text}");
        }
        let closed = SessionError::Disconnected { source: None };
        assert_eq!(fault(&closed), Fault::Candidate);
    }
}
