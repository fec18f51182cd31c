//! Databases, and what stands for a process that ingests into one.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::{ManualClock, SharedClock};
use bigbrotr_core::event::Event;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::ingest::{Ingest, IngestMetrics, Ingested};
use bigbrotr_schema::store::{RelayId, Store};
use bigbrotr_schema::testing::test_store_with;
use bigbrotr_testkit::{Population, PopulationConfig, SimEvent};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) const NOW: i64 = 1_750_000_000;

/// Sets the seed of every randomised test, to repeat one that failed.
const SEED: &str = "BIGBROTR_TEST_SEED";

/// The seed of this run, which is printed where a test fails.
pub(crate) fn seed() -> (u64, StdRng) {
    let given = std::env::var_os(SEED).and_then(|seed| seed.to_str()?.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("to repeat: {SEED}={seed}");
    (seed, StdRng::seed_from_u64(seed))
}

/// A database of one test.
pub(crate) struct Archive {
    pub(crate) store: Store,
    pub(crate) clock: ManualClock,
    /// For looking and meddling behind the store's back.
    pub(crate) pool: PgPool,
    pub(crate) database: TestDatabase,
}

impl Archive {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::new(NOW);
        let (store, database) =
            test_store_with(DatabaseConfig::default(), Arc::new(clock.clone())).await;
        let pool = PgPool::connect(&database.url()).await.unwrap();
        Self {
            store,
            clock,
            pool,
            database,
        }
    }

    /// Starts what stands for another process on the same database.
    pub(crate) async fn node(&self) -> Node {
        Node::connect(&self.database.url(), Arc::new(self.clock.clone())).await
    }

    pub(crate) async fn relays(&self, count: usize) -> Vec<RelayId> {
        relays(&self.store, count).await
    }

    /// Runs statements that meddle.
    pub(crate) async fn meddle(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.pool).await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

pub(crate) async fn relays(store: &Store, count: usize) -> Vec<RelayId> {
    let mut ids = Vec::with_capacity(count);
    for n in 0..count {
        let url = RelayUrl::parse(
            &format!("wss://relay{n}.example.com"),
            &UrlPolicy::default(),
        )
        .unwrap();
        store
            .insert_relays(std::slice::from_ref(&url))
            .await
            .unwrap();
        ids.push(store.get_relay(&url).await.unwrap().unwrap().id);
    }
    ids
}

/// A store and an intake of their own: as much of a process as the database can see.
pub(crate) struct Node {
    pub(crate) store: Store,
    pub(crate) ingest: Ingest,
    registry: prometheus::Registry,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Node {
    pub(crate) async fn connect(url: &str, clock: SharedClock) -> Self {
        let config = DatabaseConfig {
            acquire_timeout: Duration::from_secs(3),
            max_connections: 6,
            ..DatabaseConfig::default()
        };
        Self::start(Store::connect(url, Arc::new(config), clock).await.unwrap())
    }

    pub(crate) fn start(store: Store) -> Self {
        let registry = prometheus::Registry::new();
        let metrics = IngestMetrics::register(&registry).unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let ingest = Ingest::start(store.clone(), metrics, &tasks, stop.clone());
        tasks.close();
        Self {
            store,
            ingest,
            registry,
            tasks,
            stop,
        }
    }

    pub(crate) async fn submit(
        &self,
        events: Vec<Event>,
        relay: Option<RelayId>,
    ) -> Result<Ingested, StoreError> {
        self.ingest.submit(events, relay).await
    }

    /// The value of a metric of the intake, all its labels together.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family
            .map(prometheus::proto::MetricFamily::get_metric)
            .unwrap_or_default();
        let value = |metric: &prometheus::proto::Metric| {
            metric.get_counter().get_value() + metric.get_gauge().get_value()
        };
        metrics.iter().map(value).sum::<f64>() as u64
    }

    /// Tells it to stop and waits until its tasks have ended.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_mins(1), self.tasks.wait()).await;
        assert!(ended.is_ok(), "the intake does not stop");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn population(seed: u64, events: usize) -> Vec<Event> {
    let population = Population::generate(&PopulationConfig::new(seed, events, NOW));
    population.events().iter().map(SimEvent::event).collect()
}

/// Asks again and again, until the answer is yes.
pub(crate) async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..3_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("gave up waiting until {what}");
}
