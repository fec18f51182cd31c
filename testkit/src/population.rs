//! A deterministic, signed, realistic population of events.
//!
//! Owns what events look like: who writes how often, which kinds, how long, which tags. The same
//! [`PopulationConfig`] gives the same ids and signatures on every run and machine; no system
//! randomness or clock takes part. Serving events is the job of [`crate::relay`].

mod contents;
mod corpus;
mod generator;
mod invalid;
mod kinds;
mod maker;
mod sim_event;

use std::time::Duration;

use nostr::Keys;
use sha2::{Digest, Sha256};

pub use self::corpus::Corpus;
pub use self::generator::Generator;
pub use self::invalid::InvalidEvents;
pub use self::maker::{EventMaker, author_keys, sign};
pub use self::sim_event::SimEvent;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PopulationConfig {
    /// Everything follows from it.
    pub seed: u64,
    /// How many events.
    pub events: usize,
    /// How many authors; how often each writes follows Zipf's law.
    pub authors: usize,
    /// When the newest event is made: Unix seconds.
    pub now: i64,
    /// The time from the oldest event to the newest.
    pub span: Duration,
    /// Relay URLs that events mention in hints and relay lists.
    pub relay_urls: Vec<String>,
}

impl PopulationConfig {
    /// Describes `events` events over the 30 days before `now`, by one author per 50 events.
    pub fn new(seed: u64, events: usize, now: i64) -> Self {
        Self {
            seed,
            events,
            authors: (events / 50).clamp(5, 10_000),
            now,
            span: Duration::from_hours(30 * 24),
            relay_urls: ["relay.one", "nos.two", "relay.three.example", "four.onion"]
                .iter()
                .map(|host| format!("wss://{host}/"))
                .collect(),
        }
    }
}

/// Generated events, oldest first, and their authors.
#[derive(Debug, Clone)]
pub struct Population {
    events: Vec<SimEvent>,
    authors: Vec<Keys>,
}

impl Population {
    /// Generates and signs the events: about 15,000 per second and core in release builds.
    ///
    /// This is CPU work; async callers run it off the async threads if it is more than a few
    /// thousand events.
    pub fn generate(config: &PopulationConfig) -> Self {
        let mut generator = Generator::new(config);
        let span = i64::try_from(config.span.as_secs()).unwrap_or(i64::MAX);
        let last = config.events.saturating_sub(1).max(1) as f64;
        let drafts = (0..config.events).map(|n| {
            // Evenly spread in time, newest exactly at `now`.
            let age = ((config.events - 1 - n) as f64 / last * span as f64) as i64;
            config.now.saturating_sub(age).max(0)
        });
        let drafts: Vec<_> = drafts
            .map(|created_at| generator.draft(created_at))
            .collect();
        Self {
            events: generator.sign_all(drafts),
            authors: generator.into_authors(),
        }
    }

    /// Borrows the events, oldest first.
    pub fn events(&self) -> &[SimEvent] {
        &self.events
    }

    /// Borrows the authors' keys, most active first.
    pub fn authors(&self) -> &[Keys] {
        &self.authors
    }

    /// Returns the events that relay number `relay` of `relays` has, oldest first.
    ///
    /// Each event has one home relay, and is on every other one with probability `overlap`: with 0
    /// the relays share nothing, with 1 all have everything; together they always have everything.
    pub fn subset(&self, relay: usize, relays: usize, overlap: f64) -> Vec<SimEvent> {
        let relays = relays.max(1) as u64;
        let on_relay = |event: &&SimEvent| {
            let id = event.id().0;
            spread(&id, u64::MAX) % relays == relay as u64
                || (spread(&id, relay as u64) as f64 / u64::MAX as f64) < overlap
        };
        self.events.iter().filter(on_relay).cloned().collect()
    }
}

/// Hashes an id and a number to a number that is evenly spread.
fn spread(id: &[u8; 32], salt: u64) -> u64 {
    let digest = Sha256::new()
        .chain_update(id)
        .chain_update(salt.to_be_bytes())
        .finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}
