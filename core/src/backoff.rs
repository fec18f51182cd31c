//! Growing pauses between attempts. Decides how long; waiting is the caller's.

use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::config::{Checks, Invalid, duration};

/// Exponential backoff with a cap and jitter.
///
/// Also a part of configuration sections: `{base: 1s, factor: 2, max: 5m, jitter: 0.5}`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// The pause after the first failure.
    #[serde(with = "duration")]
    pub base: Duration,
    /// What each further failure multiplies the pause by.
    pub factor: f64,
    /// The longest pause.
    #[serde(with = "duration")]
    pub max: Duration,
    /// The share of a pause that is random, from 0 to 1, so that what failed together does not
    /// come back together.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_mins(5),
            jitter: 0.5,
        }
    }
}

impl Backoff {
    /// The pause after failure number `attempt`, counted from 0.
    ///
    /// Jitter only shortens it: between `(1 - jitter)` and all of the exponential pause.
    pub fn delay<R: Rng + ?Sized>(&self, attempt: u32, rng: &mut R) -> Duration {
        let exponent = i32::try_from(attempt).unwrap_or(i32::MAX);
        let full = self.base.as_secs_f64() * self.factor.powi(exponent);
        let max = self.max.as_secs_f64();
        // Written so that an overflow (infinite, or not a number) is the cap too.
        let full = if full < max { full } else { max };
        let share = 1.0 - self.jitter.clamp(0.0, 1.0) * rng.random::<f64>();
        Duration::try_from_secs_f64(full * share).unwrap_or(self.max)
    }

    /// Refuses values that make no sense, for the `validate` of a section that holds one.
    pub fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        checks.range("factor", self.factor, 1.0..=100.0);
        checks.range("jitter", self.jitter, 0.0..=1.0);
        checks.require(
            !self.base.is_zero(),
            "base",
            "0s would retry without a pause",
        );
        checks.require(self.base <= self.max, "max", "max is shorter than base");
        checks.finish()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(7)
    }

    fn exact() -> Backoff {
        Backoff {
            jitter: 0.0,
            max: Duration::from_secs(10),
            ..Backoff::default()
        }
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let seconds: Vec<u64> = (0..6)
            .map(|attempt| exact().delay(attempt, &mut rng()).as_secs())
            .collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn no_number_of_failures_overflows() {
        for attempt in [63, 1_024, u32::MAX] {
            assert_eq!(exact().delay(attempt, &mut rng()), Duration::from_secs(10));
        }
        let zero = Backoff {
            base: Duration::ZERO,
            ..exact()
        };
        assert!(zero.delay(u32::MAX, &mut rng()) <= zero.max);
    }

    #[test]
    fn jitter_only_shortens_and_by_no_more_than_its_share() {
        let backoff = Backoff {
            jitter: 0.25,
            ..exact()
        };
        let mut rng = rng();
        let delays: Vec<Duration> = (0..1_000).map(|_| backoff.delay(3, &mut rng)).collect();
        assert!(
            delays
                .iter()
                .all(|delay| (6.0..=8.0).contains(&delay.as_secs_f64()))
        );
        assert!(delays.iter().any(|delay| delay.as_secs_f64() < 6.2));
        assert!(delays.iter().any(|delay| delay.as_secs_f64() > 7.8));
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses() {
        let delays = || {
            let mut rng = rng();
            (0..20)
                .map(|attempt| Backoff::default().delay(attempt, &mut rng))
                .collect::<Vec<_>>()
        };
        assert_eq!(delays(), delays());
    }

    #[test]
    fn senseless_values_are_refused() {
        assert_eq!(Backoff::default().validate(), Ok(()));
        let backoff = Backoff {
            base: Duration::from_mins(10),
            factor: 0.5,
            max: Duration::from_mins(5),
            jitter: 2.0,
        };
        let keys: Vec<String> = backoff
            .validate()
            .unwrap_err()
            .into_iter()
            .map(|invalid| invalid.key)
            .collect();
        assert_eq!(keys, ["factor", "jitter", "max"]);
    }
}
