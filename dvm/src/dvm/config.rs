//! The configuration section `dvm`.

use std::time::Duration;

use bigbrotr_core::config::{Checks, Invalid, Section, duration};
use serde::{Deserialize, Serialize};

use crate::ask::REQUEST_KIND;

/// How the data vending machine takes and answers jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DvmConfig {
    /// The kind of requests; results are of this kind plus 1000.
    pub kind: u16,
    /// Our name in the announcement.
    pub name: String,
    /// What the announcement says about us.
    pub about: String,
    /// Our relay as customers reach it, written into answers as a hint. Empty: no hint.
    pub relay_url: String,
    /// How old a request may be, since it reached our relay, to be answered still.
    #[serde(with = "duration")]
    pub max_age: Duration,
    /// Jobs at work at the same time.
    pub workers: u32,
    /// Jobs that one customer may send per minute; also how many at once.
    pub jobs_per_minute: u32,
    /// Jobs that may wait. Further ones are refused with feedback that says so.
    pub max_queue: u64,
    /// How long a job at work is left to its worker before another one takes it.
    #[serde(with = "duration")]
    pub claim_time: Duration,
    /// How often to look for requests and jobs that no notification told of.
    #[serde(with = "duration")]
    pub poll_interval: Duration,
    /// How long our relay keeps answers (NIP-40). `0s`: for ever.
    #[serde(with = "duration")]
    pub keep_answers: Duration,
}

impl Default for DvmConfig {
    fn default() -> Self {
        Self {
            kind: REQUEST_KIND,
            name: "BigBrotr".to_owned(),
            about: "Statistics of Nostr: events, kinds, relays and pubkeys, as this node has \
                    archived them."
                .to_owned(),
            relay_url: String::new(),
            max_age: Duration::from_hours(1),
            workers: 4,
            jobs_per_minute: 60,
            max_queue: 1_000,
            claim_time: Duration::from_secs(30),
            poll_interval: Duration::from_secs(5),
            keep_answers: Duration::from_hours(7 * 24),
        }
    }
}

impl Section for DvmConfig {
    const NAME: &'static str = "dvm";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let (secs, mins, hours) = (
            Duration::from_secs,
            Duration::from_mins,
            Duration::from_hours,
        );
        let mut checks = Checks::new();
        checks.range("kind", self.kind, 5_000..=5_999);
        checks.require(!self.name.is_empty(), "name", "a name is needed");
        let is_url = self.relay_url.is_empty()
            || self.relay_url.starts_with("ws://")
            || self.relay_url.starts_with("wss://");
        checks.require(
            is_url,
            "relay_url",
            format!("{:?} is no ws:// or wss:// URL", self.relay_url),
        );
        checks.duration("max_age", self.max_age, mins(1)..=hours(24));
        checks.range("workers", self.workers, 1..=256);
        checks.range("jobs_per_minute", self.jobs_per_minute, 1..=100_000);
        checks.range("max_queue", self.max_queue, 1..=1_000_000);
        checks.duration("claim_time", self.claim_time, secs(5)..=mins(10));
        checks.duration("poll_interval", self.poll_interval, secs(1)..=mins(5));
        let kept = self.keep_answers;
        checks.require(
            kept.is_zero() || kept >= mins(1),
            "keep_answers",
            "answers must be kept for a minute at least",
        );
        checks.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_nonsense_is_refused_by_key() {
        DvmConfig::default().validate().unwrap();
        let config = DvmConfig {
            kind: 6_450,
            relay_url: "https://relay.example.com".into(),
            workers: 0,
            claim_time: Duration::ZERO,
            ..DvmConfig::default()
        };
        let keys: Vec<String> = config
            .validate()
            .unwrap_err()
            .into_iter()
            .map(|invalid| invalid.key)
            .collect();
        assert_eq!(keys, ["kind", "relay_url", "workers", "claim_time"]);
    }
}
