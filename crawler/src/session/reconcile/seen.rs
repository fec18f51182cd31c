//! Which ids were told already, in bounded memory.

use std::collections::HashSet;

use bigbrotr_core::event::EventId;

/// A set that forgets the oldest half of its ids when it is full.
pub(super) struct Seen {
    young: HashSet<EventId>,
    old: HashSet<EventId>,
    half: usize,
}

impl Seen {
    /// Makes one that holds at most so many ids; the last half of them for sure.
    pub(super) fn new(most: usize) -> Self {
        Self {
            young: HashSet::new(),
            old: HashSet::new(),
            half: (most / 2).max(1),
        }
    }

    /// Adds an id; `false` if it is remembered.
    pub(super) fn insert(&mut self, id: EventId) -> bool {
        if self.old.contains(&id) || self.young.contains(&id) {
            return false;
        }
        if self.young.len() == self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_half_is_remembered_and_memory_is_bounded() {
        let id = |n: u8| EventId([n; 32]);
        let mut seen = Seen::new(8);
        for n in 0..100 {
            assert!(seen.insert(id(n)));
            for recent in n.saturating_sub(3)..=n {
                assert!(!seen.insert(id(recent)));
            }
            assert!(seen.young.len() + seen.old.len() <= 8);
        }
        assert!(seen.insert(id(0)));
    }
}
