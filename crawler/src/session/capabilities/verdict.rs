//! What follows from the answers: pure judgement.
//!
//! A refusal for who we are or how often we come proves nothing about what the relay can do.

use bigbrotr_core::message::ReplyPrefix;

use super::Capability;

/// The first byte of every message of NIP-77.
const PROTOCOL_BYTE: u8 = 0x61;

/// How one question was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Not yet.
    Pending,
    /// As one hopes.
    Done,
    /// With what is no answer.
    Malformed,
    /// Refused, with a machine-readable prefix where there was one.
    Refused(Option<ReplyPrefix>),
    /// By an error that shows that the question was understood.
    Understood(Option<ReplyPrefix>),
}

impl Answer {
    pub(super) fn judge(self) -> Capability {
        match self {
            Self::Pending => Capability::Unknown("silent"),
            Self::Done => Capability::Yes,
            Self::Malformed => Capability::No("malformed"),
            Self::Refused(prefix) => refused(prefix, "closed"),
            Self::Understood(prefix) => match refused(prefix, "refused") {
                unsupported @ Capability::No("unsupported") => unsupported,
                other => Capability::Unknown(other.reason().unwrap_or("refused")),
            },
        }
    }

    /// Judges a question that a notice alone followed.
    pub(super) fn judge_notice(self) -> Capability {
        match self {
            Self::Refused(prefix) => refused(prefix, "notice"),
            other => other.judge(),
        }
    }
}

/// Tells "I do not know that" from "not for you" and "not now".
fn refused(prefix: Option<ReplyPrefix>, otherwise: &'static str) -> Capability {
    match prefix {
        None => Capability::No(otherwise),
        Some(
            prefix @ (ReplyPrefix::AuthRequired
            | ReplyPrefix::Restricted
            | ReplyPrefix::PaymentRequired
            | ReplyPrefix::RateLimited
            | ReplyPrefix::Blocked
            | ReplyPrefix::Error
            | ReplyPrefix::Pow
            | ReplyPrefix::Mute
            | ReplyPrefix::Duplicate),
        ) => Capability::Unknown(prefix.as_str()),
        Some(prefix @ (ReplyPrefix::Unsupported | ReplyPrefix::Invalid)) => {
            Capability::No(prefix.as_str())
        }
    }
}

/// Reads the first message of a reconciliation: hex, with the byte of the protocol.
pub(super) fn reconciled(message: &str) -> Answer {
    let first = message.get(..2).and_then(|hex| {
        let mut byte = [0];
        hex::decode_to_slice(hex, &mut byte).ok().map(|()| byte[0])
    });
    if first == Some(PROTOCOL_BYTE) {
        Answer::Done
    } else {
        Answer::Malformed
    }
}

pub(super) fn reconcile_error(message: &str) -> Answer {
    Answer::Understood(ReplyPrefix::of(message))
}

/// A search for a word that no event holds, and one for a word that many do.
#[derive(Debug)]
pub(super) struct Search {
    nonsense: Side,
    common: Side,
}

#[derive(Debug)]
struct Side {
    sub_id: String,
    /// An event came.
    found: bool,
    /// One that holds the word.
    fits: bool,
    over: bool,
    refused: Option<Answer>,
}

impl Side {
    fn new(sub_id: String) -> Self {
        Self {
            sub_id,
            found: false,
            fits: false,
            over: false,
            refused: None,
        }
    }
}

impl Search {
    pub(super) fn new(nonsense: String, common: String) -> Self {
        Self {
            nonsense: Side::new(nonsense),
            common: Side::new(common),
        }
    }

    pub(super) fn sub_ids(&self) -> impl Iterator<Item = &String> {
        [&self.nonsense.sub_id, &self.common.sub_id].into_iter()
    }

    fn side(&mut self, sub_id: &str) -> Option<&mut Side> {
        [&mut self.nonsense, &mut self.common]
            .into_iter()
            .find(|side| side.sub_id == sub_id)
    }

