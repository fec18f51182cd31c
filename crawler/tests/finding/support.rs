//! A database with events, services that run, and looks into the candidates.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::clock::{ManualClock, SharedClock, SystemClock};
use bigbrotr_core::event::Event;
use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_core::service::{Health, Service, ServiceContext};
use bigbrotr_crawler::dial::{Dialer, NetworkConfig, NetworksConfig, TableResolver};
use bigbrotr_crawler::finder::{FinderConfig, FinderProgress, FinderService};
use bigbrotr_crawler::validator::{ValidatorConfig, ValidatorProgress, ValidatorService};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::store::{FoundBy, Mention, SiteBounds, Store};
use bigbrotr_schema::testing::{execute, look, test_store, test_store_with};
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::relay::faults::Fault;
use bigbrotr_testkit::{EventMaker, SimRelay, SimRelayConfig, TcpProxy};
use prometheus::Registry;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The only name that the tests' resolver knows; it leads to this machine.
pub(crate) const HOST: &str = "relay.example.com";

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Hardly any bounds, for tests of other things.
pub(crate) const NO_BOUNDS: SiteBounds = SiteBounds {
    per_host: 1_000,
    per_site: 100_000,
    pause_seconds: 0,
};

/// Loopback allowed, short times, room for many relays at one address.
pub(crate) fn networks() -> NetworksConfig {
    let clearnet = NetworkConfig {
        connect_timeout: Duration::from_secs(2),
        max_connections_per_ip: NonZeroU32::new(1_000).unwrap(),
        max_dials_per_second: None,
        ..NetworkConfig::default_of(Network::Clearnet)
    };
    NetworksConfig {
        allow_private: true,
        clearnet,
        ..NetworksConfig::default()
    }
}

pub(crate) fn dialer(networks: NetworksConfig) -> Dialer {
    let names = TableResolver::new([(HOST, [IpAddr::V4(Ipv4Addr::LOCALHOST)])]);
    Dialer::with(networks, Arc::new(names), &[]).unwrap()
}

pub(crate) fn finder_config() -> FinderConfig {
    FinderConfig {
        interval: Duration::from_millis(100),
        max_per_host: 1_000,
        site_pause: Duration::ZERO,
        list_timeout: Duration::from_secs(3),
        ..FinderConfig::default()
    }
}

pub(crate) fn validator_config() -> ValidatorConfig {
    let patience = Duration::from_secs(2);
    ValidatorConfig {
        open_timeout: patience,
        read_timeout: patience,
        ..ValidatorConfig::default()
    }
}

/// As [`validator_config`], for candidates that answer nothing.
pub(crate) fn impatient() -> ValidatorConfig {
    let patience = Duration::from_millis(300);
    ValidatorConfig {
        open_timeout: patience,
        read_timeout: patience,
        retry: Backoff {
            jitter: 0.0,
            ..ValidatorConfig::default().retry
        },
        ..ValidatorConfig::default()
    }
}

/// A database of its own, with a way to look into its tables.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) database: TestDatabase,
}

