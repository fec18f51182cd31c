//! What follows from a relay's answers to the probes.

use bigbrotr_core::message::ReplyPrefix;

use super::super::result::Probe;
use crate::session::{PublishOutcome, ReadProbe, ReadVerdict};

pub(super) fn judge_read(probe: &ReadProbe) -> Probe {
    let ok = probe.verdict.is_readable();
    let reason = match &probe.verdict {
        ReadVerdict::Event | ReadVerdict::Eose => None,
        ReadVerdict::Closed {
            prefix: Some(prefix),
            ..
        } => Some(prefix.as_str()),
        // Nothing but a challenge: it wants to know who we are before it answers.
        ReadVerdict::Challenge => Some(ReplyPrefix::AuthRequired.as_str()),
        ReadVerdict::Disconnected(error) => Some(error.reason()),
        verdict => Some(verdict.as_str()),
    };
    Probe {
        ok,
        reason,
        rtt: probe.rtt,
    }
}

/// Says whether the relay takes events, why not, and whether it answered at all.
pub(super) fn judge_write(outcome: &PublishOutcome) -> (bool, Option<&'static str>, bool) {
    match outcome {
        PublishOutcome::Accepted { .. } => (true, None, true),
        // Nobody listened, or it was there: it was not refused.
        PublishOutcome::Rejected {
            prefix: Some(prefix @ (ReplyPrefix::Mute | ReplyPrefix::Duplicate)),
            ..
        } => (true, Some(prefix.as_str()), true),
        PublishOutcome::Rejected { prefix, .. } => (
            false,
            Some(prefix.map_or("refused", ReplyPrefix::as_str)),
            true,
        ),
        PublishOutcome::Silent => (false, Some("silent"), false),
        PublishOutcome::Disconnected(error) => (false, Some(error.reason()), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionError;

    fn rejected(prefix: Option<ReplyPrefix>) -> PublishOutcome {
        PublishOutcome::Rejected {
            prefix,
            message: String::new(),
        }
    }

    #[test]
    fn a_refusal_is_judged_by_its_prefix() {
        for (prefix, ok, reason) in [
            (Some(ReplyPrefix::Pow), false, "pow"),
            (Some(ReplyPrefix::AuthRequired), false, "auth-required"),
            (Some(ReplyPrefix::Blocked), false, "blocked"),
            (Some(ReplyPrefix::Mute), true, "mute"),
            (None, false, "refused"),
        ] {
            assert_eq!(judge_write(&rejected(prefix)), (ok, Some(reason), true));
        }
    }

    #[test]
    fn no_answer_is_no_time() {
        assert_eq!(
            judge_write(&PublishOutcome::Silent),
            (false, Some("silent"), false)
        );
        let lost = PublishOutcome::Disconnected(SessionError::Over);
        assert_eq!(judge_write(&lost), (false, Some("over"), false));
    }
}
