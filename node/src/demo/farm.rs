//! The simulated relays of the demonstration.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_core::event::EventId;
use bigbrotr_testkit::population::Generator;
use bigbrotr_testkit::relay::faults::{ConnectionFault, Fault, Order, ReadFault};
use bigbrotr_testkit::relay::{AuthPolicy, NegentropyConfig};
use bigbrotr_testkit::{Population, PopulationConfig, SimRelay, SimRelayConfig};
use tokio_util::sync::CancellationToken;

/// Events in the whole network.
const EVENTS: usize = 4_000;

/// How large a part of a relay's events other relays have too.
const OVERLAP: f64 = 0.6;

/// Seed of the population: every demonstration shows the same network.
const SEED: u64 = 2_026;

/// Relays of different character, on loopback.
pub(super) struct Farm {
    relays: Vec<Character>,
    live: std::sync::Mutex<Generator>,
}

/// A relay and what is special about it.
pub(super) struct Character {
    pub(super) relay: SimRelay,
    pub(super) about: &'static str,
    pub(super) online: bool,
}

impl Farm {
    /// Starts the relays, with a population that ends at `now` (Unix seconds).
    pub(super) async fn start(now: i64) -> anyhow::Result<Self> {
        let characters: [(&'static str, SimRelayConfig); 6] = [
            ("healthy", SimRelayConfig::default()),
            (
                "with NIP-77 and NIP-45",
                SimRelayConfig {
                    negentropy: Some(NegentropyConfig::default()),
                    count: true,
                    ..SimRelayConfig::default()
                },
            ),
            (
                "gives 50 events at most, silently",
                SimRelayConfig::with_faults([Fault::from(ReadFault::Cap {
                    events: 50,
                    order: Order::NewestFirst,
                })]),
            ),
            (
                "asks readers to authenticate",
                SimRelayConfig {
                    auth: AuthPolicy::Reads,
                    ..SimRelayConfig::default()
                },
            ),
            (
                "slow",
                SimRelayConfig::with_faults([Fault::from(ReadFault::Latency(
                    Duration::from_millis(60),
                ))]),
            ),
            (
                "offline",
                SimRelayConfig::with_faults([Fault::from(ConnectionFault::Refuse)]),
            ),
        ];
        let mut relays = Vec::new();
        for (about, config) in characters {
            let online = about != "offline";
            let relay = SimRelay::start(config)
                .await
                .context("cannot start a simulated relay")?;
            relays.push(Character {
                relay,
                about,
                online,
            });
        }
        // Events mention relays of this network only: the finder follows what it reads, and a
        // demonstration has no business with anybody else's relays.
        let config = PopulationConfig {
            relay_urls: relays
                .iter()
                .map(|character| character.relay.url())
                .collect(),
            ..PopulationConfig::new(SEED, EVENTS, now)
        };
        let population = Population::generate(&config);
        for (n, character) in relays.iter().enumerate() {
            if character.online {
                character.relay.load(population.subset(n, 5, OVERLAP));
            }
        }
        let live = std::sync::Mutex::new(Generator::new(&config));
        Ok(Self { relays, live })
    }

    /// How many relays there are.
    pub(super) fn len(&self) -> usize {
        self.relays.len()
    }

    /// The relays.
    pub(super) fn relays(&self) -> &[Character] {
        &self.relays
    }

    /// The ids that the relays hold, all together.
    pub(super) fn union(&self) -> BTreeSet<EventId> {
        self.relays
            .iter()
            .flat_map(|character| character.relay.events())
            .map(|event| event.id())
            .collect()
    }

    /// How many distinct events the relays hold.
    pub(super) fn union_len(&self) -> usize {
        self.union().len()
    }

    /// The relays as a seed list.
    pub(super) fn seed_list(&self) -> String {
        let mut list = String::from("# The simulated relays of a demonstration.\n");
        for character in &self.relays {
            list.push_str(&format!(
                "{}  # {}\n",
                character.relay.url(),
                character.about
            ));
        }
        list
    }

    /// Adds an event to one relay after the other, until `stop` is cancelled.
    pub(super) async fn live(&self, interval: Duration, stop: &CancellationToken) {
        for character in self
            .relays
            .iter()
            .filter(|character| character.online)
            .cycle()
        {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let mut generator = self
                .live
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let event = generator.next_at(SystemClock.now());
            drop(generator);
            character.relay.add(event);
        }
    }

    /// Stops the relays.
    pub(super) async fn stop(self) {
        for character in self.relays {
            character.relay.stop().await;
        }
    }
}