/// A candidate as it stands in the table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    pub(crate) url: String,
    pub(crate) source: String,
    pub(crate) due_at: i64,
    pub(crate) leased_until: i64,
    pub(crate) attempts: i32,
    pub(crate) given_up_at: Option<i64>,
    pub(crate) last_error: Option<String>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let (store, database) = test_store().await;
        Self { store, database }
    }

    /// A database whose clock is the test's.
    pub(crate) async fn at(clock: &ManualClock) -> Self {
        let clock = Arc::new(clock.clone());
        let (store, database) = test_store_with(DatabaseConfig::default(), clock).await;
        Self { store, database }
    }

    /// A store that reaches the database through a proxy, which can be cut.
    pub(crate) async fn through_proxy(&self) -> (Store, TcpProxy) {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.database.port()));
        let proxy = TcpProxy::start(server).await.unwrap();
        let (there, here) = (
            format!(":{}", server.port()),
            format!(":{}", proxy.address().port()),
        );
        let settings = DatabaseConfig {
            acquire_timeout: Duration::from_secs(3),
            ..DatabaseConfig::default()
        };
        let url = self.database.url().replace(&there, &here);
        let store = Store::connect(&url, Arc::new(settings), Arc::new(SystemClock))
            .await
            .unwrap();
        (store, proxy)
    }

    /// The rows of a query.
    pub(crate) async fn look<T: DeserializeOwned>(&self, sql: &str) -> Vec<T> {
        serde_json::from_value(look(&self.store, sql).await).unwrap()
    }

    /// The number that a query gives as `n`.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        look(&self.store, sql).await[0]["n"].as_i64().unwrap()
    }

    pub(crate) async fn run(&self, sql: &str) {
        execute(&self.store, sql).await;
    }

    /// Archives events.
    pub(crate) async fn archive(&self, events: &[Event]) {
        let events: Vec<&Event> = events.iter().collect();
        self.store.insert_events(&events, &[]).await.unwrap();
    }

    /// Puts URLs among the candidates as if they had been found.
    pub(crate) async fn add(&self, urls: &[RelayUrl]) {
        let mentions: Vec<Mention> = urls
            .iter()
            .map(|url| Mention {
                url: url.clone(),
                found_by: FoundBy::Hints,
            })
            .collect();
        let finding = self.store.begin_finding().await.unwrap().unwrap();
        finding.finish(&[], &mentions, NO_BOUNDS).await.unwrap();
    }

    pub(crate) async fn candidates(&self) -> Vec<Row> {
        self.look(
            "select url, source, due_at, leased_until, attempts, given_up_at, last_error
             from candidates order by url",
        )
        .await
    }

    pub(crate) async fn candidate(&self, url: &RelayUrl) -> Row {
        let rows = self.candidates().await;
        let found = rows.into_iter().find(|row| row.url == url.as_str());
        found.expect("the URL is no candidate")
    }

    /// The URLs of all candidates, each with where it was found.
    pub(crate) async fn found(&self) -> Vec<(String, String)> {
        let rows = self.candidates().await;
        rows.into_iter().map(|row| (row.url, row.source)).collect()
    }

    pub(crate) async fn relays(&self) -> Vec<String> {
        let rows: Vec<BTreeMap<String, String>> =
            self.look("select url from relays order by url").await;
        rows.into_iter().flat_map(BTreeMap::into_values).collect()
    }

    /// Runs a finder until it has nothing left to do.
    pub(crate) async fn find(&self, config: FinderConfig) -> Finder {
        let finder = Finder::start(&self.store, config);
        finder.idle().await;
        finder
    }
}

/// Tags and content of an event that somebody made.
pub(crate) fn event(n: u64, kind: u16, tags: &[&[&str]], content: &str) -> Event {
    let mut event = EventMaker::new(1_700_000_000 + n as i64).kind(kind);
    for tag in tags {
        event = event.tag(tag.iter().copied());
    }
    event.content(content).sign(&author_keys(1, n % 10))
}

/// A relay list with this one relay.
pub(crate) fn relay_list(n: u64, url: &str) -> Event {
    event(n, 10_002, &[&["r", url]], "")
}

pub(crate) fn url(text: &str) -> RelayUrl {
    let policy = UrlPolicy {
        allow_private: true,
        ..UrlPolicy::default()
    };
    RelayUrl::parse(text, &policy).unwrap()
}

pub(crate) async fn relay_with<F: Into<Fault>>(faults: impl IntoIterator<Item = F>) -> SimRelay {
    SimRelay::start(SimRelayConfig::with_faults(faults))
        .await
        .unwrap()
}

/// The relay's URL under a name that anybody may have.
pub(crate) fn url_of(relay: &SimRelay) -> RelayUrl {
    url(&format!("ws://{HOST}:{}", relay.address().port()))
}

/// A service that runs. Dropping it lets it go without waiting.
struct Task {
    health: watch::Receiver<Health>,
    stop: CancellationToken,
    run: JoinSet<()>,
}

impl Task {
    fn start(service: Arc<dyn Service>) -> Self {
        let stop = CancellationToken::new();
        let (context, health) = ServiceContext::new(stop.clone());
        let mut run = JoinSet::new();
        run.spawn(async move { service.run(context).await.unwrap() });
        Self { health, stop, run }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.run.join_next()).await;
        ended.expect("the service did not stop").unwrap().unwrap();
    }

    async fn until_health(&mut self, name: &str) {
        let reached = self.health.wait_for(|health| health.as_str() == name);
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        waited.expect("the health did not change").unwrap();
    }
}

