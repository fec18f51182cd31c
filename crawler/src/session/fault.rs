//! Whose fault it is that no WebSocket could be opened.

use std::io;

use super::error::SessionError;
use crate::dial::websocket::UpgradeError;
use crate::dial::{DialError, ResolveError};

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The relay's: something was there and is no relay, or said so.
    Theirs,
    /// The relay's too, though nothing was reached: its name does not exist.
    Name,
    /// Ours: it was not even tried.
    Ours,
    /// The relay's if we have a network: nothing came back.
    Unclear,
}

impl SessionError {
    /// Says whose fault it is.
    pub fn fault(&self) -> Fault {
        let error = match self {
            SessionError::Dial(error) => error,
            SessionError::Upgrade(UpgradeError::TimedOut { .. })
            | SessionError::Silent { .. }
            | SessionError::SendTimedOut { .. } => return Fault::Unclear,
            _ => return Fault::Theirs,
        };
        if error.is_ours() {
            return Fault::Ours;
        }
        match error {
            DialError::Resolve { source, .. } => match source {
                ResolveError::TimedOut | ResolveError::Failed { .. } => Fault::Unclear,
                ResolveError::InvalidName { .. }
                | ResolveError::NotFound
                | ResolveError::NoAddress => Fault::Name,
            },
            DialError::Connect { source, .. } => match source.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Fault::Theirs,
                _ => Fault::Unclear,
            },
            // The latter two are also what a router, and a proxy, without a network tell of every
            // host.
            DialError::TimedOut { .. }
            | DialError::SpecialAddress { .. }
            | DialError::Proxy { .. } => Fault::Unclear,
            _ => Fault::Theirs,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bigbrotr_core::network::Network;

    use super::*;
    use crate::dial::Phase;

    fn of(error: DialError) -> Fault {
        SessionError::Dial(error).fault()
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
    fn only_what_something_out_there_did_is_held_against_a_relay() {
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
            (connect(io::ErrorKind::ConnectionRefused), Fault::Theirs),
            (timed_out(Phase::Tls), Fault::Unclear),
        ] {
            let text = format!("{error:?}");
            assert_eq!(of(error), expected, "{text}");
        }
        let closed = SessionError::Disconnected { source: None };
        assert_eq!(closed.fault(), Fault::Theirs);
    }
}
