//! Why a turn on a relay ended early.

use bigbrotr_schema::error::StoreError;

use super::scan::ScanError;
use bigbrotr_core::message::ReplyPrefix;

use crate::dial::websocket::UpgradeError;
use crate::session::{AuthFailure, LiveEnd, PageEnd, PageLimit, ReconcileRefusal, SessionError};

/// Why a turn on a relay ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum TurnError {
    /// No conversation.
    #[error("cannot open a session")]
    Connect(#[source] SessionError),
    /// The conversation ended in the middle of a page.
    #[error("session ended in the middle of a page")]
    Disconnected(#[source] SessionError),
    /// The relay refused or ended the subscription.
    #[error("relay closed the subscription: {words:?}")]
    Closed {
        /// The relay's words, shortened.
        words: String,
    },
    /// The relay wants authentication that we cannot give.
    #[error("relay requires authentication")]
    Auth(#[source] AuthFailure),
    /// The relay sent neither events nor the end of the page.
    #[error("relay did not finish the page in time")]
    TimedOut,
    /// The relay sent more than is good for us.
    #[error("page is over its limit of {limit:?}")]
    LimitExceeded {
        /// Which limit.
        limit: PageLimit,
    },
    /// What the relay answers proves nothing.
    #[error("answers prove nothing")]
    Scan(#[from] ScanError),
    /// The relay gave events that are not true.
    #[error("{count} events of a page have wrong ids or signatures")]
    Invalid {
        /// How many.
        count: u64,
    },
    /// Reconciliation broke off, and may go on another time.
    #[error("reconciliation broke off")]
    Reconcile(#[source] ReconcileRefusal),
    /// Mostly messages that are no good.
    #[error("relay sends mostly rubbish")]
    Rubbish,
    /// The relay belongs to another worker by now.
    #[error("the lease ran out")]
    LeaseLost,
    /// The database refuses, for good.
    #[error("cannot record the turn")]
    Store(#[from] StoreError),
}

impl TurnError {
    /// Makes the error of a page that has not ended with EOSE.
    pub(super) fn of_page(end: PageEnd) -> Option<Self> {
        Some(match end {
            PageEnd::Eose => return None,
            PageEnd::Closed(words) => Self::Closed { words },
            PageEnd::AuthRequired(failure) => Self::Auth(failure),
            PageEnd::TimedOut => Self::TimedOut,
            PageEnd::Disconnected(error) => Self::Disconnected(error),
            PageEnd::LimitExceeded(PageLimit::Refused) => Self::Rubbish,
            PageEnd::LimitExceeded(limit) => Self::LimitExceeded { limit },
        })
    }

    /// Names the error from a closed set.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Connect(error) if error.is_ours() => "our_side",
            Self::Connect(_) => "unreachable",
            Self::Disconnected(_) => "disconnected",
            Self::Closed { .. } => "closed",
            Self::Auth(_) => "auth_required",
            Self::TimedOut => "timed_out",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::Scan(error) => error.reason(),
            Self::Invalid { .. } => "invalid_events",
            Self::Reconcile(_) => "reconciliation",
            Self::Rubbish => "rubbish",
            Self::LeaseLost => "lease_lost",
            Self::Store(_) => "database",
        }
    }

    /// Says whether the failure tells nothing about the relay.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Self::Connect(error)
            | Self::Disconnected(error)
            | Self::Reconcile(ReconcileRefusal::Disconnected(error)) => error.is_ours(),
            Self::Store(_) | Self::LeaseLost => true,
            _ => false,
        }
    }

    /// Says whether the relay should rest.
    pub(super) fn is_rubbish(&self) -> bool {
        matches!(self, Self::Rubbish)
    }

    /// Returns why the relay is to be left alone for long, from a closed set: it does not let us
    /// read. `failures` is how many turns failed before this one.
    pub(super) fn put_aside(&self, failures: u32) -> Option<&'static str> {
        match self {
            Self::Rubbish => Some("rubbish"),
            Self::Auth(AuthFailure::Session(_) | AuthFailure::Silent) => None,
            Self::Auth(AuthFailure::NotEnough { message } | AuthFailure::Refused { message }) => {
                Some(by_prefix(message).unwrap_or("auth_required"))
            }
            Self::Auth(_) => Some("auth_required"),
            // One word may be a mistake, or a bad moment.
            Self::Closed { words } => match by_prefix(words)? {
                "blocked" if failures == 0 => None,
                reason => Some(reason),
            },
            Self::Connect(SessionError::Upgrade(UpgradeError::Refused { status })) => {
                match status {
                    401 => Some("auth_required"),
                    402 => Some("payment_required"),
                    403 if failures > 0 => Some("blocked"),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Writes the whole chain of causes on one line, as a text that Postgres takes.
    pub(super) fn describe(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text.replace('\0', "\u{fffd}")
    }
}

impl From<LiveEnd> for TurnError {
    fn from(end: LiveEnd) -> Self {
        match end {
            LiveEnd::Closed(words) => Self::Closed { words },
            LiveEnd::TimedOut => Self::TimedOut,
            LiveEnd::Session(error) => Self::Disconnected(error),
        }
    }
}

/// Reads a refusal by its machine-readable prefix.
fn by_prefix(words: &str) -> Option<&'static str> {
    match ReplyPrefix::of(words)? {
        ReplyPrefix::PaymentRequired => Some("payment_required"),
        ReplyPrefix::Restricted => Some("restricted"),
        ReplyPrefix::Blocked => Some("blocked"),
        ReplyPrefix::AuthRequired => Some("auth_required"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(words: &str) -> TurnError {
        TurnError::Closed {
            words: words.to_owned(),
        }
    }

    #[test]
    fn refusals_are_read_by_their_prefix_and_not_by_their_words() {
        let aside = |words: &str| closed(words).put_aside(5);
        assert_eq!(aside("restricted: members only"), Some("restricted"));
        assert_eq!(aside("payment-required: 5 sats"), Some("payment_required"));
        assert_eq!(aside("blocked: spam"), Some("blocked"));
        assert_eq!(aside("error: author restricted, auth and payment"), None);
        assert_eq!(aside("rate-limited: blocked for a minute"), None);
        assert_eq!(aside("payment required"), None);
    }

    #[test]
    fn a_relay_that_blocks_once_gets_a_second_chance() {
        assert_eq!(closed("blocked: slow down").put_aside(0), None);
        assert_eq!(closed("restricted: no").put_aside(0), Some("restricted"));
    }

    #[test]
    fn a_door_that_wants_money_is_left() {
        let refused = |status| {
            let refused = UpgradeError::Refused { status };
            TurnError::Connect(SessionError::Upgrade(refused)).put_aside(1)
        };
        assert_eq!(refused(402), Some("payment_required"));
        assert_eq!(refused(401), Some("auth_required"));
        assert_eq!(refused(503), None);
    }
}
