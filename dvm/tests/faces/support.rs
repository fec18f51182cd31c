//! A filled database, running services, a customer and an HTTP client.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::{SharedClock, SystemClock};
use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::filter::Filter;
use bigbrotr_core::health::HealthBoard;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_core::service::{Health, Service, ServiceContext};
use bigbrotr_dvm::ask::JobRequest;
use bigbrotr_dvm::{ApiConfig, ApiService, DvmConfig, DvmService};
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::ingest::{Ingest, IngestMetrics};
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::{Population, PopulationConfig, SimEvent};
use nostr::{EventBuilder, Keys};
use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a test waits for what must happen. Long: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const RELAY: &str = "wss://a.example.com/nostr";

/// A database with something in it, and who is who.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) node: Keys,
    pub(crate) customer: Keys,
    pub(crate) database: TestDatabase,
}

impl World {
    pub(crate) async fn new() -> Self {
        let (store, database) = test_store().await;
        fill(&store).await;
        Self::on(store, database).await
    }

    pub(crate) async fn on(store: Store, database: TestDatabase) -> Self {
        Self {
            catalog: Arc::new(Catalog::load(store.clone(), &[]).await.unwrap()),
            store,
            node: Keys::generate(),
            customer: Keys::generate(),
            database,
        }
    }

    /// Makes a data vending machine of this node.
    pub(crate) fn dvm(&self, config: DvmConfig) -> Arc<DvmService> {
        self.dvm_by(config, Arc::new(SystemClock))
    }

    /// Makes one that goes by this clock.
    pub(crate) fn dvm_by(&self, config: DvmConfig, clock: SharedClock) -> Arc<DvmService> {
        let (catalog, store, keys) = (self.catalog.clone(), self.store.clone(), self.node.clone());
        DvmService::new(config, catalog, store, keys, clock, &Registry::new()).unwrap()
    }

    /// Starts a data vending machine of this node.
    pub(crate) async fn start_dvm(&self) -> Running {
        Running::start(self.dvm(quick())).await
    }

    /// Starts a REST mirror of this node.
    pub(crate) async fn start_api(&self, config: ApiConfig) -> (Running, SocketAddr) {
        self.start_api_with(config, HealthBoard::default()).await
    }

    pub(crate) async fn start_api_with(
        &self,
        config: ApiConfig,
        board: HealthBoard,
    ) -> (Running, SocketAddr) {
        let config = ApiConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..config
        };
        let (clock, registry) = (Arc::new(SystemClock), Registry::new());
        let api = ApiService::bind(config, self.catalog.clone(), board, clock, &registry)
            .await
            .unwrap();
        let address = api.local_addr();
        (Running::start(api).await, address)
    }

    /// Puts a request on our relay; returns its id.
    pub(crate) async fn send(&self, request: &JobRequest) -> EventId {
        self.send_event(request.to_event_builder().unwrap()).await
    }

    pub(crate) async fn send_event(&self, builder: EventBuilder) -> EventId {
        let event = Event::from(&builder.sign_with_keys(&self.customer).unwrap());
        self.store.publish(&event).await.unwrap();
        event.id
    }

    /// Everything on our relay that refers to a request, oldest first.
    pub(crate) async fn answers(&self, request: EventId) -> Vec<Event> {
        answers(&self.store, request).await
    }

    /// Waits for a result or an error; there must be no more than one.
    pub(crate) async fn answer(&self, request: EventId) -> Event {
        eventually("an answer", async || {
            let answers = self.answers(request).await;
            let mut last = answers.into_iter().filter(is_final);
            let answer = last.next()?;
            assert!(last.next().is_none(), "answered twice");
            Some(answer)
        })
        .await
    }
}

