//! What refusals say, judged by prefix and wording.
//!
//! The wordings are those seen in the wild: most relays that cannot reconcile say so in a NOTICE,
//! each in its own words, and relays that can have no common prefix for "too many".

use bigbrotr_core::message::ReplyPrefix;

use super::ReconcileRefusal;
use crate::session::auth::AuthFailure;
use crate::session::error::shorten;

/// Says that the command is unknown or off.
const UNSUPPORTED: [&str; 22] = [
    "unknown cmd",
    "unknown command",
    "unknown message",
    "unknown envelope",
    "unknown verb",
    "unrecognized",
    "unrecognised",
    "unsupported",
    "not supported",
    "not implemented",
    "disabled",
    "not enabled",
    "bad msg",
    "bad message",
    "invalid message",
    "could not parse",
    "cannot parse",
    "failed to parse",
    "unable to parse",
    "allowed types",
    "protocol-error",
    "missing elements",
];

/// Says that the set is too large.
const TOO_MANY: [&str; 11] = [
    "too many query results",
    "too many results",
    "too many records",
    "too many events",
    "too many ids",
    "too many items",
    "too big",
    "too large",
    "results_too_big",
    "max_sync_events",
    "narrow",
];

/// Says that there is too much going on, whatever the size of the set.
const BUSY: [&str; 7] = [
    "too many concurrent",
    "too many neg",
    "too many open",
    "too many subscriptions",
    "too many sessions",
    "too many requests",
    "slow down",
];

pub(super) fn contains_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// Judges by prefix and wording; `None` where neither says anything.
pub(super) fn judge(message: &str) -> Option<ReconcileRefusal> {
    let words = shorten(message);
    let text = words.to_lowercase();
    let blocked = |too_many| ReconcileRefusal::Blocked {
        too_many,
        words: words.clone(),
    };
    let prefix = ReplyPrefix::of(&text);
    Some(match prefix {
        Some(ReplyPrefix::AuthRequired) => {
            ReconcileRefusal::AuthRequired(AuthFailure::NotEnough { message: words })
        }
        Some(ReplyPrefix::RateLimited) => ReconcileRefusal::Busy(words),
        Some(ReplyPrefix::Unsupported) => ReconcileRefusal::Unsupported(words),
        Some(ReplyPrefix::Restricted | ReplyPrefix::PaymentRequired) => blocked(false),
        _ if contains_any(&text, &BUSY) => ReconcileRefusal::Busy(words),
        _ if contains_any(&text, &TOO_MANY) => blocked(true),
        _ if contains_any(&text, &UNSUPPORTED) => ReconcileRefusal::Unsupported(words),
        Some(ReplyPrefix::Invalid) => ReconcileRefusal::Unsupported(words),
        Some(ReplyPrefix::Blocked | ReplyPrefix::Pow | ReplyPrefix::Mute) => blocked(false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_large_a_set_is_told_from_too_much_at_once() {
        for words in [
            "blocked: too many query results",
            "blocked: this query is too big",
            "blocked: query matches too many records (2431002 > 1000000)",
            "blocked: max_sync_events exceeded",
            "error: result set too large",
            "RESULTS_TOO_BIG",
        ] {
            let refusal = ReconcileRefusal::by_error(words);
            assert!(refusal.is_too_many(), "{words}: {refusal:?}");
            assert!(!refusal.is_permanent_for_now(), "{words}");
        }
        for words in [
            "rate-limited: too many requests (30 > 10)",
            "blocked: too many concurrent NEG REQs",
            "too many open negentropy sessions",
        ] {
            assert_eq!(
                ReconcileRefusal::by_error(words).reason(),
                "busy",
                "{words}"
            );
        }
    }

    #[test]
    fn every_other_refusal_has_its_reason() {
        for (words, reason) in [
            ("blocked: pubkey is banned", "blocked"),
            ("blocked: filters must specify at least one kind", "blocked"),
            ("restricted: members only", "blocked"),
            ("auth-required: who are you", "auth_required"),
            ("closed: you took too long to respond!", "closed"),
            ("closed: unknown subscription handle", "closed"),
            ("CLOSED", "closed"),
            ("error: could not read the database", "closed"),
            ("", "closed"),
            ("closed: nip77 disabled", "unsupported"),
            ("invalid: no filter like that", "unsupported"),
            ("PROTOCOL-ERROR: bad input", "unsupported"),
        ] {
            let refusal = ReconcileRefusal::by_error(words);
            assert_eq!(refusal.reason(), reason, "{words}");
            assert_eq!(
                refusal.is_permanent_for_now(),
                reason != "closed",
                "{words}"
            );
            assert!(!refusal.is_too_many(), "{words}");
        }
    }

    #[test]
    fn a_notice_about_something_else_is_no_refusal() {
        for words in [
            "welcome!",
            "the author of this relay is on holiday",
            "please donate",
            "",
        ] {
            assert!(ReconcileRefusal::by_notice(words).is_none(), "{words}");
        }
        for words in ["NEG-OPEN?", "negentropy is not for you", "ERROR: no"] {
            let refusal = ReconcileRefusal::by_notice(words).unwrap();
            assert_eq!(refusal.reason(), "notice", "{words}");
        }
    }
}
