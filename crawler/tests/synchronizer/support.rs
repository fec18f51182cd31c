//! A database, an intake, relays, and synchronizers that can be stopped or killed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_core::service::{Health, Service, ServiceContext};
use bigbrotr_crawler::dial::{Dialer, NetworksConfig, TableResolver};
use bigbrotr_crawler::synchronizer::{
    LiveConfig, NegentropyConfig, SynchronizerConfig, SynchronizerService,
};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::ingest::{Ingest, IngestMetrics};
use bigbrotr_schema::store::{Coverage, RelayId, Store, SyncScope};
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::relay::faults::Fault;
use bigbrotr_testkit::{EventMaker, SimRelay, SimRelayConfig};
use nostr::Keys;
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The longest wait for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A database with relays in it.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) database: TestDatabase,
}

#[derive(Debug)]
struct Later(i64);

impl Clock for Later {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0 * 1_000
    }

    fn monotonic(&self) -> std::time::Instant {
        SystemClock.monotonic()
    }
}

/// A synchronizer that runs.
pub(crate) struct Running {
    pub(crate) service: Arc<SynchronizerService>,
    pub(crate) registry: Registry,
    pub(crate) health: watch::Receiver<Health>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Impatient: everything that is waited for happens within a second or two. Relays are paged
/// through, again and again.
pub(crate) fn config() -> SynchronizerConfig {
    SynchronizerConfig {
        interval: Duration::from_secs(1),
        concurrency: 8,
        request_timeout: Duration::from_millis(300),
        lease: Duration::from_secs(4),
        put_aside: Duration::from_millis(500),
        retry: Backoff {
            base: Duration::from_millis(200),
            max: Duration::from_millis(500),
            ..Backoff::default()
        },
        negentropy: NegentropyConfig {
            enabled: false,
            ..NegentropyConfig::default()
        },
        live: LiveConfig {
            enabled: false,
            ..LiveConfig::default()
        },
        ..SynchronizerConfig::default()
    }
}

/// As above, for relays that reconcile.
pub(crate) fn reconciling() -> SynchronizerConfig {
    SynchronizerConfig {
        negentropy: NegentropyConfig {
            full_interval: Duration::from_hours(1),
            ..NegentropyConfig::default()
        },
        ..config()
    }
}

/// As above, for relays that are followed live.
pub(crate) fn following() -> SynchronizerConfig {
    SynchronizerConfig {
        live: LiveConfig::default(),
        ..reconciling()
    }
}

pub(crate) fn keys() -> Keys {
    author_keys(99, 0)
}

pub(crate) fn now() -> i64 {
    SystemClock.now()
}

/// So many notes, one every `step` seconds, the newest a minute ago.
pub(crate) fn notes(seed: u64, count: i64, step: i64) -> Vec<Event> {
    let newest = now() - 60;
    (0..count)
        .map(|n| note(seed, newest - n * step, n))
        .collect()
}

pub(crate) fn note(seed: u64, created_at: i64, n: i64) -> Event {
    EventMaker::new(created_at)
        .content(format!("note {n}"))
        .sign(&author_keys(seed, 0))
}

pub(crate) async fn relay_with<F: Into<Fault>>(
    events: Vec<Event>,
    faults: impl IntoIterator<Item = F>,
) -> SimRelay {
    let config = SimRelayConfig {
        faults: faults.into_iter().map(Into::into).collect(),
        ..SimRelayConfig::with_events(events)
    };
    SimRelay::start(config).await.unwrap()
}

pub(crate) async fn relay(events: Vec<Event>) -> SimRelay {
    relay_with::<Fault>(events, []).await
}

impl World {
    pub(crate) async fn new() -> Self {
        let (store, database) = test_store().await;
        Self { store, database }
    }

    /// A new database that knows these relays.
    pub(crate) async fn of(relays: &[&SimRelay]) -> Self {
        let world = Self::new().await;
        world.add(relays).await;
        world
    }

    pub(crate) async fn add(&self, relays: &[&SimRelay]) {
        let urls: Vec<RelayUrl> = relays.iter().map(|relay| url(relay)).collect();
        self.store.insert_relays(&urls).await.unwrap();
    }

    /// Another connection to the same database, at this address.
    pub(crate) async fn connect(&self, port: u16) -> Store {
        let here = format!(":{}/", self.database.port());
        let url = self.database.url();
        assert!(url.contains(&here), "{url}");
        let url = url.replace(&here, &format!(":{port}/"));
        let config = DatabaseConfig {
            acquire_timeout: Duration::from_secs(1),
            ..DatabaseConfig::default()
        };
        let clock = Arc::new(SystemClock);
        Store::connect(&url, Arc::new(config), clock).await.unwrap()
    }

    /// Another connection, so many seconds in the future.
    pub(crate) async fn later(&self, seconds: i64) -> Store {
        let (config, clock) = (Arc::default(), Arc::new(Later(seconds)));
        let url = self.database.url();
        Store::connect(&url, config, clock).await.unwrap()
    }