pub(crate) async fn answers(store: &Store, request: EventId) -> Vec<Event> {
    let filter = Filter {
        tags: BTreeMap::from([('e', BTreeSet::from([request.to_hex()]))]),
        ..Filter::default()
    };
    let stored = store.query_relay_events(&filter, 100).await.unwrap();
    let mut stored: Vec<_> = stored.into_iter().filter(|s| s.id != request).collect();
    stored.sort_by_key(|stored| stored.number);
    stored
        .iter()
        .map(|stored| stored.event().unwrap())
        .collect()
}

pub(crate) fn is_final(event: &Event) -> bool {
    event.kind == 6450 || event.tag_value("status") == Some("error")
}

/// Polls until there is something.
pub(crate) async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = poll().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, waiting).await;
    found.unwrap_or_else(|elapsed| panic!("waited in vain for {what}: {elapsed}"))
}

/// Polls as often as is allowed.
pub(crate) fn quick() -> DvmConfig {
    DvmConfig {
        relay_url: "wss://relay.example.com".into(),
        poll_interval: Duration::from_secs(1),
        jobs_per_minute: 1_000,
        ..DvmConfig::default()
    }
}

async fn fill(store: &Store) {
    let urls: Vec<RelayUrl> = [RELAY, "ws://b.example.com"]
        .iter()
        .map(|url| RelayUrl::parse(url, &UrlPolicy::default()).unwrap())
        .collect();
    store.insert_relays(&urls).await.unwrap();
    let relay = store.get_relay(&urls[0]).await.unwrap().unwrap().id;
    let metrics = IngestMetrics::register(&Registry::new()).unwrap();
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let ingest = Ingest::start(store.clone(), metrics, &tracker, stop);
    let population = Population::generate(&PopulationConfig::new(1, 300, 1_700_000_000));
    let events = population.events().iter().map(SimEvent::event).collect();
    ingest.submit(events, Some(relay)).await.unwrap();
    store.rollup_to_end().await.unwrap();
}

/// A service at work.
pub(crate) struct Running {
    stop: CancellationToken,
    tasks: TaskTracker,
    pub(crate) health: watch::Receiver<Health>,
}

impl Running {
    /// Starts a service and waits until it is ready.
    pub(crate) async fn start(service: Arc<dyn Service>) -> Self {
        let mut running = Self::begin(service);
        running.until(|health| *health == Health::Ready).await;
        running
    }

    pub(crate) fn begin(service: Arc<dyn Service>) -> Self {
        let stop = CancellationToken::new();
        let (context, health) = ServiceContext::new(stop.clone());
        let tasks = context.tasks.clone();
        tasks.spawn(async move { service.run(context).await.unwrap() });
        Self {
            stop,
            tasks,
            health,
        }
    }

    pub(crate) async fn until(&mut self, is_so: impl FnMut(&Health) -> bool) {
        let waiting = tokio::time::timeout(PATIENCE, self.health.wait_for(is_so));
        waiting.await.expect("the health never came").unwrap();
    }

    /// Stops the service and waits for all of its tasks.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait())
            .await
            .expect("the service does not end");
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

pub(crate) async fn get(address: SocketAddr, target: &str) -> Http {
    http(address, "GET", target, &[]).await
}

/// One request on a connection of its own.
pub(crate) async fn http(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Http {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.extend([*name, ": ", *value, "\r\n"]);
    }
    request.push_str("\r\n");
    raw(address, &request).await
}

/// Sends bytes and reads until the end.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> Http {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // A server that refuses a request may reset the connection behind its answer.
        let read = stream.read_to_end(&mut bytes).await;
        assert!(read.is_ok() || !bytes.is_empty());
        bytes
    };
    let bytes = tokio::time::timeout(PATIENCE, exchange).await.unwrap();
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let (status, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let headers = fields
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Http {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers,
        body: bytes[end + 4..].to_vec(),
    }
}

/// A REST mirror's configuration that does not get in a test's way.
pub(crate) fn open() -> ApiConfig {
    ApiConfig {
        rate_burst: 100_000,
        ..ApiConfig::default()
    }
}

pub(crate) fn encode(segment: &str) -> String {
    percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
}
