//! The section `validator`: how candidates are tried, and when they are given up.

use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::config::{Checks, Invalid, Section, duration};
use serde::{Deserialize, Serialize};

/// How candidates are tried, and when they are given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidatorConfig {
    /// The most candidates tried at once on each network. A quarter of the network's
    /// `max_connections` is a bound too.
    pub concurrency: u32,
    /// The longest wait for the WebSocket, on top of the network's `connect_timeout`.
    #[serde(with = "duration")]
    pub open_timeout: Duration,
    /// The longest wait for the answer to a REQ.
    #[serde(with = "duration")]
    pub read_timeout: Duration,
    /// How often a candidate is tried before it is given up.
    pub max_attempts: u32,
    /// The pauses between the tries of a candidate.
    pub retry: Backoff,
    /// How long a candidate stays given up. After that it may be found again.
    #[serde(with = "duration")]
    pub forget_after: Duration,
}

impl Default for ValidatorConfig {
    fn default() -> Self {
        Self {
            concurrency: 50,
            open_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(10),
            max_attempts: 5,
            retry: Backoff {
                base: Duration::from_mins(10),
                factor: 4.0,
                max: Duration::from_hours(24),
                jitter: 0.3,
            },
            forget_after: Duration::from_hours(30 * 24),
        }
    }
}

impl Section for ValidatorConfig {
    const NAME: &'static str = "validator";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        checks.range("concurrency", self.concurrency, 1..=10_000);
        for (key, value) in [
            ("open_timeout", self.open_timeout),
            ("read_timeout", self.read_timeout),
        ] {
            let longest = Duration::from_mins(10);
            checks.duration(key, value, Duration::from_millis(1)..=longest);
        }
        checks.range("max_attempts", self.max_attempts, 1..=1_000);
        checks.nested("retry", self.retry.validate());
        let longest = Duration::from_hours(10 * 365 * 24);
        checks.duration(
            "forget_after",
            self.forget_after,
            Duration::from_secs(1)..=longest,
        );
        checks.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_mistakes_are_named() {
        assert_eq!(ValidatorConfig::default().validate(), Ok(()));
        let config = ValidatorConfig {
            concurrency: 0,
            read_timeout: Duration::ZERO,
            max_attempts: 0,
            retry: Backoff {
                factor: 0.0,
                ..Backoff::default()
            },
            forget_after: Duration::ZERO,
            ..ValidatorConfig::default()
        };
        let refused = config.validate().unwrap_err();
        let keys: Vec<&str> = refused.iter().map(|invalid| invalid.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "concurrency",
                "read_timeout",
                "max_attempts",
                "retry.factor",
                "forget_after"
            ]
        );
    }
}
