//! How much each client may ask: a token bucket per key, in bounded memory.
//!
//! The bucket is kept as one point in time, the moment at which it will be full again (the
//! "generic cell rate algorithm"), so there is nothing to refill.

use std::hash::Hash;
use std::time::{Duration, Instant};

use bigbrotr_core::clock::SharedClock;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::limits::MAX_RATED;

/// What a limiter says to one more request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether it may pass.
    pub(crate) allowed: bool,
    /// The most requests that may come at once.
    pub(crate) limit: u32,
    /// How many more may come at once.
    pub(crate) remaining: u32,
    /// Until the bucket is full again.
    pub(crate) full_after: Duration,
    /// Until the next request may pass; zero when it may at once.
    pub(crate) retry_after: Duration,
}

impl Verdict {
    /// Returns `retry_after` in whole seconds, at least one: shorter would be too early.
    pub(crate) fn retry_after_seconds(&self) -> u64 {
        round_up(self.retry_after).max(1)
    }

    /// Returns `full_after` in whole seconds.
    pub(crate) fn full_after_seconds(&self) -> u64 {
        round_up(self.full_after)
    }
}

fn round_up(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// Limits the requests of each key.
pub(crate) struct RateLimiter<K> {
    full_at: Cache<K, Instant>,
    interval: Duration,
    burst: u32,
    clock: SharedClock,
}

impl<K: Hash + Eq + Send + Sync + 'static> RateLimiter<K> {
    /// Allows `burst` requests at once, and one more per `interval`.
    pub(crate) fn new(interval: Duration, burst: u32, clock: SharedClock) -> Self {
        let full_at = Cache::builder()
            .max_capacity(MAX_RATED)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self {
            full_at,
            interval,
            burst: burst.max(1),
            clock,
        }
    }

    /// Takes one request from the key's bucket, if it holds one.
    pub(crate) fn take(&self, key: K) -> Verdict {
        let now = self.clock.monotonic();
        let capacity = self.interval * self.burst;
        let mut allowed = false;
        let entry = self.full_at.entry(key).and_upsert_with(|entry| {
            let full_at = entry.map_or(now, moka::Entry::into_value).max(now);
            let after = full_at + self.interval;
            allowed = after - now <= capacity;
            if allowed { after } else { full_at }
        });
        self.verdict(allowed, entry.into_value() - now)
    }

    /// Gives back what a request took that turned out not to count.
    pub(crate) fn give_back(&self, key: K) {
        self.full_at.entry(key).and_upsert_with(|entry| {
            let now = self.clock.monotonic();
            entry.map_or(now, |entry| {
                let full_at = entry.into_value();
                full_at.checked_sub(self.interval).unwrap_or(full_at)
            })
        });
    }

    fn verdict(&self, allowed: bool, full_after: Duration) -> Verdict {
        let free = (self.interval * self.burst).saturating_sub(full_after);
        let remaining = free.as_nanos() / self.interval.as_nanos().max(1);
        Verdict {
            allowed,
            limit: self.burst,
            remaining: u32::try_from(remaining).unwrap_or(self.burst),
            full_after,
            retry_after: self.interval.saturating_sub(free),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bigbrotr_core::clock::ManualClock;

    use super::*;

    #[test]
    fn a_burst_passes_then_one_per_interval() {
        let clock = ManualClock::new(0);
        let limiter = RateLimiter::new(Duration::from_secs(2), 3, Arc::new(clock.clone()));
        for remaining in [2, 1, 0] {
            let verdict = limiter.take("a");
            assert!(verdict.allowed);
            assert_eq!((verdict.limit, verdict.remaining), (3, remaining));
        }
        let refused = limiter.take("a");
        assert!(!refused.allowed);
        assert_eq!(
            (refused.retry_after_seconds(), refused.full_after_seconds()),
            (2, 6)
        );
        assert!(limiter.take("b").allowed, "another key has its own bucket");

        clock.advance(Duration::from_millis(1_500));
        assert_eq!(limiter.take("a").retry_after, Duration::from_millis(500));
        clock.advance(Duration::from_millis(500));
        assert!(limiter.take("a").allowed);
        assert!(!limiter.take("a").allowed);
        clock.advance(Duration::from_hours(1));
        assert_eq!(limiter.take("a").remaining, 2);
    }

    #[test]
    fn what_did_not_count_is_given_back() {
        let limiter = RateLimiter::new(Duration::from_secs(1), 1, Arc::new(ManualClock::new(0)));
        assert!(limiter.take("a").allowed);
        limiter.give_back("a");
        assert!(limiter.take("a").allowed);
        assert!(!limiter.take("a").allowed);
    }
}
