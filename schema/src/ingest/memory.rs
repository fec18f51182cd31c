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
    /// 0 stands for a number that is not known: an `Option` would take half as much again.
    recent: Recent<EventId, i64>,
    in_flight: HashSet<EventId>,
    /// How often events had been deleted from the archive before everything that is remembered;
    /// `None` before the first look.
    deletions: Option<i64>,
}

/// What the memory knows of some events.
#[derive(Debug)]
pub(super) struct Known {
    /// Those that are archived or about to be, with their numbers as far as those are known.
    pub(super) nums: HashMap<EventId, EventNum>,
    /// The others, each once.
    pub(super) unknown: Vec<EventId>,
    /// How many deletions the numbers know of.
    pub(super) deletions: Option<i64>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            recent: Recent::new(RECENT_EVENTS),
            in_flight: HashSet::new(),
            deletions: None,
        })))
    }

    /// Divides ids into those that are known and the others.
    pub(super) fn look_up(&self, ids: impl Iterator<Item = EventId>) -> Known {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut nums, mut unknown) = (HashMap::new(), HashSet::new());
        for id in ids {
            if let Some(num) = state.recent.get(&id) {
                nums.insert(id, (num != 0).then_some(num));
            } else if state.in_flight.contains(&id) {
                nums.insert(id, None);
            } else {
                unknown.insert(id);
            }
        }
        Known {
            nums,
            unknown: unknown.into_iter().collect(),
            deletions: state.deletions,
        }
    }

    /// Forgets everything, once events have been deleted from the archive.
    pub(super) fn clear(&self, deletions: i64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.recent.clear();
        state.deletions = Some(deletions);
    }

    /// Notes events that are about to be written.
    pub(super) fn begin(&self, ids: HashSet<EventId>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .in_flight
            .extend(ids);
    }

    /// Notes what is archived now, and forgets what was about to be but is not.
    pub(super) fn end(
        &self,
        fresh: impl Iterator<Item = EventId>,
        archived: impl Iterator<Item = (EventId, EventNum)>,
    ) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in fresh {
            state.in_flight.remove(&id);
        }
        for (id, num) in archived {
            // A number that is known already is not given up for one that is not.
            let known = state.recent.get(&id);
            if known.is_none_or(|known| known == 0 && num.is_some()) {
                state.recent.insert(id, num.unwrap_or(0));
            }
        }
    }
}
