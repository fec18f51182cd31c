//! An event as a simulated relay keeps it: its JSON, shared, with the indexed fields beside it.

use std::sync::Arc;

use bigbrotr_core::event::{Event, EventId, KindClass, Pubkey};
use bigbrotr_core::filter::Filter;

/// A signed event as JSON. Cloning shares the text, so many relays can hold the same events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimEvent(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    id: EventId,
    pubkey: Pubkey,
    created_at: i64,
    kind: u16,
    json: Box<str>,
}

impl SimEvent {
    /// Returns the event's id.
    pub fn id(&self) -> EventId {
        self.0.id
    }

    /// Returns the author.
    pub fn pubkey(&self) -> Pubkey {
        self.0.pubkey
    }

    /// Returns when the event was made: Unix seconds.
    pub fn created_at(&self) -> i64 {
        self.0.created_at
    }

    /// Returns the kind.
    pub fn kind(&self) -> u16 {
        self.0.kind
    }

    /// Borrows the event's JSON, exactly as relays send it.
    pub fn json(&self) -> &str {
        &self.0.json
    }

    /// Returns the event itself.
    ///
    /// # Panics
    /// Never: the JSON was written from an [`Event`].
    pub fn event(&self) -> Event {
        Event::from_json(&self.0.json).expect("the JSON was written from an event")
    }

    /// Says whether relays do not store it.
    pub fn is_ephemeral(&self) -> bool {
        KindClass::of(self.0.kind) == KindClass::Ephemeral
    }

    /// Says whether the filter matches; parses the JSON only when tags decide.
    pub fn matches(&self, filter: &Filter) -> bool {
        filter
            .ids
            .as_ref()
            .is_none_or(|ids| ids.contains(&self.0.id))
            && filter
                .authors
                .as_ref()
                .is_none_or(|authors| authors.contains(&self.0.pubkey))
            && filter
                .kinds
                .as_ref()
                .is_none_or(|kinds| kinds.contains(&self.0.kind))
            && filter.since.is_none_or(|since| self.0.created_at >= since)
            && filter.until.is_none_or(|until| self.0.created_at <= until)
            && (filter.tags.is_empty()
                || Event::from_json(&self.0.json).is_ok_and(|event| filter.matches(&event)))
    }
}

impl From<&Event> for SimEvent {
    fn from(event: &Event) -> Self {
        Self(Arc::new(Inner {
            id: event.id,
            pubkey: event.pubkey,
            created_at: event.created_at,
            kind: event.kind,
            json: event.to_json().into_boxed_str(),
        }))
    }
}

impl From<Event> for SimEvent {
    fn from(event: Event) -> Self {
        Self::from(&event)
    }
}

impl From<&SimEvent> for SimEvent {
    fn from(event: &SimEvent) -> Self {
        event.clone()
    }
}
