//! A bounded memory of event ids, in front of the database.

use std::collections::HashSet;

use bigbrotr_core::event::EventId;

/// Remembers the ids seen last. Two generations: when the young one is full it becomes the old
/// one and the old one is forgotten, so it holds between half of its bound and all of it.
#[derive(Debug)]
pub(crate) struct RecentIds {
    young: HashSet<EventId>,
    old: HashSet<EventId>,
    generation_size: usize,
}

impl RecentIds {
    /// Makes an empty memory for at most `most` ids.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            young: HashSet::new(),
            old: HashSet::new(),
            generation_size: (most / 2).max(1),
        }
    }

    /// Says whether the id is remembered.
    pub(crate) fn contains(&self, id: &EventId) -> bool {
        self.young.contains(id) || self.old.contains(id)
    }

    /// Remembers an id.
    pub(crate) fn insert(&mut self, id: EventId) {
        if self.young.len() >= self.generation_size {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id);
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
        let mut recent = RecentIds::new(10);
        for n in 0..100 {
            recent.insert(id(n));
            assert!(recent.contains(&id(n)));
            assert!(recent.young.len() + recent.old.len() <= 10);
        }
        assert!(!recent.contains(&id(0)) && recent.contains(&id(96)));
    }
}
