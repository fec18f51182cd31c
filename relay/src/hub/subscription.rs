//! One subscription: its filters, and where it is between its stored and its live events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::RelayMessage;
use bigbrotr_schema::store::EventNumber;

use super::seen::Seen;
use crate::limits::{HELD_BACK_BYTES, HELD_BACK_EVENTS};
use crate::outbox::{Full, Outbox, Outgoing};

/// A new event on its way to subscribers.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    /// Where it is in the database; ephemeral events have none.
    pub(crate) number: Option<EventNumber>,
    /// Its JSON.
    pub(crate) json: Arc<str>,
}

/// What became of an event given to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It does not match, was sent as a stored event, or the subscription has ended.
    NotWanted,
    /// It is in the client's queue, or held back until the stored events are sent.
    Queued,
    /// There was no room for it.
    TooSlow,
}

/// A client could not take live events as fast as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSlow;

/// A subscription of one client.
#[derive(Debug)]
pub(crate) struct Subscription {
    sub_id: String,
    /// `["EVENT","id",`: how every event's message begins.
    head: Arc<str>,
    filters: Vec<Filter>,
    outbox: Arc<Outbox>,
    phase: Mutex<Phase>,
}

#[derive(Debug)]
enum Phase {
    /// Stored events are being sent.
    Stored(HeldBack),
    /// Live events go straight to the client, but for those that it has as stored ones.
    Live { seen: Seen },
    /// Over.
    Ended,
}

/// Live events that came while stored ones were being sent.
#[derive(Debug, Default)]
struct HeldBack {
    events: Vec<Live>,
    bytes: usize,
    overflow: bool,
}

impl HeldBack {
    fn put(&mut self, live: &Live) {
        self.bytes += live.json.len();
        if self.events.len() >= HELD_BACK_EVENTS || self.bytes > HELD_BACK_BYTES {
            self.overflow = true;
            self.events = Vec::new();
        }
        if !self.overflow {
            self.events.push(live.clone());
        }
    }
}

impl Subscription {
    pub(crate) fn new(sub_id: String, filters: Vec<Filter>, outbox: Arc<Outbox>) -> Self {
        let head = RelayMessage::Event {
            sub_id: sub_id.as_str().into(),
            event: "",
        };
        Self {
            head: head.to_json().trim_end_matches(']').into(),
            sub_id,
            filters,
            outbox,
            phase: Mutex::new(Phase::Stored(HeldBack::default())),
        }
    }

    pub(crate) fn sub_id(&self) -> &str {
        &self.sub_id
    }

    pub(crate) fn filters(&self) -> &[Filter] {
        &self.filters
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(*self.lock(), Phase::Ended)
    }

    /// Makes the message that carries an event.
    pub(crate) fn message(&self, json: Arc<str>) -> Outgoing {
        Outgoing::Event {
            head: self.head.clone(),
            event: json,
        }
    }

    /// Takes a new event, if it matches.
    pub(crate) fn deliver(&self, event: &Event, live: &Live) -> Delivery {
        if !self.filters.iter().any(|filter| is_wanted(filter, event)) {
            return Delivery::NotWanted;
        }
        match &mut *self.lock() {
            Phase::Ended => Delivery::NotWanted,
            Phase::Stored(held_back) => {
                held_back.put(live);
                Delivery::Queued
            }
            Phase::Live { seen } => {
                if live.number.is_some_and(|number| seen.takes(number)) {
                    return Delivery::NotWanted;
                }
                match self.outbox.offer(self.message(live.json.clone())) {
                    Ok(()) => Delivery::Queued,
                    Err(Full) => Delivery::TooSlow,
                }
            }
        }
    }

    /// Goes from stored to live: sends what was held back, unless it was sent as stored.
    ///
    /// `seen` are the events that do not come live; `still_to_come` keeps those of them that are yet
    /// to be delivered here.
    pub(crate) fn go_live(
        &self,
        mut seen: Seen,
        still_to_come: impl FnOnce(&mut Seen),
    ) -> Result<(), TooSlow> {
        let mut phase = self.lock();
        let Phase::Stored(held_back) = &mut *phase else {
            return Ok(());
        };
        let held_back = std::mem::take(held_back);
        if held_back.overflow {
            *phase = Phase::Ended;
            return Err(TooSlow);
        }
        for live in held_back.events {
            if live.number.is_some_and(|number| seen.has(number)) {
                continue;
            }
            if self.outbox.offer(self.message(live.json)).is_err() {
                *phase = Phase::Ended;
                return Err(TooSlow);
            }
        }
        still_to_come(&mut seen);
        *phase = Phase::Live { seen };
        Ok(())
    }

