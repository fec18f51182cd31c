//! The question what a relay can do beyond NIP-01, answered by trying: COUNT ([NIP-45]), search
//! ([NIP-50]) and reconciliation ([NIP-77]).
//!
//! Everything is asked at once, so that it costs one round trip, and followed by a fence, so that
//! the wait is short for a relay that does not know what it was asked.
//!
//! [NIP-45]: https://github.com/nostr-protocol/nips/blob/master/45.md
//! [NIP-50]: https://github.com/nostr-protocol/nips/blob/master/50.md
//! [NIP-77]: https://github.com/nostr-protocol/nips/blob/master/77.md

mod verdict;

use std::time::Duration;

use bigbrotr_core::event::Pubkey;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{ClientMessage, RelayMessage, ReplyPrefix};
use negentropy::{Negentropy, NegentropyStorageVector};
use serde::Deserialize;
use tokio::time::Instant;

use self::verdict::{Answer, Search};
use super::Session;
use super::fence::Fence;
use super::frame::Frame;
use crate::limits::CAPABILITY_GRACE;

/// Whether a relay can do something, as trying showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// It did it.
    Yes,
    /// It said, or showed, that it cannot. Why, from a closed set.
    No(&'static str),
    /// Nothing was shown either way: a refusal for who we are, or silence. Why, from a closed set.
    Unknown(&'static str),
}

impl Capability {
    /// Names the verdict: `yes`, `no`, `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No(_) => "no",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Returns the reason, where there is one.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Yes => None,
            Self::No(reason) | Self::Unknown(reason) => Some(reason),
        }
    }
}

/// What is to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapabilityQuestions<'a> {
    /// COUNT.
    pub count: bool,
    /// Search, with a word that no event holds; `None` to leave it out.
    pub search: Option<&'a str>,
    /// Reconciliation.
    pub negentropy: bool,
    /// Whose events are counted and reconciled: somebody with few.
    pub author: Pubkey,
    /// Of which kind.
    pub kind: u16,
}

/// What came of it; `None` for what was not asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapabilityAnswers {
    /// COUNT.
    pub count: Option<Capability>,
    /// Search.
    pub search: Option<Capability>,
    /// Reconciliation.
    pub negentropy: Option<Capability>,
}

/// A word that some note on every larger relay holds.
const COMMON_WORD: &str = "nostr";

/// The questions under way.
struct Trial {
    count: Option<(String, Answer)>,
    negentropy: Option<(String, Answer)>,
    search: Option<Search>,
    fence: Fence,
    /// A notice may be the answer to anything: kept until it is known who got no other.
    notice: Option<Answer>,
}

impl Session {
    /// Tries what a relay can do. Takes no longer than `timeout`.
    ///
    /// # Security
    /// Whatever comes, little of it is kept, and the session's bounds hold.
    pub async fn probe_capabilities(
        &mut self,
        questions: &CapabilityQuestions<'_>,
        timeout: Duration,
    ) -> CapabilityAnswers {
        let deadline = Instant::now() + timeout;
        let (mut trial, messages) = self.trial(questions);
        let mut broken = None;
        for message in &messages {
            match tokio::time::timeout_at(deadline, self.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    return trial.conclude(Some(error.reason()));
                }
                // Half a message may be on its way: nothing can follow it.
                Err(_) => {
                    self.alive = false;
                    return trial.conclude(Some("send_timeout"));
                }
            }
        }
        while !trial.is_over() {
            let patience = trial.fence.patience(CAPABILITY_GRACE);
            let wake = patience.map_or(deadline, |patience| patience.min(deadline));
            if Instant::now() >= wake {
                break;
            }
            match self.next(wake).await {
                Ok(Some(frame)) => trial.take(&frame),
                Ok(None) => break,
                Err(error) => {
                    broken = Some(error.reason());
                    break;
                }
            }
        }
        for message in trial.farewells() {
            let sent = tokio::time::timeout_at(deadline, self.send(&message)).await;
            if !matches!(sent, Ok(Ok(()))) {
                tracing::debug!(relay.url = %self.url, "relay left after the questions");
                self.alive = false;
                break;
            }
        }
        trial.conclude(broken)
    }

    /// Makes the messages that ask.
    fn trial(&mut self, questions: &CapabilityQuestions<'_>) -> (Trial, Vec<ClientMessage>) {
        let few = Filter {
            authors: Some([questions.author].into()),
            kinds: Some([questions.kind].into()),
            ..Filter::default()
        };
        let mut messages = Vec::new();
        let count = questions.count.then(|| {
            let sub_id = self.fresh_sub_id();
            messages.push(ClientMessage::Count {
                sub_id: sub_id.clone(),
                filters: vec![few.clone()],
            });
            (sub_id, Answer::Pending)
        });
        let opening = questions.negentropy.then(opening).flatten();
        let negentropy = opening.map(|message| {
            let sub_id = self.fresh_sub_id();
            messages.push(ClientMessage::NegOpen {
                sub_id: sub_id.clone(),
                filter: Box::new(few),
                message,
            });
            (sub_id, Answer::Pending)
        });
        let search = questions.search.map(|nonsense| {
            let [first, second] = [nonsense, COMMON_WORD].map(|word| {
                let sub_id = self.fresh_sub_id();
                messages.push(ClientMessage::Req {
                    sub_id: sub_id.clone(),
                    filters: vec![Filter {
                        search: Some(word.to_owned()),
                        kinds: Some([1].into()),
                        limit: Some(1),
                        ..Filter::default()
                    }],
                });
                sub_id
            });
            Search::new(first, second)
        });
        let fence = Fence::new(self.fresh_sub_id());
        messages.push(fence.request());
        let trial = Trial {
            count,
            negentropy,
            search,
            fence,
            notice: None,
        };
        (trial, messages)
    }
}