    pub(super) fn event(&mut self, sub_id: &str, fits: impl FnOnce() -> bool) {
        if let Some(side) = self.side(sub_id)
            && !side.found
        {
            (side.found, side.fits) = (true, fits());
        }
    }

    pub(super) fn ended(&mut self, sub_id: &str) {
        if let Some(side) = self.side(sub_id) {
            side.over = true;
        }
    }

    pub(super) fn closed(&mut self, sub_id: &str, prefix: Option<ReplyPrefix>) {
        if let Some(side) = self.side(sub_id) {
            side.over = true;
            side.refused.get_or_insert(Answer::Refused(prefix));
        }
    }

    pub(super) fn is_over(&self) -> bool {
        // Nonsense that was found is verdict enough.
        self.nonsense.found || self.nonsense.over && (self.common.over || self.common.found)
    }

    pub(super) fn judge(&self, silence: &'static str) -> Capability {
        let sides = [&self.nonsense, &self.common];
        if self.nonsense.found {
            Capability::No("ignored")
        } else if let Some(refused) = sides.into_iter().find_map(|side| side.refused) {
            refused.judge()
        } else if !self.is_over() {
            Capability::Unknown(silence)
        } else if self.common.fits {
            Capability::Yes
        } else if self.common.found {
            Capability::Unknown("no_match")
        } else {
            Capability::Unknown("nothing_found")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_who_we_are_proves_nothing() {
        for (prefix, expected) in [
            (
                Some(ReplyPrefix::AuthRequired),
                Capability::Unknown("auth-required"),
            ),
            (
                Some(ReplyPrefix::RateLimited),
                Capability::Unknown("rate-limited"),
            ),
            (
                Some(ReplyPrefix::Unsupported),
                Capability::No("unsupported"),
            ),
            (Some(ReplyPrefix::Invalid), Capability::No("invalid")),
            (None, Capability::No("closed")),
        ] {
            assert_eq!(Answer::Refused(prefix).judge(), expected);
        }
    }

    #[test]
    fn an_error_of_the_protocol_itself_is_no_proof_of_its_absence() {
        let judge = |message| reconcile_error(message).judge();
        assert_eq!(judge("blocked: too big"), Capability::Unknown("blocked"));
        assert_eq!(judge("whatever"), Capability::Unknown("refused"));
        assert_eq!(judge("unsupported: no"), Capability::No("unsupported"));
    }

    #[test]
    fn a_reconciliation_begins_with_its_byte() {
        assert_eq!(reconciled("6100000200"), Answer::Done);
        for message in ["", "6", "zz", "62", "ä61"] {
            assert_eq!(reconciled(message), Answer::Malformed, "{message}");
        }
    }

    fn search() -> Search {
        Search::new("a".into(), "b".into())
    }

    #[test]
    fn a_search_is_proven_by_what_it_finds_and_what_it_does_not() {
        let mut proven = search();
        proven.ended("a");
        assert!(!proven.is_over());
        proven.event("b", || true);
        assert!(proven.is_over());
        assert_eq!(proven.judge("silent"), Capability::Yes);

        let mut ignored = search();
        ignored.event("b", || true);
        ignored.event("a", || false);
        assert_eq!(ignored.judge("silent"), Capability::No("ignored"));

        let mut empty = search();
        empty.ended("a");
        empty.ended("b");
        assert_eq!(empty.judge("silent"), Capability::Unknown("nothing_found"));
        assert_eq!(search().judge("silent"), Capability::Unknown("silent"));

        let mut refused = search();
        refused.closed("a", Some(ReplyPrefix::Restricted));
        assert_eq!(refused.judge("silent"), Capability::Unknown("restricted"));
        let mut unknown = search();
        unknown.closed("b", None);
        assert_eq!(unknown.judge("silent"), Capability::No("closed"));
    }

    #[test]
    fn messages_of_other_subscriptions_are_none_of_ours() {
        let mut other = search();
        other.event("c", || true);
        other.ended("c");
        other.closed("c", None);
        assert!(!other.is_over());
    }
}
