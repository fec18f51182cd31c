//! The section `synchronizer`: how often, how much and which events are archived.

mod relay;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::config::{ByteSize, Checks, Invalid, Section, duration};
use bigbrotr_core::event::Pubkey;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use serde::{Deserialize, Serialize};

pub use self::relay::RelayRules;
use crate::limits;

/// How relays are archived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SynchronizerConfig {
    /// How long after it was caught up a relay is asked again, where it is not followed live.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// The most relays that are caught up with at once.
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
    /// Single-letter tags, each with values of which an event must have one. None: no condition.
    pub tags: BTreeMap<char, BTreeSet<String>>,
    /// What is left out.
    pub deny: DenyConfig,
    /// Exceptions for single relays, by URL.
    pub relays: BTreeMap<String, RelayRules>,
    /// Reconciliation of ids (NIP-77).
    pub negentropy: NegentropyConfig,
    /// Subscriptions that stay open.
    pub live: LiveConfig,
    /// How far below what is covered each scan begins: what reaches a relay later than this
    /// after it was made is found by a new full scan only.
    #[serde(with = "duration")]
    pub overlap: Duration,
    /// How often a relay that does not reconcile is scanned from end to end again, for events
    /// that reached it late.
    #[serde(with = "duration")]
    pub rescan_interval: Duration,
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
    /// How long a relay is left alone that does not let us read: paid, restricted, blocked.
    #[serde(with = "duration")]
    pub put_aside: Duration,
    /// The largest event, bytes of JSON; larger ones are refused.
    pub max_event_bytes: ByteSize,
}

/// What is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenyConfig {
    /// Relays that are not archived: URLs, or host names with all that is below them.
    pub relays: BTreeSet<String>,
    /// Kinds that are not archived.
    pub kinds: BTreeSet<u16>,
    /// Authors who are not archived, in hex.
    pub pubkeys: BTreeSet<Pubkey>,
}

impl DenyConfig {
    /// Says whether a relay is denied.
    pub fn denies(&self, relay: &RelayUrl) -> bool {
        let host = relay.host();
        self.relays.iter().any(|denied| {
            denied == relay.as_str()
                || denied == host
                || host
                    .strip_suffix(denied.as_str())
                    .is_some_and(|above| above.ends_with('.'))
        })
    }
}

/// Reconciliation of ids (NIP-77).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NegentropyConfig {
    /// Whether relays are asked to reconcile.
    pub enabled: bool,
    /// About how many events are reconciled at once: what memory depends on, here and there.
    pub window_events: u32,
    /// How often everything is reconciled again, for events that reached the relay late.
    #[serde(with = "duration")]
    pub full_interval: Duration,
    /// How long a refusal is remembered.
    #[serde(with = "duration")]
    pub refusal: Duration,
}

impl Default for NegentropyConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            window_events: 50_000,
            full_interval: Duration::from_hours(24),
            refusal: Duration::from_hours(24),
        }
    }
}

/// Subscriptions that stay open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveConfig {
    /// Whether relays are followed live once they are caught up.
    pub enabled: bool,
    /// The most relays that are followed at once; the others are asked every `interval`.
    pub max_relays: u32,
    /// How often a relay that is followed is asked whether it kept something back.
    #[serde(with = "duration")]
    pub verify_interval: Duration,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            max_relays: 2_000,
            verify_interval: Duration::from_mins(30),
        }
    }
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
            tags: BTreeMap::new(),
            deny: DenyConfig::default(),
            relays: BTreeMap::new(),
            negentropy: NegentropyConfig::default(),
            live: LiveConfig::default(),
            overlap: Duration::from_mins(10),
            rescan_interval: Duration::from_hours(30 * 24),
            request_timeout: limits::PAGE_IDLE_TIMEOUT,
            turn_timeout: Duration::from_mins(10),
            lease: Duration::from_mins(5),
            retry: Backoff {
                base: Duration::from_secs(30),
                factor: 2.0,
                max: Duration::from_hours(1),
                jitter: 0.5,
            },
            put_aside: Duration::from_hours(24),
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
        relay::check_choice(
            &mut checks,
            "",
            (self.since, self.until),
            self.kinds.as_deref(),
            &self.tags,
        );
        for (url, rules) in &self.relays {
            let policy = UrlPolicy {
                allow_private: true,
                ..UrlPolicy::default()
            };
            match RelayUrl::parse(url, &policy) {
                Ok(parsed) if parsed.as_str() == url => {}
                Ok(parsed) => checks.push(
                    Invalid::new("relays", format!("{url:?} is not a relay's canonical URL"))
                        .with_hint(format!("write {:?}", parsed.as_str())),
                ),
                Err(error) => checks.push(Invalid::new("relays", format!("{url:?}: {error}"))),
            }
            rules.check(&mut checks, url);
        }
        let events = limits::NEGENTROPY_WINDOW_EVENTS;
        checks.range(
            "negentropy.window_events",
            self.negentropy.window_events,
            events,
        );
        let full = self.negentropy.full_interval;
        checks.duration("negentropy.full_interval", full, second..=3650 * day);
        let refusal = self.negentropy.refusal;
        checks.duration("negentropy.refusal", refusal, second..=30 * day);
        checks.range("live.max_relays", self.live.max_relays, 0..=100_000);
        let verify = self.live.verify_interval;
        checks.duration("live.verify_interval", verify, second..=30 * day);
        checks.duration("overlap", self.overlap, Duration::ZERO..=365 * day);
        checks.duration("rescan_interval", self.rescan_interval, second..=3650 * day);
        checks.duration("request_timeout", self.request_timeout, millisecond..=hour);
        checks.duration("turn_timeout", self.turn_timeout, second..=day);
        checks.duration("lease", self.lease, second..=day);
        checks.duration("put_aside", self.put_aside, second..=365 * day);
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
        let rules = RelayRules {
            kinds: Some(Vec::new()),
            page_limit: Some(1),
            ..RelayRules::default()
        };
        let config = SynchronizerConfig {
            page_limit: 0,
            since: Some(10),
            until: Some(9),
            kinds: Some(Vec::new()),
            tags: [('t', BTreeSet::new()), ('1', ["x".to_owned()].into())].into(),
            relays: [
                ("wss://relay.example.com".to_owned(), rules),
                ("WSS://Relay.Example.com/".to_owned(), RelayRules::default()),
            ]
            .into(),
            lease: Duration::ZERO,
            ..SynchronizerConfig::default()
        };
        let refused = config.validate().unwrap_err();
        let keys: Vec<&str> = refused.iter().map(|invalid| invalid.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "page_limit",
                "until",
                "kinds",
                "tags.1",
                "tags.t",
                "relays",
                "relays.wss://relay.example.com.kinds",
                "relays.wss://relay.example.com.page_limit",
                "lease"
            ]
        );
    }

    #[test]
    fn a_denied_host_takes_what_is_below_it_along() {
        let deny = DenyConfig {
            relays: [
                "bad.example.com".to_owned(),
                "wss://one.example.com/path".to_owned(),
            ]
            .into(),
            ..DenyConfig::default()
        };
        let denies = |url: &str| deny.denies(&RelayUrl::parse(url, &UrlPolicy::default()).unwrap());
        assert!(denies("wss://bad.example.com"));
        assert!(denies("wss://relay.bad.example.com/x"));
        assert!(denies("wss://one.example.com/path"));
        assert!(!denies("wss://one.example.com"));
        assert!(!denies("wss://notbad.example.com"));
    }
}
