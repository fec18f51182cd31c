//! The section `monitor`: how often relays are checked, what is asked, and who we say we are.

use std::path::PathBuf;
use std::time::Duration;

use bigbrotr_core::config::{Checks, Invalid, Section, duration};
use bigbrotr_core::relay_url::{RelayUrl, RelayUrlError, UrlPolicy};
use serde::{Deserialize, Serialize};

use super::limits::MAX_TARGETS;

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
    /// The same for relays on the priority list. No longer than `interval`.
    #[serde(with = "duration")]
    pub priority_interval: Duration,
    /// When a relay that was found offline is checked again; doubles with every further failure.
    #[serde(with = "duration")]
    pub retry_interval: Duration,
    /// The longest time between two checks of a relay that stays offline.
    #[serde(with = "duration")]
    pub max_retry_interval: Duration,
    /// The share of these times that is random, from 0 to 1: it only shortens them. Of the times
    /// of relays that are offline, at least half is.
    pub jitter: f64,
    /// How often the report of a relay that is online is published, at the latest. No shorter
    /// than `interval`.
    #[serde(with = "duration")]
    pub publish_interval: Duration,
    /// Relays that reports and announcements go to beside our own. All monitors of one database
    /// need the same.
    pub publish_to: Vec<String>,
    /// The most relays checked at once on each network. A check holds up to two connections, so
    /// half of the network's `max_connections` is a bound too.
    pub concurrency: u32,
    /// The longest wait for the WebSocket, on top of the network's `connect_timeout`.
    #[serde(with = "duration")]
    pub open_timeout: Duration,
    /// How often it is tried again after a connection that broke. A refusal, a bad certificate
    /// and a time-out are answers.
    pub open_retries: u32,
    /// Whether relays are asked for an event.
    pub read: bool,
    /// The longest wait for the answer to that.
    #[serde(with = "duration")]
    pub read_timeout: Duration,
    /// How often it is tried again after silence.
    pub read_retries: u32,
    /// Whether relays are sent an ephemeral event signed by our key.
    pub write: bool,
    /// The longest wait for the answer to that.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// How often it is tried again after silence.
    pub write_retries: u32,
    /// Whether we sign in (NIP-42) where a relay refuses strangers, to find out what it then
    /// allows. What is published stays what a stranger gets.
    pub auth: bool,
    /// The longest time for signing in.
    #[serde(with = "duration")]
    pub auth_timeout: Duration,
    /// Whether the event is given the proof of work (NIP-13) that a relay asks for.
    pub pow: bool,
    /// The most proof of work, leading zero bits: each doubles the time.
    pub pow_max_bits: u32,
    /// The longest time for finding it.
    #[serde(with = "duration")]
    pub pow_timeout: Duration,
    /// Whether the information document (NIP-11) is fetched.
    pub nip11: bool,
    /// The longest time for that, redirects included.
    #[serde(with = "duration")]
    pub nip11_timeout: Duration,
    /// How often it is tried again after a connection that broke.
    pub nip11_retries: u32,
    /// Whether the HTTP headers that come with it are told: server, CORS and the like.
    pub http: bool,
    /// Whether the certificate is read. Whether it is valid is told in any case.
    pub ssl: bool,
    /// Whether DNS is asked about the relay's name: addresses, aliases, name servers. Clearnet
    /// only, and not where a proxy resolves the names.
    pub dns: bool,
    /// The longest time for that.
    #[serde(with = "duration")]
    pub dns_timeout: Duration,
    /// How often it is tried again when no name server answers.
    pub dns_retries: u32,
    /// Whether the relay's address is looked up in `geo_city_database`.
    pub geo: bool,
    /// A database of places in MaxMind's format, such as `GeoLite2-City.mmdb`; it is kept in
    /// memory. Empty: places are not told.
    pub geo_city_database: PathBuf,
    /// Whether the relay's address is looked up in `geo_asn_database`.
    pub net: bool,
    /// A database of networks in MaxMind's format, such as `GeoLite2-ASN.mmdb`. Empty: networks are
    /// not told.
    pub geo_asn_database: PathBuf,
    /// Whether COUNT (NIP-45) is tried.
    pub count: bool,
    /// Whether search (NIP-50) is tried.
    pub search: bool,
    /// Whether reconciliation (NIP-77) is tried.
    pub negentropy: bool,
    /// The longest wait for the answers to these three, which are asked at once.
    #[serde(with = "duration")]
    pub capabilities_timeout: Duration,
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
            priority_interval: Duration::from_mins(10),
            retry_interval: Duration::from_mins(15),
            max_retry_interval: Duration::from_hours(24),
            jitter: 0.1,
            publish_interval: Duration::from_hours(1),
            publish_to: Vec::new(),
            concurrency: 500,
            open_timeout: Duration::from_secs(10),
            open_retries: 1,
            read: true,
            read_timeout: Duration::from_secs(10),
            read_retries: 0,
            write: true,
            write_timeout: Duration::from_secs(10),
            write_retries: 0,
            auth: true,
            auth_timeout: Duration::from_secs(10),
            pow: true,
            pow_max_bits: 20,
            pow_timeout: Duration::from_secs(5),
            nip11: true,
            nip11_timeout: Duration::from_secs(15),
            nip11_retries: 1,
            http: true,
            ssl: true,
            dns: true,
            dns_timeout: Duration::from_secs(5),
            dns_retries: 1,
            geo: true,
            geo_city_database: PathBuf::new(),
            net: true,
            geo_asn_database: PathBuf::new(),
            count: true,
            search: true,
            negentropy: true,
            capabilities_timeout: Duration::from_secs(5),
            geohash: String::new(),
            name: String::new(),
            about: String::new(),
            relay_list: true,
        }
    }
}

