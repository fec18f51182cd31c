//! What comes back for a request.

use nostr::{Event, EventId};
use serde_json::Value;

use super::{FEEDBACK_KIND, RESULT_OFFSET};

/// An event that answers a request, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The provider is at work.
    Processing,
    /// The provider gives no answer.
    Error {
        /// The error's name, where the provider names it as we do: `invalid_param`, `timeout`, …
        code: Option<String>,
        /// What went wrong, for humans.
        message: String,
    },
    /// The provider wants to be paid, or says something else that is no answer yet.
    Status {
        /// The status as written: `payment-required`, `partial`, `success`, …
        status: String,
        /// What it says about it; may be empty.
        message: String,
    },
    /// The answer.
    Result {
        /// The event's content: for JSON, the bytes that REST gives.
        content: String,
        /// The cursor of the next page, told in a tag where the content is no JSON.
        next: Option<String>,
    },
}

impl Reply {
    /// Reads an event; `None` when it does not answer this request.
    ///
    /// # Security
    /// Anyone can answer. The caller has verified the signature and decides by `event.pubkey`
    /// whether it listens to this provider.
    pub fn from_event(event: &Event, request: EventId) -> Option<Self> {
        let id = request.to_hex();
        let refers = event
            .tags
            .iter()
            .any(|tag| matches!(tag.as_slice(), [name, value, ..] if name == "e" && *value == id));
        if !refers {
            return None;
        }
        match event.kind.as_u16() {
            FEEDBACK_KIND => Some(Self::from_feedback(event)),
            kind if is_result(kind) => Some(Self::Result {
                content: event.content.clone(),
                next: tag(event, "cursor").and_then(|tag| tag.get(1)).cloned(),
            }),
            _ => None,
        }
    }

    fn from_feedback(event: &Event) -> Self {
        let part = |n: usize| {
            tag(event, "status")
                .and_then(|tag| tag.get(n))
                .cloned()
                .unwrap_or_default()
        };
        let (status, message) = (part(1), part(2));
        match status.as_str() {
            "processing" => Self::Processing,
            "error" => {
                let content: Option<Value> = serde_json::from_str(&event.content).ok();
                let code = content.as_ref().and_then(|c| c["error"]["code"].as_str());
                Self::Error {
                    code: code.map(ToOwned::to_owned),
                    message,
                }
            }
            _ => Self::Status { status, message },
        }
    }

    /// Says whether nothing more is to be expected from this provider.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Error { .. } | Self::Result { .. })
    }
}

fn is_result(kind: u16) -> bool {
    (5_000 + RESULT_OFFSET..6_000 + RESULT_OFFSET).contains(&kind)
}

fn tag<'a>(event: &'a Event, name: &str) -> Option<&'a [String]> {
    event
        .tags
        .iter()
        .map(nostr::Tag::as_slice)
        .find(|tag| tag.first().is_some_and(|first| first == name))
}

#[cfg(test)]
mod tests {
    use nostr::{EventBuilder, Keys, Kind, Tag};

    use super::*;

    fn event(kind: u16, content: &str, tags: &[&[&str]]) -> Event {
        EventBuilder::new(Kind::Custom(kind), content)
            .tags(
                tags.iter()
                    .map(|tag| Tag::parse(tag.iter().copied()).unwrap()),
            )
            .sign_with_keys(&Keys::generate())
            .unwrap()
    }

    #[test]
    fn only_events_that_refer_to_the_request_answer_it() {
        let (request, other) = (EventId::all_zeros(), "1".repeat(64));
        let (mine, other) = (request.to_hex(), other.as_str());
        let read = |kind, content, tags: &[&[&str]]| {
            Reply::from_event(&event(kind, content, tags), request)
        };
        assert_eq!(read(6450, "x", &[&["e", other]]), None);
        assert_eq!(read(1, "x", &[&["e", &mine]]), None);
        let result = read(6450, "x", &[&["e", &mine], &["cursor", "c"]]).unwrap();
        assert!(result.is_final());
        let expected = Reply::Result {
            content: "x".into(),
            next: Some("c".into()),
        };
        assert_eq!(result, expected);
    }

    #[test]
    fn feedback_is_read_by_its_status() {
        let request = EventId::all_zeros();
        let mine = request.to_hex();
        let read = |content: &str, status: &[&str]| {
            let event = event(7000, content, &[&["e", &mine], status]);
            Reply::from_event(&event, request).unwrap()
        };
        let processing = read("", &["status", "processing"]);
        assert_eq!(processing, Reply::Processing);
        assert!(!processing.is_final());
        assert_eq!(
            read(
                r#"{"error":{"code":"timeout"}}"#,
                &["status", "error", "too long"]
            ),
            Reply::Error {
                code: Some("timeout".into()),
                message: "too long".into()
            }
        );
        assert_eq!(
            read("", &["status", "payment-required", "21 sats"]),
            Reply::Status {
                status: "payment-required".into(),
                message: "21 sats".into()
            }
        );
        assert!(matches!(read("", &["status"]), Reply::Status { .. }));
    }
}
