//! Writes and signs what customers get: feedback (7000) and results.
//!
//! The tags are those of [NIP-90].
//!
//! [NIP-90]: https://github.com/nostr-protocol/nips/blob/master/90.md

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::event::Event;
use nostr::event::{builder, tag};
use nostr::{EventBuilder, Keys, Kind, Tag, Timestamp};

use super::DvmConfig;
use super::envelope::Seal;
use super::question::Question;
use crate::ask::{FEEDBACK_KIND, Output, RESULT_OFFSET};
use crate::problem::Problem;

/// Our hand: the key that signs, and what every answer says of us.
pub(super) struct Desk {
    pub(super) keys: Keys,
    pub(super) clock: SharedClock,
    relay_url: String,
    keep_seconds: u64,
    price_msats: u64,
}

/// An event that could not be written: a defect of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeskError {
    /// A tag is empty.
    #[error("cannot write a tag")]
    Tag(#[from] tag::Error),
    /// The signature failed.
    #[error("cannot sign an event")]
    Sign(#[from] builder::Error),
}

impl Desk {
    pub(super) fn new(config: &DvmConfig, keys: Keys, clock: SharedClock) -> Self {
        Self {
            keys,
            clock,
            relay_url: config.relay_url.clone(),
            keep_seconds: config.keep_answers.as_secs(),
            price_msats: config.price_msats,
        }
    }

    /// Feedback: the job is taken.
    pub(super) fn processing(&self, request: &Event) -> Result<Event, DeskError> {
        let status = vec![text("status"), text("processing")];
        self.answer(FEEDBACK_KIND, request, String::new(), vec![status])
    }

    /// Feedback: the job is done; the result is there. Partly, where a list had to be cut.
    pub(super) fn success(&self, request: &Event, rows: Option<usize>) -> Result<Event, DeskError> {
        let status = match rows {
            None => vec![text("status"), text("success")],
            Some(rows) => {
                let words = format!(
                    "the result ends after {rows} rows to stay within bounds: go on with its cursor"
                );
                vec![text("status"), text("partial"), words]
            }
        };
        self.answer(FEEDBACK_KIND, request, String::new(), vec![status])
    }

    /// Feedback: the job has to be paid for first.
    pub(super) fn payment_required(&self, request: &Event) -> Result<Event, DeskError> {
        let words = "zap the request, or this event, with the amount: the job begins with the \
                     receipt (NIP-57)";
        let tags = vec![
            vec![text("status"), text("payment-required"), text(words)],
            vec![text("amount"), self.price_msats.to_string()],
        ];
        self.answer(FEEDBACK_KIND, request, String::new(), tags)
    }

    /// Feedback: there is no answer, for this reason. The content is the error that REST gives.
    pub(super) fn error(
        &self,
        request: &Event,
        problem: &Problem,
        seal: Option<Seal>,
    ) -> Result<Event, DeskError> {
        let sealed = seal.map(|seal| seal.encrypt(&self.keys, &problem.json));
        // Of an encrypted question, not even the error's words are for everybody.
        let (message, content) = match sealed {
            None => (problem.message.as_str(), problem.json.clone()),
            Some(sealed) => (problem.code, sealed.unwrap_or_default()),
        };
        let mut tags = vec![vec![text("status"), text("error"), text(message)]];
        if seal.is_some() {
            tags.push(vec![text("encrypted")]);
        }
        self.answer(FEEDBACK_KIND, request, content, tags)
    }

    /// The result, with `content` as it will be read, encrypted already where `sealed`.
    pub(super) fn result(
        &self,
        request: &Event,
        question: &Question,
        content: String,
        sealed: bool,
        next: Option<String>,
    ) -> Result<Event, DeskError> {
        let mut tags = vec![vec![text("request"), request.to_json()]];
        if sealed {
            tags.push(vec![text("encrypted")]);
        } else {
            tags.extend(question.inputs.iter().cloned());
        }
        if self.price_msats > 0 {
            tags.push(vec![text("amount"), self.price_msats.to_string()]);
        }
        // JSON says it in `meta.next`.
        if let (Some(next), true) = (next, question.output != Output::Json) {
            tags.push(vec![text("cursor"), next]);
        }
        self.answer(request.kind + RESULT_OFFSET, request, content, tags)
    }

    fn answer(
        &self,
        kind: u16,
        request: &Event,
        content: String,
        mut tags: Vec<Vec<String>>,
    ) -> Result<Event, DeskError> {
        let mut reference = vec![text("e"), request.id.to_hex()];
        if !self.relay_url.is_empty() {
            reference.push(self.relay_url.clone());
        }
        tags.push(reference);
        tags.push(vec![text("p"), request.pubkey.to_hex()]);
        if self.keep_seconds > 0 {
            let expires_at = self.now().as_secs() + self.keep_seconds;
            tags.push(vec![text("expiration"), expires_at.to_string()]);
        }
        self.sign(kind, content, tags, self.now())
    }

    /// Signs an event with our key.
    pub(super) fn sign(
        &self,
        kind: u16,
        content: String,
        tags: Vec<Vec<String>>,
        created_at: Timestamp,
    ) -> Result<Event, DeskError> {
        let tags = tags
            .into_iter()
            .map(Tag::parse)
            .collect::<Result<Vec<Tag>, _>>()?;
        let event = EventBuilder::new(Kind::from_u16(kind), content)
            .tags(tags)
            .custom_created_at(created_at)
            // The customer may be ourselves.
            .allow_self_tagging()
            .sign_with_keys(&self.keys)?;
        Ok(Event::from(&event))
    }

    /// The time for `created_at`.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from(self.clock.now().unsigned_abs())
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bigbrotr_core::clock::ManualClock;
    use bigbrotr_schema::catalog::CatalogError;

    use super::*;
    use crate::ask::JobRequest;
    use crate::dvm::question::Form;

    fn desk(keep_answers: Duration) -> Desk {
        let config = DvmConfig {
            relay_url: "wss://relay.example.com".into(),
            keep_answers,
            ..DvmConfig::default()
        };
        let clock = Arc::new(ManualClock::new(1_700_000_000));
        Desk::new(&config, Keys::generate(), clock)
    }

    fn request() -> Event {
        let event = JobRequest::new("kinds.list")
            .to_event_builder()
            .unwrap()
            .sign_with_keys(&Keys::generate())
            .unwrap();
        Event::from(&event)
    }

    #[test]
    fn a_result_carries_request_reference_customer_and_input() {
        let (desk, request) = (desk(Duration::from_mins(1)), request());
        let question = Question::read(Form::Catalogue, &request.tags, "").unwrap();
        let result = desk
            .result(&request, &question, "{}".into(), false, Some("c".into()))
            .unwrap();
        result.verify().unwrap();
        assert_eq!((result.kind, result.created_at), (6450, 1_700_000_000));
        let (id, customer) = (request.id.to_hex(), request.pubkey.to_hex());
        let json = request.to_json();
        let expected: Vec<Vec<&str>> = vec![
            vec!["request", &json],
            vec!["i", "kinds.list", "text"],
            vec!["e", &id, "wss://relay.example.com"],
            vec!["p", &customer],
            vec!["expiration", "1700000060"],
        ];
        assert_eq!(result.tags, expected);
    }

    #[test]
    fn an_error_has_the_words_and_the_json_of_rest() {
        let (desk, request) = (desk(Duration::ZERO), request());
        let error = CatalogError::UnknownQuery { name: "x".into() };
        let json = error.to_json();
        let feedback = desk.error(&request, &error.into(), None).unwrap();
        assert_eq!((feedback.kind, &feedback.content), (7000, &json));
        assert_eq!(feedback.tags[0][..2], ["status", "error"]);
        assert!(feedback.tags[0][2].contains("there is no question named"));
        assert_eq!(feedback.tag_value("expiration"), None);
    }
}
