//! A clock that goes, but shows another day.

use std::time::Instant;

use bigbrotr_core::clock::{Clock, SystemClock};

pub(crate) struct ShiftedClock {
    by_ms: i64,
}

impl ShiftedClock {
    /// Shows these Unix seconds now, and goes on from there.
    pub(crate) fn to(now: i64) -> Self {
        Self {
            by_ms: now * 1_000 - SystemClock.now_ms(),
        }
    }
}

impl Clock for ShiftedClock {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.by_ms
    }

    fn monotonic(&self) -> Instant {
        SystemClock.monotonic()
    }
}
