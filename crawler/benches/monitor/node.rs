//! The node under measure: the monitor with its real store, as the binary wires it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_core::service::{Service, ServiceContext};
use bigbrotr_crawler::dial::{Dialer, NetworksConfig, Resolve, ResolveError};
use bigbrotr_crawler::monitor::{MonitorConfig, MonitorService};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use bigbrotr_schema::store::Store;
use bigbrotr_testkit::bench::option;
use futures_util::future::BoxFuture;
use nostr::Keys;
use prometheus::Registry;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::farm::Listed;
use crate::mix::Found;

/// What a name server on the Internet takes to answer.
const DNS_LATENCY: Duration = Duration::from_millis(20);

/// Knows the relays' names.
struct Names(HashMap<String, IpAddr>);

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            tokio::time::sleep(DNS_LATENCY).await;
            let ip = self.0.get(host).ok_or(ResolveError::NotFound)?;
            Ok(vec![*ip])
        })
    }
}

/// The latest check of a relay.
#[derive(sqlx::FromRow)]
struct Finding {
    relay: String,
    openable: bool,
    readable: Option<bool>,
    writable: Option<bool>,
    documented: bool,
    document: String,
}

/// The database and the store on it.
pub(crate) struct Database {
    server: EmbeddedPostgres,
    pub(crate) store: Store,
    _folder: tempfile::TempDir,
}

impl Database {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = EmbeddedPostgres::start(EmbeddedConfig::new(folder.path().join("data")))
            .await
            .expect("a server");
        let config = Arc::new(DatabaseConfig::default());
        let store = Store::connect(&server.connection_url(), config, Arc::new(SystemClock))
            .await
            .expect("a connection");
        store.migrate().await.expect("migrations");
        Self {
            server,
            store,
            _folder: folder,
        }
    }

    /// Adds the relays: their checks are due at once.
    pub(crate) async fn seed(&self, relays: &[Listed]) {
        let urls: Vec<RelayUrl> = relays
            .iter()
            .map(|relay| RelayUrl::parse(&relay.url, &UrlPolicy::default()).expect("a URL"))
            .collect();
        let new = self.store.insert_relays(&urls).await.expect("relays");
        assert_eq!(new as usize, relays.len(), "all relays are new");
    }

    /// Reads what the latest checks found, by URL.
    pub(crate) async fn findings(&self) -> HashMap<String, (Found, String)> {
        let mut connection = self.connection().await;
        let rows: Vec<Finding> = sqlx::query_as(
            "select relay, openable, readable, writable, nip11 is not null as documented,
                nip66::text as document
             from relay_metadata_latest",
        )
        .fetch_all(&mut connection)
        .await
        .expect("findings");
        rows.into_iter()
            .map(|row| {
                let found = Found {
                    online: row.openable,
                    readable: row.readable,
                    writable: row.writable,
                    information: row.documented,
                };
                (row.relay, (found, row.document))
            })
            .collect()
    }

    /// Reads the times to open of relays that are online, milliseconds, in order, by URL.
    pub(crate) async fn open_times(&self) -> Vec<(String, i32)> {
        sqlx::query_as(
            "select relay, rtt_open_ms from relay_metadata_latest
             where rtt_open_ms is not null order by rtt_open_ms",
        )
        .fetch_all(&mut self.connection().await)
        .await
        .expect("times")
    }

    /// Counts the reports on our relay.
    pub(crate) async fn reports(&self) -> i64 {
        sqlx::query_scalar("select count(*) from relay_events where kind = 30166")
            .fetch_one(&mut self.connection().await)
            .await
            .expect("a number")
    }

    async fn connection(&self) -> PgConnection {
        let url = self.server.connection_url();
        PgConnection::connect(&url).await.expect("a connection")
    }

    pub(crate) async fn stop(self) {
        self.store.close().await;
        self.server.stop().await.expect("a stop");
    }
}

/// The monitor at work.
pub(crate) struct Node {
    pub(crate) monitor: Arc<MonitorService>,
    pub(crate) registry: Registry,
    stop: CancellationToken,
    run: JoinSet<()>,
}

impl Node {
    /// Starts it, with the default configuration but for what is allowed to be reached and what
    /// the options say.
    pub(crate) fn start(
        database: &Database,
        relays: &[Listed],
        root: Vec<u8>,
        config: MonitorConfig,
    ) -> Self {
        let names = relays
            .iter()
            .filter_map(|relay| Some((relay.host.clone(), relay.ip?)))
            .collect();
        let dialer = Dialer::with(networks(), Arc::new(Names(names)), &[root.into()]);
        let registry = Registry::new();
        let monitor = MonitorService::new(
            config,
            dialer.expect("a dialer"),
            database.store.clone(),
            Keys::generate(),
            Some("wss://monitor.example.com".to_owned()),
            Arc::new(SystemClock),
            &registry,
        )
        .expect("a monitor");
        let stop = CancellationToken::new();
        let (context, _) = ServiceContext::new(stop.clone());
        let (mut run, service) = (JoinSet::new(), monitor.clone());
        run.spawn(async move { service.run(context).await.expect("a run") });
        Self {
            monitor,
            registry,
            stop,
            run,
        }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.run.join_next().await.expect("a run").expect("its end");
    }
}

/// The monitor's configuration: the default, but for what the options say.
pub(crate) fn config() -> MonitorConfig {
    let default = MonitorConfig::default();
    MonitorConfig {
        concurrency: option("concurrency", default.concurrency),
        ..default
    }
}

fn networks() -> NetworksConfig {
    let mut networks = NetworksConfig {
        allow_private: true,
        ..NetworksConfig::default()
    };
    let clearnet = &mut networks.clearnet;
    clearnet.max_connections = option("connections", clearnet.max_connections);
    let pace = clearnet.max_dials_per_second.map_or(0, NonZeroU32::get);
    clearnet.max_dials_per_second = NonZeroU32::new(option("dials-per-second", pace));
    networks
}
