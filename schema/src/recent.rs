//! A bounded memory of archived events, in front of the database.

use std::collections::HashMap;

use bigbrotr_core::event::EventId;

/// The database's number of an archived event, where it is known.
pub(crate) type EventNum = Option<i64>;

/// Remembers the events archived or met last, with their numbers. Two generations: when the
/// young one is full it becomes the old one and the old one is forgotten, so it holds between
/// half of its bound and all of it.
#[derive(Debug)]
pub(crate) struct RecentEvents {
    young: HashMap<EventId, EventNum>,
    old: HashMap<EventId, EventNum>,
    generation_size: usize,
}

impl RecentEvents {
    /// Makes an empty memory for at most `most` events.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation_size: (most / 2).max(1),
        }
    }

    /// Returns what is remembered of an event.
    pub(crate) fn get(&self, id: &EventId) -> Option<EventNum> {
        self.young.get(id).or_else(|| self.old.get(id)).copied()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// Remembers an event.
    pub(crate) fn insert(&mut self, id: EventId, num: EventNum) {
        if self.young.len() >= self.generation_size {
            // The allocation is kept: it will be needed again.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(id, num);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_and_stays_bounded() {
        let id = |n: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            EventId(bytes)
        };
        let mut recent = RecentEvents::new(10);
        for n in 0..100 {
            recent.insert(id(n), Some(i64::from(n)));
            assert_eq!(recent.get(&id(n)), Some(Some(i64::from(n))));
            assert!(recent.young.len() + recent.old.len() <= 10);
        }
        assert_eq!(recent.get(&id(0)), None);
        assert!(recent.get(&id(96)).is_some());
        recent.clear();
        assert_eq!(recent.get(&id(96)), None);
    }
}
