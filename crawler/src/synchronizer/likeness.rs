//! How much a relay that is new has in common with the archive. Pure.
//!
//! A relay that has much the same is reconciled against the whole archive: then only differences
//! are named. One that is unlike is reconciled against what it is known to have, so that it names
//! what it has, and is not told of everything that it lacks.

/// What is known of it, by the stretch that was looked at last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Likeness {
    archived: usize,
    relay: usize,
    both: usize,
}

impl Likeness {
    /// Takes note of a stretch: how many events the archive had of it, how many the relay, and how
    /// many both.
    pub(super) fn note(&mut self, archived: usize, relay: usize, both: usize) {
        *self = Self {
            archived,
            relay,
            both,
        };
    }

    /// Says whether naming the differences takes less than half of naming everything.
    pub(super) fn is_alike(&self) -> bool {
        let lacks = self.archived.saturating_sub(self.both);
        let has_more = self.relay.saturating_sub(self.both);
        self.relay > 0 && (lacks + has_more) * 2 < self.relay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_alike_where_differences_are_few() {
        let is_alike = |archived, relay, both| {
            let mut likeness = Likeness::default();
            likeness.note(archived, relay, both);
            likeness.is_alike()
        };
        assert!(is_alike(100, 100, 100));
        assert!(is_alike(120, 100, 90));
        assert!(!is_alike(1_000, 100, 100));
        assert!(!is_alike(100, 100, 50));
        assert!(!is_alike(0, 0, 0));
        assert!(!Likeness::default().is_alike());
    }
}