    pub(crate) fn start(&self, config: SynchronizerConfig) -> Running {
        Running::start(self.store.clone(), config)
    }

    pub(crate) async fn id(&self, relay: &SimRelay) -> RelayId {
        self.store.get_relay(&url(relay)).await.unwrap().unwrap().id
    }

    pub(crate) async fn coverage(&self, relay: &SimRelay) -> Coverage {
        let id = self.id(relay).await;
        self.store.get_coverage(id).await.unwrap().unwrap()
    }

    /// Waits until the relay is covered up to a point in time, with no scan under way.
    pub(crate) async fn covered(&self, relay: &SimRelay, to: i64) {
        until("the relay is covered", async || {
            let coverage = self.coverage(relay).await;
            coverage.covered_to >= Some(to) && coverage.scan_top.is_none()
        })
        .await;
    }

    pub(crate) async fn is_covered(&self, relay: &SimRelay) -> bool {
        self.coverage(relay).await.covered_to.is_some()
    }

    /// The archive: who had which event.
    pub(crate) async fn provenance(&self) -> BTreeMap<EventId, BTreeSet<String>> {
        let mut provenance = BTreeMap::new();
        let events = self.store.list_events(0, 1_000_000).await.unwrap();
        for (_, event) in events {
            let event = event.unwrap();
            event.verify().unwrap();
            let relays = self.store.list_event_relays(&event.id).await.unwrap();
            provenance.insert(event.id, relays.into_iter().collect());
        }
        provenance
    }

    /// Checks that the archive is exactly what these relays hold.
    pub(crate) async fn assert_holds(&self, relays: &[&SimRelay]) {
        let mut expected: BTreeMap<EventId, BTreeSet<String>> = BTreeMap::new();
        for relay in relays {
            let name = url(relay).as_str().to_owned();
            for event in relay.events() {
                expected.entry(event.id()).or_default().insert(name.clone());
            }
        }
        let archived = self.provenance().await;
        let missing = expected.keys().filter(|id| !archived.contains_key(id));
        assert_eq!(missing.count(), 0, "events are missing");
        assert_eq!(archived, expected);
    }

    /// Counts the relays with gaps.
    pub(crate) async fn gapped(&self) -> u64 {
        self.store.count_progress().await.unwrap().gapped
    }
}

impl Running {
    /// Starts a synchronizer with its own intake.
    pub(crate) fn start(store: Store, config: SynchronizerConfig) -> Self {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let registry = Registry::new();
        let metrics = IngestMetrics::register(&registry).unwrap();
        let ingest = Ingest::start(store.clone(), metrics, &tasks, stop.clone());
        let networks = NetworksConfig {
            allow_private: true,
            ..NetworksConfig::default()
        };
        let dialer = Dialer::with(networks, Arc::new(TableResolver::default()), &[]).unwrap();
        let clock = Arc::new(SystemClock);
        let service = SynchronizerService::new(
            SyncScope::All,
            config,
            dialer,
            store,
            ingest,
            keys(),
            clock,
            &registry,
        );
        let service = service.unwrap();
        let (context, health) = ServiceContext::new(stop.clone());
        let run = service.clone().run(context);
        tasks.spawn(async move { run.await.unwrap() });
        Self {
            service,
            registry,
            health,
            stop,
            tasks,
        }
    }

    /// Stops as the supervisor does, and waits for the end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        let ended = tokio::time::timeout(Duration::from_secs(20), self.tasks.wait());
        ended.await.expect("the synchronizer does not stop");
    }

    /// The value of a counter, all labels together.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let value = |metric: &prometheus::proto::Metric| {
            metric.get_counter().get_value() + metric.get_gauge().get_value()
        };
        family.map_or(0.0, |family| family.get_metric().iter().map(value).sum())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A synchronizer with a runtime of its own, so that it can be killed in the middle of anything.
pub(crate) struct Mortal {
    runtime: Option<tokio::runtime::Runtime>,
    _running: Running,
}

impl Mortal {
    pub(crate) async fn start(world: &World, config: SynchronizerConfig) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let url = world.database.url();
        let started = runtime.handle().spawn(async move {
            let clock = Arc::new(SystemClock);
            let database = Arc::new(DatabaseConfig::default());
            let store = Store::connect(&url, database, clock).await.unwrap();
            Running::start(store, config)
        });
        Self {
            _running: started.await.unwrap(),
            runtime: Some(runtime),
        }
    }

    /// Ends it as `kill -9` would: nothing is finished, nothing given back.
    pub(crate) fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) fn url(relay: &SimRelay) -> RelayUrl {
    let policy = UrlPolicy {
        allow_private: true,
        ..UrlPolicy::default()
    };
    RelayUrl::parse(&relay.url(), &policy).unwrap()
}

/// Waits until a condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("waited too long until {what}"));
}
