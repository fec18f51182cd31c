//! Sorts what comes for a page into events, refusals and ends. Pure: it neither waits nor sends.

use std::collections::HashSet;
use std::time::Duration;

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{RelayMessage, ReplyPrefix};

use super::{Page, PageEnd, PageLimit, PageLimits};
use crate::limits;
use crate::session::Frame;
use crate::session::auth::AuthFailure;
use crate::session::error::shorten;

/// What was dropped from a page, counted by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// No message that a relay may send.
    pub unreadable: u64,
    /// For a subscription that was never ours.
    pub wrong_subscription: u64,
    /// Larger than allowed.
    pub too_large: u64,
    /// Not of an event's form.
    pub malformed: u64,
    /// Not what the filter asks for.
    pub no_match: u64,
    /// Came before in this page.
    pub duplicate: u64,
}

impl Refused {
    /// Lists the counts under names from a closed set.
    pub fn by_reason(&self) -> [(&'static str, u64); 6] {
        [
            ("unreadable", self.unreadable),
            ("wrong_subscription", self.wrong_subscription),
            ("too_large", self.too_large),
            ("malformed", self.malformed),
            ("no_match", self.no_match),
            ("duplicate", self.duplicate),
        ]
    }

    /// Counts all.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }
}

/// What a message means for the page.
pub(super) enum Step {
    Progress,
    Nothing,
    End(PageEnd),
}

/// A page in the making.
pub(super) struct Reader<'a> {
    pub(super) filter: &'a Filter,
    pub(super) limits: &'a PageLimits,
    events: Vec<Event>,
    seen: HashSet<EventId>,
    refused: Refused,
    too_large: Vec<(EventId, i64)>,
    late: u64,
    bytes: u64,
    notices: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(filter: &'a Filter, limits: &'a PageLimits) -> Self {
        Self {
            filter,
            limits,
            events: Vec::new(),
            seen: HashSet::new(),
            refused: Refused::default(),
            too_large: Vec::new(),
            late: 0,
            bytes: 0,
            notices: Vec::new(),
        }
    }

    pub(super) fn take(
        &mut self,
        frame: &Frame,
        ours: &str,
        was_ours: impl Fn(&str) -> bool,
    ) -> Step {
        self.bytes += frame.text().len() as u64;
        if self.bytes > self.limits.max_bytes {
            return Step::End(PageEnd::LimitExceeded(PageLimit::Bytes));
        }
        let taken = match frame.message() {
            Ok(RelayMessage::Event { sub_id, event }) if sub_id == ours => {
                match self.check(event) {
                    Ok(event) if self.events.len() < self.limits.max_events => {
                        self.events.push(event);
                        return Step::Progress;
                    }
                    Ok(_) => return Step::End(PageEnd::LimitExceeded(PageLimit::Events)),
                    Err(count) => Err(count),
                }
            }
            Ok(RelayMessage::Event { sub_id, event }) if was_ours(&sub_id) => {
                // What was published just now came on time: its subscription was open still.
                self.late += u64::from(!self.is_new(event));
                return Step::Progress;
            }
            Ok(RelayMessage::Event { .. }) => Err(Reason::WrongSubscription),
            Ok(RelayMessage::Eose { sub_id }) if sub_id == ours => {
                return Step::End(PageEnd::Eose);
            }
            Ok(RelayMessage::Closed { sub_id, message }) if sub_id == ours => {
                return Step::End(closed(&message));
            }
            Ok(RelayMessage::Notice { message }) => {
                if self.notices.len() < limits::KEPT_NOTICES {
                    self.notices.push(shorten(&message));
                }
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(_) => Err(Reason::Unreadable),
        };
        match taken {
            Ok(()) => Step::Nothing,
            Err(reason) => self.refuse(reason),
        }
    }

    /// Says whether an event is dated so late that the relay may not have had it when the page was
    /// asked for.
    fn is_new(&self, json: &str) -> bool {
        Event::from_json(json).is_ok_and(|event| {
            self.limits
                .new_from
                .is_some_and(|from| event.created_at >= from)
        })
    }

    fn check(&mut self, json: &str) -> Result<Event, Reason> {
        if json.len() > self.limits.max_event_bytes {
            // What it is cannot be verified without taking it, but may be noted as missing.
            if let Ok(event) = Event::from_json(json)
                && self.filter.matches(&event)
            {
                self.too_large.push((event.id, event.created_at));
            }
            return Err(Reason::TooLarge);
        }
        let Ok(event) = Event::from_json(json) else {
            return Err(Reason::Malformed);
        };
        if !self.filter.matches(&event) {
            return Err(Reason::NoMatch);
        }
        if self.seen.insert(event.id) {
            Ok(event)
        } else {
            Err(Reason::Duplicate)
        }
    }

    fn refuse(&mut self, reason: Reason) -> Step {
        let count = match reason {
            Reason::Unreadable => &mut self.refused.unreadable,
            Reason::WrongSubscription => &mut self.refused.wrong_subscription,
            Reason::TooLarge => &mut self.refused.too_large,
            Reason::Malformed => &mut self.refused.malformed,
            Reason::NoMatch => &mut self.refused.no_match,
            Reason::Duplicate => &mut self.refused.duplicate,
        };
        *count += 1;
        if self.refused.total() > self.limits.max_refused {
            return Step::End(PageEnd::LimitExceeded(PageLimit::Refused));
        }
        Step::Nothing
    }

    pub(super) fn page(self, end: PageEnd, took: Duration) -> Page {
        Page {
            events: self.events,
            end,
            refused: self.refused,
            too_large: self.too_large,
            late: self.late,
            bytes: self.bytes,
            notices: self.notices,
            took,
        }
    }
}

#[derive(Clone, Copy)]
enum Reason {
    Unreadable,
    WrongSubscription,
    TooLarge,
    Malformed,
    NoMatch,
    Duplicate,
}

fn closed(message: &str) -> PageEnd {
    let words = shorten(message);
    match ReplyPrefix::of(message) {
        Some(ReplyPrefix::AuthRequired) => {
            PageEnd::AuthRequired(AuthFailure::NotEnough { message: words })
        }
        _ => PageEnd::Closed(words),
    }
}
