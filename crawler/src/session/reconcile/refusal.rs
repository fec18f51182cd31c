//! Why a relay does not reconcile, or not to the end. Pure judgement.

mod words;

use self::words::{contains_any, judge};
use crate::session::auth::AuthFailure;
use crate::session::error::{SessionError, shorten};

/// Why a reconciliation did not begin, or ended early. Texts are the relay's, shortened.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileRefusal {
    /// The relay does not want to.
    #[error("relay refused to reconcile: {words:?}")]
    Blocked {
        /// Because the set is too large: a smaller window may be granted.
        too_many: bool,
        /// The relay's words.
        words: String,
    },
    /// Too often, or too many at once.
    #[error("relay is too busy to reconcile: {0:?}")]
    Busy(String),
    /// The relay ended the reconciliation, or it had ended before.
    #[error("relay ended the reconciliation: {0:?}")]
    Closed(String),
    /// Words for humans, and no answer.
    #[error("relay answered by a notice: {0:?}")]
    Notice(String),
    /// No answer, while another question was answered.
    #[error("relay did not answer the reconciliation")]
    Silent,
    /// The relay wants authentication, and that did not help.
    #[error("relay wants authentication before it reconciles")]
    AuthRequired(#[source] AuthFailure),
    /// The relay does not know the command, or has it switched off.
    #[error("relay does not reconcile: {0:?}")]
    Unsupported(String),
    /// What came is not the protocol that we speak.
    #[error("relay broke the protocol of reconciliation")]
    Protocol(#[from] NotNegentropy),
    /// No answer in the whole time.
    #[error("relay did not answer in time")]
    TimedOut,
    /// The session ended.
    #[error("session ended during the reconciliation")]
    Disconnected(#[from] SessionError),
    /// A bound was reached.
    #[error("reconciliation reached its bound: {0}")]
    LimitExceeded(#[from] ReconcileLimit),
}

/// How an answer is not negentropy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNegentropy {
    /// It is no hex.
    #[error("message is not hex")]
    Hex,
    /// It is of another version of the protocol.
    #[error("message is of protocol version {0:#04x}")]
    Version(u8),
    /// It cannot be read.
    #[error("message cannot be read")]
    Message(#[from] negentropy::Error),
    /// It is for a subscription that we never opened.
    #[error("message is for another subscription")]
    Subscription,
    /// It is not a message of NIP-77, though it begins like one.
    #[error("message lacks what it must have")]
    Form,
}

/// The bounds of a reconciliation that a relay can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ReconcileLimit {
    /// [`super::ReconcileLimits::max_bytes`].
    #[error("bytes")]
    Bytes,
    /// [`super::ReconcileLimits::max_rounds`].
    #[error("rounds")]
    Rounds,
    /// [`super::ReconcileLimits::max_ids`].
    #[error("ids")]
    Ids,
    /// [`super::ReconcileLimits::max_message_bytes`], or the largest WebSocket message; the
    /// session is over in the second case.
    #[error("message")]
    Message,
    /// Rounds in a row that told nothing new.
    #[error("progress")]
    Progress,
}

impl ReconcileRefusal {
    /// Names the reason from a closed set, for metric labels and stored findings.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Blocked { too_many: true, .. } => "too_many",
            Self::Blocked { .. } => "blocked",
            Self::Busy(_) => "busy",
            Self::Closed(_) => "closed",
            Self::Notice(_) => "notice",
            Self::Silent => "silent",
            Self::AuthRequired(_) => "auth_required",
            Self::Unsupported(_) => "unsupported",
            Self::Protocol(_) => "protocol",
            Self::TimedOut => "timed_out",
            Self::Disconnected(_) => "disconnected",
            Self::LimitExceeded(_) => "limit_exceeded",
        }
    }

    /// Says whether a smaller window may be reconciled where this one was not.
    pub fn is_too_many(&self) -> bool {
        matches!(
            self,
            Self::Blocked { too_many: true, .. }
                | Self::LimitExceeded(
                    ReconcileLimit::Bytes | ReconcileLimit::Rounds | ReconcileLimit::Ids
                )
        )
    }

    /// Says whether the same will be said tomorrow: fall back to paging and remember it for a
    /// while. What is neither this nor too many is worth another try.
    pub fn is_permanent_for_now(&self) -> bool {
        match self {
            Self::Blocked { too_many, .. } => !too_many,
            Self::Notice(_) | Self::Silent | Self::Unsupported(_) | Self::Protocol(_) => true,
            Self::AuthRequired(failure) => !matches!(failure, AuthFailure::Silent),
            Self::LimitExceeded(limit) => {
                matches!(limit, ReconcileLimit::Message | ReconcileLimit::Progress)
            }
            Self::Busy(_) | Self::Closed(_) | Self::TimedOut | Self::Disconnected(_) => false,
        }
    }

    /// Says whether the relay may still have the reconciliation open.
    pub(super) fn leaves_it_open(&self) -> bool {
        matches!(
            self,
            Self::Protocol(_) | Self::TimedOut | Self::LimitExceeded(_)
        )
    }

    /// The refusal of one that ended before.
    pub(super) fn ended() -> Self {
        Self::Closed("the reconciliation had ended".to_owned())
    }

    /// Judges NEG-ERR, and CLOSED, which relays send that know no NEG-ERR.
    pub(super) fn by_error(message: &str) -> Self {
        judge(message).unwrap_or_else(|| Self::Closed(shorten(message)))
    }

    /// Judges a NOTICE; `None` where it may be about anything.
    pub(super) fn by_notice(message: &str) -> Option<Self> {
        let unclear = || Self::Notice(shorten(message));
        let text = message.to_lowercase();
        // strfry begins so whatever went wrong with the message before.
        let of_ours = contains_any(&text, &["neg-", "negentropy"]) || text.starts_with("error:");
        judge(message).or_else(|| of_ours.then(unclear))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_a_smaller_window_keeps_asks_for_one() {
        use ReconcileLimit::{Bytes, Ids, Message, Progress, Rounds};
        for limit in [Bytes, Rounds, Ids, Message, Progress] {
            let refusal = ReconcileRefusal::from(limit);
            assert_ne!(refusal.is_too_many(), refusal.is_permanent_for_now());
        }
    }
}
