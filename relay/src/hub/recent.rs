//! Which stored events have been fanned out: a bounded memory of their numbers.

use std::collections::{HashSet, VecDeque};

/// The numbers of the events fanned out last.
#[derive(Debug)]
pub(crate) struct Recent {
    most: usize,
    order: VecDeque<i64>,
    set: HashSet<i64>,
    /// The largest number that was forgotten. Anything up to it has been there.
    forgotten: i64,
    latest: i64,
}

impl Recent {
    /// Begins without any; remembers fewer than `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            order: VecDeque::new(),
            set: HashSet::new(),
            forgotten: 0,
            latest: 0,
        }
    }

    pub(crate) fn insert(&mut self, seq: i64) {
        if !self.set.insert(seq) {
            return;
        }
        self.latest = self.latest.max(seq);
        self.order.push_back(seq);
        // As many as the feed names at its start are all it knows: what is older has been there.
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
            self.forgotten = self.forgotten.max(oldest);
        }
    }

    /// Returns the largest number so far; 0 before the first.
    pub(crate) fn latest(&self) -> i64 {
        self.latest
    }

    /// Says whether the event with this number has yet to be fanned out.
    pub(crate) fn is_awaited(&self, seq: i64) -> bool {
        seq > self.forgotten && !self.set.contains(&seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RECENT_EVENTS;

    #[test]
    fn what_was_fanned_out_is_not_awaited_even_when_forgotten() {
        let mut recent = Recent::new(RECENT_EVENTS);
        assert!(recent.is_awaited(7));
        for seq in 1..=RECENT_EVENTS as i64 * 2 {
            recent.insert(seq);
        }
        assert!(!recent.is_awaited(1));
        assert!(!recent.is_awaited(RECENT_EVENTS as i64 * 2));
        assert!(recent.is_awaited(RECENT_EVENTS as i64 * 2 + 1));
        assert!(recent.order.len() < RECENT_EVENTS && recent.set.len() == recent.order.len());
    }
}
