//! How fast connections may be begun: so many in a second, and not all of them at once.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::slots::NoSlot;
use crate::limits::SLOT_WAIT;

/// Gives out moments at which to dial.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// How far ahead of an even spread a dial may come.
    slack: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Spreads dials evenly over time.
    pub(super) fn even(per_second: NonZeroU32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.get(),
            slack: Duration::ZERO,
            next: Mutex::new(None),
        }
    }

    /// Lets a second's worth of dials begin at once after a pause.
    pub(super) fn bursting(per_second: NonZeroU32) -> Self {
        let pace = Self::even(per_second);
        let slack = Duration::from_secs(1).saturating_sub(pace.interval);
        Self { slack, ..pace }
    }

    /// Takes the next moment that is free, unless it is too far away.
    pub(super) fn reserve(&self, now: Instant) -> Result<Instant, NoSlot> {
        let mut next = self.next();
        let even = next.map_or(now, |next| next.max(now));
        let at = even.checked_sub(self.slack).map_or(now, |at| at.max(now));
        if at - now > SLOT_WAIT {
            return Err(NoSlot);
        }
        *next = Some(even + self.interval);
        Ok(at)
    }

    /// Waits for the next moment that is free.
    pub(super) async fn wait(&self) -> Result<(), NoSlot> {
        tokio::time::sleep_until(self.reserve(Instant::now())?).await;
        Ok(())
    }

    /// Says whether forgetting this pace would let somebody dial sooner.
    pub(super) fn matters(&self, now: Instant) -> bool {
        self.next().is_some_and(|next| next > now)
    }

    fn next(&self) -> MutexGuard<'_, Option<Instant>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pace_spreads_dials_and_gives_up_on_a_long_queue() {
        let pace = Pace::even(NonZeroU32::new(10).unwrap());
        let now = Instant::now();
        assert_eq!(pace.reserve(now).unwrap(), now);
        assert_eq!(pace.reserve(now).unwrap(), now + Duration::from_millis(100));
        let later = now + Duration::from_secs(5);
        assert_eq!(pace.reserve(later).unwrap(), later);
        while pace.reserve(later).is_ok() {}
        assert_eq!(pace.reserve(later), Err(NoSlot));
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_a_second_s_worth_and_no_more() {
        let pace = Pace::bursting(NonZeroU32::new(4).unwrap());
        let now = Instant::now();
        assert!(!pace.matters(now));
        for _ in 0..4 {
            assert_eq!(pace.reserve(now).unwrap(), now);
        }
        assert!(pace.matters(now));
        assert_eq!(pace.reserve(now).unwrap(), now + Duration::from_millis(250));
        assert_eq!(pace.reserve(now).unwrap(), now + Duration::from_millis(500));
        let rested = now + Duration::from_secs(2);
        assert!(!pace.matters(rested));
        assert_eq!(pace.reserve(rested).unwrap(), rested);
    }
}
