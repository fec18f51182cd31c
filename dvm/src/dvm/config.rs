//! The configuration section `dvm`.

use std::time::Duration;

use bigbrotr_core::config::{ByteSize, Checks, Invalid, Section, duration};
use bigbrotr_core::event::Pubkey;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use serde::{Deserialize, Serialize};

use super::question::Form;
use crate::ask::{COUNT_KIND, REQUEST_KIND};

/// How the data vending machine takes and answers jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DvmConfig {
    /// The kind of requests; results are of this kind plus 1000.
    pub kind: u16,
    /// The kind of requests for event counts, as the registry of kinds has it. 0: none.
    pub count_kind: u16,
    /// Our name in the announcement.
    pub name: String,
    /// What the announcement says about us.
    pub about: String,
    /// Our relay as customers reach it, written into answers as a hint. Empty: no hint; the node
    /// fills in `relay.public_url`, or where its relay listens.
    pub relay_url: String,
    /// Other relays on which to listen for requests, and on which to announce what we answer.
    pub listen_relays: Vec<String>,
    /// How old a request may be, since it reached our relay, to be answered still.
    #[serde(with = "duration")]
    pub max_age: Duration,
    /// Jobs at work at the same time.
    pub workers: u32,
    /// Jobs that one customer may send per minute; also how many at once.
    pub jobs_per_minute: u32,
    /// Jobs that may wait. Further ones are refused with feedback that says so.
    pub max_queue: u64,
    /// Jobs of one customer that may wait.
    pub max_queue_per_customer: u64,
    /// The longest event that a result may be. Longer lists end earlier, with a cursor.
    pub max_result_bytes: ByteSize,
    /// The price of a job in millisatoshis. 0: free.
    pub price_msats: u64,
    /// Who signs the receipts of zaps to this node (NIP-57): the `nostrPubkey` of our Lightning
    /// address, hex. Needed where there is a price.
    pub zap_provider: String,
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

impl DvmConfig {
    /// Lists the kinds of requests that are answered.
    pub(super) fn kinds(&self) -> Vec<u16> {
        let all = [self.kind, self.count_kind];
        all.into_iter().filter(|kind| *kind > 0).collect()
    }

    /// Says how requests of this kind are read, if they are.
    pub(super) fn form(&self, kind: u16) -> Option<Form> {
        match kind {
            0 => None,
            kind if kind == self.kind => Some(Form::Catalogue),
            kind if kind == self.count_kind => Some(Form::Count),
            _ => None,
        }
    }
}

impl Default for DvmConfig {
    fn default() -> Self {
        Self {
            kind: REQUEST_KIND,
            count_kind: COUNT_KIND,
            name: "BigBrotr".to_owned(),
            about: "Statistics of Nostr: events, kinds, relays and pubkeys, as this node has \
                    archived them."
                .to_owned(),
            relay_url: String::new(),
            listen_relays: Vec::new(),
            max_age: Duration::from_hours(1),
            workers: 4,
            jobs_per_minute: 60,
            max_queue: 1_000,
            max_queue_per_customer: 100,
            max_result_bytes: ByteSize::new(64 * 1024),
            price_msats: 0,
            zap_provider: String::new(),
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
        let counts = self.count_kind == 0
            || ((5_000..=5_999).contains(&self.count_kind) && self.count_kind != self.kind);
        checks.require(
            counts,
            "count_kind",
            format!(
                "{} is not 0, nor another kind from 5000 to 5999",
                self.count_kind
            ),
        );
        for url in &self.listen_relays {
            let policy = UrlPolicy {
                allow_private: true,
                ..UrlPolicy::default()
            };
            if let Err(error) = RelayUrl::parse(url, &policy) {
                checks.require(false, "listen_relays", format!("{url:?}: {error}"));
            }
        }
        checks.range("listen_relays", self.listen_relays.len(), 0..=50);
        let paid = Pubkey::from_hex(&self.zap_provider).is_ok();
        checks.require(
            if self.price_msats > 0 {
                paid
            } else {
                paid || self.zap_provider.is_empty()
            },
            "zap_provider",
            "a price needs the public key, hex, that signs receipts of zaps to this node",
        );
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
        checks.range(
            "max_queue_per_customer",
            self.max_queue_per_customer,
            1..=1_000_000,
        );
        checks.range(
            "max_result_bytes",
            self.max_result_bytes.bytes(),
            4_096..=16 * 1024 * 1024,
        );
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
            count_kind: 6_400,
            listen_relays: vec!["https://x.example".into()],
            price_msats: 1,
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
        assert_eq!(
            keys,
            [
                "kind",
                "count_kind",
                "listen_relays",
                "zap_provider",
                "relay_url",
                "workers",
                "claim_time"
            ]
        );
    }
}