/// The first message of a reconciliation of nothing.
fn opening() -> Option<String> {
    let mut nothing = NegentropyStorageVector::new();
    nothing.seal().ok()?;
    let mut client = Negentropy::owned(nothing, 0).ok()?;
    client.initiate().ok().map(hex::encode)
}

impl Trial {
    /// Takes what the relay says, as far as it is an answer.
    fn take(&mut self, frame: &Frame) {
        let Ok(message) = frame.message() else {
            return self.take_malformed(frame);
        };
        if self.fence.take(&message) {
            return;
        }
        let at = |slot: &'_ Option<(String, Answer)>, id: &str| {
            slot.as_ref().is_some_and(|(ours, _)| ours == id)
        };
        match message {
            RelayMessage::Count { sub_id, .. } if at(&self.count, &sub_id) => {
                settle(&mut self.count, Answer::Done);
            }
            RelayMessage::NegMsg { sub_id, message } if at(&self.negentropy, &sub_id) => {
                settle(&mut self.negentropy, verdict::reconciled(&message));
            }
            RelayMessage::NegErr { sub_id, message } if at(&self.negentropy, &sub_id) => {
                settle(&mut self.negentropy, verdict::reconcile_error(&message));
            }
            RelayMessage::Closed { sub_id, message } => {
                let refused = Answer::Refused(ReplyPrefix::of(&message));
                if at(&self.count, &sub_id) {
                    settle(&mut self.count, refused);
                } else if at(&self.negentropy, &sub_id) {
                    settle(&mut self.negentropy, refused);
                } else if let Some(search) = &mut self.search {
                    search.closed(&sub_id, ReplyPrefix::of(&message));
                }
            }
            RelayMessage::Eose { sub_id } => {
                if let Some(search) = &mut self.search {
                    search.ended(&sub_id);
                }
            }
            RelayMessage::Event { sub_id, event } => {
                if let Some(search) = &mut self.search {
                    search.event(&sub_id, || holds_common_word(event));
                }
            }
            RelayMessage::Notice { message } => {
                self.notice = Some(Answer::Refused(ReplyPrefix::of(&message)));
            }
            _ => {}
        }
    }

    /// A COUNT that holds no number is an answer too.
    fn take_malformed(&mut self, frame: &Frame) {
        let head = frame.text().get(..256).unwrap_or(frame.text());
        let Some((id, _)) = &self.count else { return };
        let begins = format!("[\"COUNT\",\"{id}\"");
        let compact: String = head.split_whitespace().collect();
        if compact.starts_with(&begins) {
            settle(&mut self.count, Answer::Malformed);
        }
    }

    fn is_over(&self) -> bool {
        let settled = |slot: &Option<(String, Answer)>| {
            slot.as_ref()
                .is_none_or(|(_, answer)| *answer != Answer::Pending)
        };
        settled(&self.count)
            && settled(&self.negentropy)
            && self.search.as_ref().is_none_or(Search::is_over)
    }

    /// Lists what ends the requests that are still open.
    fn farewells(&self) -> Vec<ClientMessage> {
        let close = |sub_id: &String| ClientMessage::Close {
            sub_id: sub_id.clone(),
        };
        let mut messages = vec![self.fence.farewell()];
        if let Some(search) = &self.search {
            messages.extend(search.sub_ids().map(close));
        }
        if let Some((sub_id, Answer::Done)) = &self.negentropy {
            messages.push(ClientMessage::NegClose {
                sub_id: sub_id.clone(),
            });
        }
        messages
    }

    /// Judges. `broken` is why the session ended before all was answered: then a notice is no
    /// answer to what was never read.
    fn conclude(&self, broken: Option<&'static str>) -> CapabilityAnswers {
        let unanswered = match (broken, self.notice) {
            (None, Some(notice)) => notice.judge_notice(),
            (broken, _) => Capability::Unknown(broken.unwrap_or("silent")),
        };
        let slot = |slot: &Option<(String, Answer)>| {
            slot.as_ref().map(|(_, answer)| match answer {
                Answer::Pending => unanswered,
                answer => answer.judge(),
            })
        };
        let silence = broken.unwrap_or("silent");
        CapabilityAnswers {
            count: slot(&self.count),
            negentropy: slot(&self.negentropy),
            search: self.search.as_ref().map(|search| search.judge(silence)),
        }
    }
}

/// The first answer counts.
fn settle(slot: &mut Option<(String, Answer)>, answer: Answer) {
    if let Some((_, slot)) = slot
        && *slot == Answer::Pending
    {
        *slot = answer;
    }
}

fn holds_common_word(event: &str) -> bool {
    #[derive(Deserialize)]
    struct Note {
        content: String,
    }
    serde_json::from_str::<Note>(event)
        .is_ok_and(|note| note.content.to_lowercase().contains(COMMON_WORD))
}
