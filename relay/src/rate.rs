//! How much somebody may send: buckets of tokens that fill steadily.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::RATE_KEYS;

/// How much, in the long run and at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) burst: f64,
}

impl Rate {
    pub(crate) fn new(per_second: f64, burst: u32) -> Self {
        Self {
            per_second,
            burst: f64::from(burst),
        }
    }
}

/// A bucket of tokens: one message takes one.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    tokens: f64,
    capacity: f64,
    per_second: f64,
    filled: Instant,
}

impl TokenBucket {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            tokens: rate.burst,
            capacity: rate.burst,
            per_second: rate.per_second,
            filled: Instant::now(),
        }
    }

    /// Takes a token, or says how long it takes until there is one.
    pub(crate) fn take(&mut self) -> Result<(), Duration> {
        let now = Instant::now();
        let gained = now.duration_since(self.filled).as_secs_f64() * self.per_second;
        self.filled = now;
        self.tokens = (self.tokens + gained).min(self.capacity);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            Ok(())
        } else {
            let missing = (1.0 - self.tokens) / self.per_second;
            Err(Duration::from_secs_f64(missing))
        }
    }

    fn is_full(&self, now: Instant) -> bool {
        let gained = now.duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens + gained >= self.capacity
    }
}

/// A bucket for each key: an address, an author.
///
/// # Security
/// Strangers choose the keys, so their number is bounded. Whoever fills it gains that buckets are
/// forgotten, his own and others': what then still holds is the limit of each connection.
#[derive(Debug)]
pub(crate) struct KeyedBuckets<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, TokenBucket>>,
}

impl<K: Eq + Hash> KeyedBuckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token of a key, or says how long it takes until there is one.
    pub(crate) fn take(&self, key: K) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= RATE_KEYS && !buckets.contains_key(&key) {
            let now = Instant::now();
            // Full ones are as good as none.
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() > RATE_KEYS / 2 {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key);
        bucket.or_insert_with(|| TokenBucket::new(self.rate)).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keys_do_not_share_and_are_bounded() {
        let buckets = KeyedBuckets::new(Rate::new(1.0, 1));
        assert_eq!(buckets.take(1), Ok(()));
        assert!(buckets.take(1).is_err());
        assert_eq!(buckets.take(2), Ok(()));
        tokio::time::advance(Duration::from_hours(1)).await;
        for key in 3..RATE_KEYS + 10 {
            assert_eq!(buckets.take(key), Ok(()));
        }
        assert!(buckets.buckets.lock().unwrap().len() <= RATE_KEYS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_steady_rate() {
        let mut bucket = TokenBucket::new(Rate::new(2.0, 3));
        for _ in 0..3 {
            assert_eq!(bucket.take(), Ok(()));
        }
        assert_eq!(bucket.take(), Err(Duration::from_millis(500)));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(bucket.take(), Ok(()));
        assert!(bucket.take().is_err());
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!((0..10).filter(|_| bucket.take().is_ok()).count(), 3);
    }
}
