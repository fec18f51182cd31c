//! What follows from a try that failed. Decides; storing it is done elsewhere.

use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_schema::store::CandidateFailure;
use rand::Rng;

use super::config::ValidatorConfig;
use super::limits::DEFERRED;
use crate::store_wait::whole_seconds;

/// Decides on a candidate whose try failed for this reason, after `attempts` that did before;
/// `now` is in Unix seconds. What does not count changes nothing but the time of the next try.
pub(super) fn failed<R: Rng + ?Sized>(
    config: &ValidatorConfig,
    now: i64,
    attempts: u32,
    counts: bool,
    reason: &'static str,
    rng: &mut R,
) -> CandidateFailure {
    let pause: Duration = if counts {
        config.retry.delay(attempts, rng)
    } else {
        let deferred = Backoff {
            base: DEFERRED,
            factor: 1.0,
            max: DEFERRED,
            jitter: 0.5,
        };
        deferred.delay(0, rng)
    };
    CandidateFailure {
        counts,
        gives_up: counts && attempts.saturating_add(1) >= config.max_attempts,
        due_at: now.saturating_add(whole_seconds(pause)),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn after(attempts: u32, counts: bool) -> CandidateFailure {
        let mut config = ValidatorConfig::default();
        config.retry.jitter = 0.0;
        failed(
            &config,
            NOW,
            attempts,
            counts,
            "silent",
            &mut StdRng::seed_from_u64(1),
        )
    }

    #[test]
    fn pauses_grow_until_the_last_try() {
        let minutes: Vec<(i64, bool)> = (0..5)
            .map(|n| after(n, true))
            .map(|failure| ((failure.due_at - NOW) / 60, failure.gives_up))
            .collect();
        assert_eq!(
            minutes,
            [
                (10, false),
                (40, false),
                (160, false),
                (640, false),
                (1_440, true)
            ]
        );
        assert!(after(u32::MAX, true).gives_up);
    }

    #[test]
    fn what_does_not_count_never_gives_up() {
        let failure = after(100, false);
        assert!(!failure.counts && !failure.gives_up);
        assert!((60..=120).contains(&(failure.due_at - NOW)), "{failure:?}");
    }
}
