//! What the two halves of the intake know of the archive without asking it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use bigbrotr_core::event::EventId;

use crate::limits::RECENT_EVENTS;
use crate::recent::{EventNum, Recent};

/// The events archived or met last, and those that are being written. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Memory(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    recent: Recent<EventId, EventNum>,
    in_flight: HashSet<EventId>,
    /// How often events had been removed when `recent` was filled: see
    /// [`crate::store::Store::removals`].
    removals: i64,
}

/// What the memory knows of some events.
#[derive(Debug)]
pub(super) struct Known {
    /// Those that are archived or about to be, with their numbers as far as those are known.
    pub(super) nums: HashMap<EventId, EventNum>,
    /// The others, each once.
    pub(super) unknown: Vec<EventId>,
    /// For how long the numbers may be relied on.
    pub(super) removals: i64,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            recent: Recent::new(RECENT_EVENTS),
            in_flight: HashSet::new(),
            removals: 0,
        })))
    }

    /// Divides ids into those that are known and the others.
    pub(super) fn look_up(&self, ids: impl Iterator<Item = EventId>) -> Known {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut nums, mut unknown) = (HashMap::new(), HashSet::new());
        for id in ids {
            if let Some(num) = state.recent.get(&id) {
                nums.insert(id, num);
            } else if state.in_flight.contains(&id) {
                nums.insert(id, None);
            } else {
                unknown.insert(id);
            }
        }
        Known {
            nums,
            unknown: unknown.into_iter().collect(),
            removals: state.removals,
        }
    }

    /// Notes events that are about to be written.
    pub(super) fn begin(&self, ids: HashSet<EventId>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .in_flight
            .extend(ids);
    }

    /// Notes that events are not about to be written any more.
    pub(super) fn end(&self, ids: &[EventId]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            state.in_flight.remove(id);
        }
    }

    /// Notes what is archived, as of so many removals. What was remembered before one of them is
    /// forgotten.
    pub(super) fn remember(&self, removals: i64, archived: impl Iterator<Item = (EventId, i64)>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.removals != removals {
            state.recent = Recent::new(RECENT_EVENTS);
            state.removals = removals;
        }
        for (id, num) in archived {
            if state.recent.get(&id) != Some(Some(num)) {
                state.recent.insert(id, Some(num));
            }
        }
    }
}