impl MonitorConfig {
    /// Returns how often a relay that is online is checked, at the latest.
    pub(super) fn interval_of(&self, priority: bool) -> Duration {
        if priority {
            self.priority_interval
        } else {
            self.interval
        }
    }

    /// Returns the relays of `publish_to`, or what is wrong with one.
    pub(super) fn targets(
        &self,
        policy: UrlPolicy,
    ) -> Result<Vec<RelayUrl>, (String, RelayUrlError)> {
        let parse = |url: &String| RelayUrl::parse(url, &policy).map_err(|e| (url.clone(), e));
        self.publish_to.iter().map(parse).collect()
    }

    /// Returns the most connections that one check holds.
    pub(super) fn connections_per_check(&self) -> u32 {
        if self.nip11 { 2 } else { 1 }
    }

    /// Says whether anything is tried that a relay need not be able to do.
    pub(super) fn tries_capabilities(&self) -> bool {
        self.count || self.search || self.negentropy
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
            ("priority_interval", self.priority_interval),
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
            ("auth_timeout", self.auth_timeout),
            ("pow_timeout", self.pow_timeout),
            ("nip11_timeout", self.nip11_timeout),
            ("dns_timeout", self.dns_timeout),
            ("capabilities_timeout", self.capabilities_timeout),
        ] {
            checks.duration(key, value, Duration::from_millis(1)..=seconds(600));
        }
        for (key, retries) in [
            ("open_retries", self.open_retries),
            ("read_retries", self.read_retries),
            ("write_retries", self.write_retries),
            ("nip11_retries", self.nip11_retries),
            ("dns_retries", self.dns_retries),
        ] {
            checks.range(key, retries, 0..=5);
        }
        checks.range("pow_max_bits", self.pow_max_bits, 0..=32);
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
        checks.require(
            self.priority_interval <= self.interval,
            "priority_interval",
            "priority_interval is longer than interval: priority relays are checked more often",
        );
        self.validate_targets(&mut checks);
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

impl MonitorConfig {
    fn validate_targets(&self, checks: &mut Checks) {
        // Whether private addresses are allowed is another section's; the dialer sees to it.
        let anywhere = UrlPolicy {
            allow_private: true,
            ..UrlPolicy::default()
        };
        match self.targets(anywhere) {
            Err((url, error)) => {
                let message = format!("{url:?} is not a relay url: {error}");
                let hint = "expected e.g. wss://relay.example.com";
                checks.push(Invalid::new("publish_to", message).with_hint(hint));
            }
            Ok(mut urls) => {
                let given = urls.len();
                urls.sort();
                urls.dedup();
                checks.require(urls.len() == given, "publish_to", "a relay is listed twice");
                let most = format!("more than {MAX_TARGETS} relays");
                checks.require(given <= MAX_TARGETS, "publish_to", most);
            }
        }
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
            priority_interval: Duration::from_hours(2),
            publish_interval: Duration::from_mins(1),
            publish_to: vec!["wss://relay.example.com".into(), "example.com".into()],
            concurrency: 0,
            nip11_retries: 6,
            pow_max_bits: 64,
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
                "nip11_retries",
                "pow_max_bits",
                "jitter",
                "concurrency",
                "publish_interval",
                "priority_interval",
                "publish_to",
                "geohash",
                "about"
            ]
        );
    }
}
