//! Why a turn on a relay ended early.

use bigbrotr_schema::error::StoreError;

use super::scan::ScanError;
use crate::session::{AuthFailure, PageEnd, PageLimit, SessionError};

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
            Self::Store(_) => "database",
        }
    }

    /// Says whether the failure tells nothing about the relay.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Self::Connect(error) | Self::Disconnected(error) => error.is_ours(),
            Self::Store(_) => true,
            _ => false,
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