    /// Ends the subscription: no event is delivered any more.
    pub(crate) fn end(&self) {
        *self.lock() = Phase::Ended;
    }

    /// Tells the client that the subscription has ended. Once per subscription at most, which
    /// bounds what is forced upon the queue.
    pub(crate) fn tell_closed(&self, message: String) {
        let closed = RelayMessage::Closed {
            sub_id: self.sub_id.as_str().into(),
            message,
        };
        self.outbox.force(Outgoing::Text(closed.to_json()));
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A search (NIP-50) is for stored events: words are for the database to find.
fn is_wanted(filter: &Filter, event: &Event) -> bool {
    filter.search.is_none() && filter.matches(event)
}

#[cfg(test)]
mod tests {
    use bigbrotr_core::event::{EventId, Pubkey};

    use super::*;

    fn event(n: u8) -> Event {
        Event {
            id: EventId([n; 32]),
            pubkey: Pubkey([1; 32]),
            created_at: i64::from(n),
            kind: 1,
            tags: Vec::new(),
            content: String::new(),
            sig: [0; 64],
        }
    }

    fn live(n: u8) -> Live {
        Live {
            number: Some(EventNumber::Relay(i64::from(n))),
            json: format!("{{\"n\":{n}}}").into(),
        }
    }

    fn subscription(messages: usize) -> (Subscription, Arc<Outbox>) {
        let outbox = Arc::new(Outbox::new(messages, 1_000_000));
        let subscription =
            Subscription::new("a\"]".into(), vec![Filter::default()], outbox.clone());
        (subscription, outbox)
    }

    fn drain(outbox: &Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.try_take())
            .map(|message| match message {
                Outgoing::Event { head, event } => format!("{head}{event}]"),
                Outgoing::Text(text) => text,
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn nothing_is_lost_or_doubled_between_stored_and_live() {
        let (subscription, outbox) = subscription(10);
        // 1 is stored and was fanned out long ago; 2 is stored and comes while the stored events
        // are sent; 3 is stored and comes after; 4 is new and comes while they are sent.
        subscription.deliver(&event(2), &live(2));
        subscription.deliver(&event(4), &live(4));
        let mut seen = Seen::new(Arc::new(vec![2, 3]));
        seen.note(EventNumber::Relay(1));
        let gone_live = subscription.go_live(seen, |seen| {
            seen.retain(|number| number == EventNumber::Relay(3));
        });
        assert_eq!(gone_live, Ok(()));
        assert_eq!(drain(&outbox), [r#"["EVENT","a\"]",{"n":4}]"#]);
        assert_eq!(
            subscription.deliver(&event(3), &live(3)),
            Delivery::NotWanted
        );
        assert_eq!(subscription.deliver(&event(5), &live(5)), Delivery::Queued);
        assert_eq!(drain(&outbox), [r#"["EVENT","a\"]",{"n":5}]"#]);
    }

    #[test]
    fn too_many_live_events_meanwhile_end_the_subscription() {
        let (subscription, outbox) = subscription(10_000);
        for _ in 0..=HELD_BACK_EVENTS {
            subscription.deliver(&event(1), &live(1));
        }
        let gone_live = subscription.go_live(Seen::default(), |_| {});
        assert_eq!(gone_live, Err(TooSlow));
        assert!(subscription.is_ended() && drain(&outbox).is_empty());
    }

    #[test]
    fn a_full_queue_is_reported_and_an_ended_subscription_takes_nothing() {
        let (subscription, outbox) = subscription(1);
        subscription.go_live(Seen::default(), |_| {}).unwrap();
        assert_eq!(subscription.deliver(&event(1), &live(1)), Delivery::Queued);
        assert_eq!(subscription.deliver(&event(2), &live(2)), Delivery::TooSlow);
        subscription.end();
        subscription.tell_closed("error: too slow".into());
        assert_eq!(
            subscription.deliver(&event(3), &live(3)),
            Delivery::NotWanted
        );
        assert_eq!(drain(&outbox)[1], r#"["CLOSED","a\"]","error: too slow"]"#);
    }
}
