//! Durations, summed up.

use std::time::{Duration, Instant};

use crate::support::percentile;

/// What was measured of one thing.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    times: Vec<Duration>,
    /// How long it went on.
    total: Duration,
}

impl Timing {
    pub(crate) fn add(&mut self, took: Duration) {
        self.times.push(took);
    }

    /// Takes what another client measured at the same time.
    pub(crate) fn join(&mut self, other: Self) {
        self.times.extend(other.times);
    }

    /// Ends the measure that began then.
    pub(crate) fn end(&mut self, begun: Instant) {
        self.total = begun.elapsed();
        self.times.sort_unstable();
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// Milliseconds that this share (0 to 1) did not exceed.
    pub(crate) fn share(&self, share: f64) -> f64 {
        if self.times.is_empty() {
            return f64::NAN;
        }
        percentile(&self.times, share)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.total.as_secs_f64()
    }
}
