//! Which events that may yet come live a subscription has done with.

use std::collections::HashSet;
use std::sync::Arc;

use bigbrotr_schema::store::EventNumber;

use crate::limits::OUT_OF_ORDER_EVENTS;

/// The numbers of the events that were sent as stored ones, and of those that were there before and
/// not asked for.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The relay's own newest events, in order: the same for all who looked at the same time.
    there: Arc<Vec<i64>>,
    sent: HashSet<EventNumber>,
}

impl Seen {
    /// Begins with the events that are there, in order of their numbers.
    pub(crate) fn new(there: Arc<Vec<i64>>) -> Self {
        Self {
            there,
            sent: HashSet::new(),
        }
    }

    /// Notes an event that was sent as a stored one.
    pub(crate) fn note(&mut self, number: EventNumber) {
        self.sent.insert(number);
    }

    pub(super) fn has(&self, number: EventNumber) -> bool {
        let was_there = |seq| self.there.binary_search(&seq).is_ok();
        self.sent.contains(&number) || matches!(number, EventNumber::Relay(seq) if was_there(seq))
    }

    /// Says whether an event that comes live is among these, and forgets what cannot come any more.
    pub(super) fn takes(&mut self, number: EventNumber) -> bool {
        let had = self.has(number);
        self.sent.remove(&number);
        if let (EventNumber::Relay(seq), Some(last)) = (number, self.there.last())
            && seq > last.saturating_add(OUT_OF_ORDER_EVENTS)
        {
            self.there = Arc::default();
        }
        had
    }

    /// Forgets the events that are not on their way any more.
    pub(super) fn retain(&mut self, mut is_awaited: impl FnMut(EventNumber) -> bool) {
        self.sent.retain(|number| is_awaited(*number));
        // From the newest on: where any is awaited, it is.
        let mut there = self.there.iter().rev();
        if !there.any(|seq| is_awaited(EventNumber::Relay(*seq))) {
            self.there = Arc::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_come_any_more_is_forgotten() {
        let relay = EventNumber::Relay;
        let mut seen = Seen::new(Arc::new(vec![1, 2, 3]));
        seen.note(relay(0));
        seen.note(EventNumber::Archive(3));
        assert!(seen.has(relay(0)) && seen.has(relay(2)) && !seen.has(relay(4)));
        seen.retain(|number| number == relay(3));
        assert!(!seen.has(relay(0)) && !seen.has(EventNumber::Archive(3)));
        assert!(!seen.takes(relay(4)) && seen.takes(relay(3)));
        assert!(!seen.takes(relay(4 + OUT_OF_ORDER_EVENTS)));
        assert!(seen.there.is_empty());
        seen.retain(|_| true);
        assert!(!seen.has(relay(3)));
    }
}
