//! Time as a dependency, so that tests can step it.
//!
//! Wall time is in Unix seconds, as in Nostr events; spans are measured on the monotonic clock,
//! which never jumps. Sleeping is not here: that is the runtime's.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The wall clock in Unix milliseconds; negative before 1970.
    fn now_ms(&self) -> i64;

    /// A point on the monotonic clock, for measuring spans.
    fn monotonic(&self) -> Instant;

    /// The wall clock in Unix seconds, rounded down.
    fn now(&self) -> i64 {
        self.now_ms().div_euclid(1_000)
    }
}

/// A clock that services share.
pub type SharedClock = Arc<dyn Clock>;

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now_ms(&self) -> i64 {
        (**self).now_ms()
    }

    fn monotonic(&self) -> Instant {
        (**self).monotonic()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock that everyone else takes"
    )]
    fn now_ms(&self) -> i64 {
        let now = SystemTime::now();
        now.duration_since(UNIX_EPOCH).map_or_else(
            |before| -(before.duration().as_millis() as i64),
            |after| after.as_millis() as i64,
        )
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that stands still until it is told to move. Clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    now_ms: AtomicI64,
    elapsed_ns: AtomicU64,
    start: OnceLock<Instant>,
}

impl ManualClock {
    /// A clock that shows the given Unix seconds.
    pub fn new(now: i64) -> Self {
        Self(Arc::new(Hands {
            now_ms: AtomicI64::new(now.saturating_mul(1_000)),
            elapsed_ns: AtomicU64::new(0),
            start: OnceLock::new(),
        }))
    }

    /// Sets the wall clock to the given Unix seconds, forwards or backwards.
    ///
    /// The monotonic clock stays, as it does when a machine's clock is corrected.
    pub fn set(&self, now: i64) {
        self.0
            .now_ms
            .store(now.saturating_mul(1_000), Ordering::SeqCst);
    }

    /// Lets time pass, on both clocks.
    pub fn advance(&self, by: Duration) {
        self.0
            .now_ms
            .fetch_add(by.as_millis() as i64, Ordering::SeqCst);
        self.0
            .elapsed_ns
            .fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.now_ms.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Instant {
        let start = *self.0.start.get_or_init(Instant::now);
        start + Duration::from_nanos(self.0.elapsed_ns.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(1_700_000_000);
        let shared: SharedClock = Arc::new(clock.clone());
        let start = shared.monotonic();
        assert_eq!(
            (shared.now(), shared.now_ms()),
            (1_700_000_000, 1_700_000_000_000)
        );
        assert_eq!(shared.monotonic(), start);

        clock.advance(Duration::from_millis(1_500));
        assert_eq!(
            (shared.now(), shared.now_ms()),
            (1_700_000_001, 1_700_000_001_500)
        );
        assert_eq!(shared.monotonic() - start, Duration::from_millis(1_500));
    }

    #[test]
    fn a_corrected_wall_clock_leaves_spans_alone() {
        let clock = ManualClock::new(1_000);
        let start = clock.monotonic();
        clock.set(-5);
        assert_eq!((clock.now(), clock.monotonic()), (-5, start));
    }

    #[test]
    fn seconds_round_down_before_1970_too() {
        let clock = ManualClock::new(0);
        clock.set(-1);
        clock.advance(Duration::from_millis(1));
        assert_eq!((clock.now_ms(), clock.now()), (-999, -1));
    }

    #[test]
    fn the_system_clock_is_past_this_codes_birth() {
        assert!(SystemClock.now() > 1_750_000_000);
        assert!(SystemClock.monotonic() <= SystemClock.monotonic());
    }
}
