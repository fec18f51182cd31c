//! What a relay that sends mostly rubbish is worth: first fewer questions, then none for a while.
//! Pure.

use std::time::Duration;

use crate::limits::{RUBBISH_FROM, RUBBISH_PAUSE};

/// What to do before the next question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Nothing.
    Fine,
    /// Wait.
    Wait(Duration),
    /// It is enough.
    Over,
}

/// The account of one turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Rubbish {
    good: u64,
    bad: u64,
    pauses: u32,
}

impl Rubbish {
    /// Says whether most of what came was no good.
    pub(super) fn is_most(&self) -> bool {
        self.bad >= RUBBISH_FROM && self.bad > self.good
    }

    /// Takes note of what came: events that were taken, and messages that were dropped.
    pub(super) fn note(&mut self, good: u64, bad: u64) -> Patience {
        self.good += good;
        self.bad += bad;
        if bad == 0 || !self.is_most() {
            return Patience::Fine;
        }
        let pause = Duration::from_secs(1) * 2_u32.saturating_pow(self.pauses);
        self.pauses += 1;
        if pause > RUBBISH_PAUSE {
            Patience::Over
        } else {
            Patience::Wait(pause)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_rubbish_among_events_is_borne() {
        let mut rubbish = Rubbish::default();
        for _ in 0..1_000 {
            assert_eq!(rubbish.note(10, 9), Patience::Fine);
        }
    }

    #[test]
    fn much_rubbish_is_asked_for_ever_more_slowly_and_then_not_at_all() {
        let mut rubbish = Rubbish::default();
        assert_eq!(rubbish.note(0, 199), Patience::Fine);
        let mut waited = Duration::ZERO;
        loop {
            match rubbish.note(1, 100) {
                Patience::Wait(pause) => waited += pause,
                Patience::Over => break,
                Patience::Fine => panic!("rubbish is fine"),
            }
        }
        assert_eq!(waited, Duration::from_secs(63));
        // What comes good does not count as rubbish, however much there was before.
        assert_eq!(rubbish.note(10, 0), Patience::Fine);
    }
}
