//! The section `synchronizer`: how often, how much and which events are archived.

use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::config::{ByteSize, Checks, Invalid, Section, duration};
use bigbrotr_core::limits::MAX_CREATED_AT;
use serde::{Deserialize, Serialize};

use crate::limits;

/// How relays are archived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SynchronizerConfig {
    /// How long after it was caught up a relay is asked again.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// The most relays that are worked on at once.
    pub concurrency: u32,
    /// The most events that are asked for at once. Relays that give fewer are paged through all
    /// the same.
    pub page_limit: u32,
    /// The earliest `created_at` that is archived, Unix seconds. Not given: no bound.
    pub since: Option<i64>,
    /// The latest `created_at` that is archived, Unix seconds. Not given: no bound.
    pub until: Option<i64>,
    /// The kinds that are archived. Not given: all.
    pub kinds: Option<Vec<u16>>,
    /// How far below what is covered each scan begins: what reaches a relay later than this
    /// after it was made is found by a new full scan only.
    #[serde(with = "duration")]
    pub overlap: Duration,
    /// How long a relay may send no event and no end of a page.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// How long a relay is worked on before others get their turn.
    #[serde(with = "duration")]
    pub turn_timeout: Duration,
    /// How long a relay belongs to a worker that gives no sign of life.
    #[serde(with = "duration")]
    pub lease: Duration,
    /// When a relay is tried again after a failure.
    pub retry: Backoff,
    /// The largest event, bytes of JSON; larger ones are refused.
    pub max_event_bytes: ByteSize,
}

impl Default for SynchronizerConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_mins(5),
            concurrency: 50,
            page_limit: 500,
            since: None,
            until: None,
            kinds: None,
            overlap: Duration::from_mins(10),
            request_timeout: limits::PAGE_IDLE_TIMEOUT,
            turn_timeout: Duration::from_mins(10),
            lease: Duration::from_mins(5),
            retry: Backoff {
                base: Duration::from_secs(30),
                factor: 2.0,
                max: Duration::from_hours(1),
                jitter: 0.5,
            },
            max_event_bytes: ByteSize::new(limits::MAX_EVENT_BYTES as u64),
        }
    }
}

impl Section for SynchronizerConfig {
    const NAME: &'static str = "synchronizer";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let (millisecond, second) = (Duration::from_millis(1), Duration::from_secs(1));
        let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
        let mut checks = Checks::new();
        checks.duration("interval", self.interval, second..=30 * day);
        checks.range("concurrency", self.concurrency, 1..=10_000);
        let largest = limits::MAX_PAGE_EVENTS as u32;
        checks.range("page_limit", self.page_limit, 10..=largest);
        for (key, bound) in [("since", self.since), ("until", self.until)] {
            if let Some(bound) = bound {
                checks.range(key, bound, 0..=MAX_CREATED_AT);
            }
        }
        if let (Some(since), Some(until)) = (self.since, self.until) {
            checks.require(since <= until, "until", "until is before since");
        }
        checks.require(
            self.kinds.as_ref().is_none_or(|kinds| !kinds.is_empty()),
            "kinds",
            "an empty list archives nothing: leave it out to archive all kinds",
        );
        checks.duration("overlap", self.overlap, Duration::ZERO..=365 * day);
        checks.duration("request_timeout", self.request_timeout, millisecond..=hour);
        checks.duration("turn_timeout", self.turn_timeout, second..=day);
        checks.duration("lease", self.lease, second..=day);
        checks.nested("retry", self.retry.validate());
        let bytes = 1_024..=limits::MAX_MESSAGE_BYTES as u64;
        checks.range("max_event_bytes", self.max_event_bytes.bytes(), bytes);
        checks.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_reads_back() {
        let config = SynchronizerConfig::default();
        config.validate().unwrap();
        let json = serde_json::to_string(&config).unwrap();
        let back: SynchronizerConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(back, config);
    }

    #[test]
    fn senseless_values_are_refused() {
        let config = SynchronizerConfig {
            page_limit: 0,
            since: Some(10),
            until: Some(9),
            kinds: Some(Vec::new()),
            lease: Duration::ZERO,
            ..SynchronizerConfig::default()
        };
        let refused = config.validate().unwrap_err();
        let keys: Vec<&str> = refused.iter().map(|invalid| invalid.key.as_str()).collect();
        assert_eq!(keys, ["page_limit", "until", "kinds", "lease"]);
    }
}
