//! How many messages a client may send: a bucket of tokens that fills steadily.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of tokens: one message takes one.
#[derive(Debug)]
pub(super) struct TokenBucket {
    tokens: f64,
    capacity: f64,
    per_second: f64,
    filled: Instant,
}

impl TokenBucket {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            tokens: f64::from(burst),
            capacity: f64::from(burst),
            per_second: f64::from(per_second),
            filled: Instant::now(),
        }
    }

    /// Takes a token, or says how long it takes until there is one.
    pub(super) fn take(&mut self) -> Result<(), Duration> {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_steady_rate() {
        let mut bucket = TokenBucket::new(2, 3);
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
