//! The section `monitor`: how often relays are checked, what is asked, and who we say we are.

use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::config::{Checks, Invalid, Section, duration};
use serde::{Deserialize, Serialize};

/// How relays are measured and reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the file"
)]
pub struct MonitorConfig {
    /// How often a relay that is online is checked, at the latest.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// When a relay that was found offline is checked again; doubles with every further failure.
    #[serde(with = "duration")]
    pub retry_interval: Duration,
    /// The longest time between two checks of a relay that stays offline.
    #[serde(with = "duration")]
    pub max_retry_interval: Duration,
    /// The share of these times that is random, from 0 to 1: it only shortens them.
    pub jitter: f64,
    /// How often the report of a relay that is online is published, at the latest. No shorter
    /// than `interval`.
    #[serde(with = "duration")]
    pub publish_interval: Duration,
    /// The most relays checked at once on each network. A check holds up to two connections, so
    /// half of the network's `max_connections` is a bound too.
    pub concurrency: u32,
    /// The longest wait for the WebSocket, on top of the network's `connect_timeout`.
    #[serde(with = "duration")]
    pub open_timeout: Duration,
    /// Whether relays are asked for an event.
    pub read: bool,
    /// The longest wait for the answer to that.
    #[serde(with = "duration")]
    pub read_timeout: Duration,
    /// Whether relays are sent an ephemeral event signed by our key.
    pub write: bool,
    /// The longest wait for the answer to that.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// Whether the information document (NIP-11) is fetched.
    pub nip11: bool,
    /// The longest time for that, redirects included.
    #[serde(with = "duration")]
    pub nip11_timeout: Duration,
    /// Where this monitor is, as a geohash, for its announcement. Empty: not told.
    pub geohash: String,
    /// The name in this monitor's profile (kind 0). Empty: no profile is published.
    pub name: String,
    /// What the profile says about it.
    pub about: String,
    /// Whether our relay is published as this monitor's relay list (kind 10002).
    pub relay_list: bool,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_hours(1),
            retry_interval: Duration::from_mins(15),
            max_retry_interval: Duration::from_hours(24),
            jitter: 0.1,
            publish_interval: Duration::from_hours(1),
            concurrency: 500,
            open_timeout: Duration::from_secs(10),
            read: true,
            read_timeout: Duration::from_secs(10),
            write: true,
            write_timeout: Duration::from_secs(10),
            nip11: true,
            nip11_timeout: Duration::from_secs(15),
            geohash: String::new(),
            name: String::new(),
            about: String::new(),
            relay_list: true,
        }
    }
}

impl MonitorConfig {
    /// Returns the pauses between the checks of a relay that is offline.
    pub(super) fn retry(&self) -> Backoff {
        Backoff {
            base: self.retry_interval,
            factor: 2.0,
            max: self.max_retry_interval,
            jitter: self.jitter,
        }
    }

    /// Returns the most connections that one check holds.
    pub(super) fn connections_per_check(&self) -> u32 {
        if self.nip11 { 2 } else { 1 }
    }
}

impl Section for MonitorConfig {
    const NAME: &'static str = "monitor";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        let seconds = |seconds| Duration::from_secs(seconds);
        let month = Duration::from_hours(31 * 24);
        for (key, value) in [
            ("interval", self.interval),
            ("retry_interval", self.retry_interval),
            ("max_retry_interval", self.max_retry_interval),
            ("publish_interval", self.publish_interval),
        ] {
            checks.duration(key, value, seconds(1)..=month);
        }
        for (key, value) in [
            ("open_timeout", self.open_timeout),
            ("read_timeout", self.read_timeout),
            ("write_timeout", self.write_timeout),
            ("nip11_timeout", self.nip11_timeout),
        ] {
            checks.duration(key, value, Duration::from_millis(1)..=seconds(600));
        }
        checks.range("jitter", self.jitter, 0.0..=1.0);
        checks.range("concurrency", self.concurrency, 1..=10_000);
        checks.require(
            self.retry_interval <= self.max_retry_interval,
            "max_retry_interval",
            "max_retry_interval is shorter than retry_interval",
        );
        checks.require(
            self.interval <= self.publish_interval,
            "publish_interval",
            "publish_interval is shorter than interval: a report needs a check",
        );
        if !is_geohash(&self.geohash) {
            let message = format!("{:?} is not a geohash", self.geohash);
            let hint = "expected up to 12 of 0-9 and b-z without i, l, o";
            checks.push(Invalid::new("geohash", message).with_hint(hint));
        }
        checks.require(
            self.about.is_empty() || !self.name.is_empty(),
            "about",
            "about is part of the profile, which is published with a name only",
        );
        checks.finish()
    }
}

fn is_geohash(text: &str) -> bool {
    text.len() <= 12
        && text
            .chars()
            .all(|c| "0123456789bcdefghjkmnpqrstuvwxyz".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_mistakes_are_named() {
        assert_eq!(MonitorConfig::default().validate(), Ok(()));
        let config = MonitorConfig {
            publish_interval: Duration::from_mins(1),
            concurrency: 0,
            jitter: 1.5,
            geohash: "spain".into(),
            about: "no name".into(),
            ..MonitorConfig::default()
        };
        let refused = config.validate().unwrap_err();
        let keys: Vec<&str> = refused.iter().map(|invalid| invalid.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "jitter",
                "concurrency",
                "publish_interval",
                "geohash",
                "about"
            ]
        );
    }
}