/// A finder that runs.
pub(crate) struct Finder {
    service: Arc<FinderService>,
    registry: Registry,
    task: Task,
}

impl Finder {
    pub(crate) fn start(store: &Store, config: FinderConfig) -> Self {
        Self::start_with(store, config, dialer(networks()), Arc::new(SystemClock))
    }

    pub(crate) fn start_with(
        store: &Store,
        config: FinderConfig,
        dialer: Dialer,
        clock: SharedClock,
    ) -> Self {
        let registry = Registry::new();
        let service = FinderService::new(config, dialer, store.clone(), clock, &registry).unwrap();
        Self {
            task: Task::start(service.clone()),
            service,
            registry,
        }
    }

    /// Waits for a look, begun after this call, that leaves nothing to do.
    pub(crate) async fn idle(&self) -> FinderProgress {
        let before = self.service.progress().borrow().cycles;
        // One may have been under way.
        self.until(|now| now.cycles >= before + 2 && now.nothing_left)
            .await
    }

    pub(crate) async fn until(&self, reached: impl Fn(&FinderProgress) -> bool) -> FinderProgress {
        let mut progress = self.service.progress();
        let waited = tokio::time::timeout(PATIENCE, progress.wait_for(|now| reached(now))).await;
        *waited.expect("the finder did not get there").unwrap()
    }

    pub(crate) async fn until_health(&mut self, name: &str) {
        self.task.until_health(name).await;
    }

    /// What a counter of this finder says.
    pub(crate) fn urls(&self, source: &str, outcome: &str) -> u64 {
        let labels = [("source", source), ("outcome", outcome)];
        counter(&self.registry, "bigbrotr_finder_urls_total", &labels)
    }

    pub(crate) fn lists(&self, outcome: &str) -> u64 {
        counter(
            &self.registry,
            "bigbrotr_finder_lists_total",
            &[("outcome", outcome)],
        )
    }

    pub(crate) async fn stop(self) {
        self.task.stop().await;
    }
}

/// A validator that runs.
pub(crate) struct Validator {
    service: Arc<ValidatorService>,
    registry: Registry,
    task: Task,
}

impl Validator {
    pub(crate) fn start(store: &Store, config: ValidatorConfig) -> Self {
        Self::start_with(store, config, dialer(networks()), Arc::new(SystemClock))
    }

    pub(crate) fn start_with(
        store: &Store,
        config: ValidatorConfig,
        dialer: Dialer,
        clock: SharedClock,
    ) -> Self {
        let registry = Registry::new();
        let service =
            ValidatorService::new(config, dialer, store.clone(), clock, &registry).unwrap();
        Self {
            task: Task::start(service.clone()),
            service,
            registry,
        }
    }

    /// Waits until everything that was due is done.
    pub(crate) async fn idle(&self) -> ValidatorProgress {
        self.until(ValidatorProgress::is_idle).await
    }

    pub(crate) async fn until(
        &self,
        reached: impl Fn(&ValidatorProgress) -> bool,
    ) -> ValidatorProgress {
        let mut progress = self.service.progress();
        let waited = tokio::time::timeout(PATIENCE, progress.wait_for(|now| reached(now))).await;
        *waited.expect("the validator did not get there").unwrap()
    }

    pub(crate) async fn until_health(&mut self, name: &str) {
        self.task.until_health(name).await;
    }

    pub(crate) fn tries(&self, outcome: &str) -> u64 {
        counter(
            &self.registry,
            "bigbrotr_validator_tries_total",
            &[("outcome", outcome)],
        )
    }

    pub(crate) fn answers(&self, answer: &str) -> u64 {
        counter(
            &self.registry,
            "bigbrotr_validator_answers_total",
            &[("answer", answer)],
        )
    }

    pub(crate) async fn stop(self) {
        self.task.stop().await;
    }
}

fn counter(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> u64 {
    let families = registry.gather();
    let found = families
        .iter()
        .filter(|family| family.name() == name)
        .flat_map(prometheus::proto::MetricFamily::get_metric)
        .find(|metric| {
            labels.iter().all(|(name, value)| {
                metric
                    .get_label()
                    .iter()
                    .any(|label| label.name() == *name && label.value() == *value)
            })
        })
        .map(|metric| metric.get_counter().get_value());
    found.unwrap_or_default() as u64
}
