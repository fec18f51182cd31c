//! Relays with names, a monitor that runs, and looks into the database.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::{SharedClock, SystemClock};
use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_core::service::{Health, Service, ServiceContext};
use bigbrotr_crawler::dial::{Dialer, NetworkConfig, NetworksConfig, TableResolver};
use bigbrotr_crawler::monitor::{
    CheckResult, MonitorConfig, MonitorProgress, MonitorService, check_relay,
};
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::store::Store;
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::SimRelayConfig;
use bigbrotr_testkit::relay::faults::Fault;
use nostr::Keys;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The only name that the tests' resolver knows; it leads to this machine.
pub(crate) const HOST: &str = "relay.example.com";

/// Longer than somebody rests who could not be reached: on a busy machine that happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Loopback allowed, short times, room for many relays at one address.
pub(crate) fn networks() -> NetworksConfig {
    let clearnet = NetworkConfig {
        connect_timeout: Duration::from_secs(2),
        max_connections_per_ip: NonZeroU32::new(1_000).unwrap(),
        max_dials_per_second: None,
        max_dials_per_second_per_ip: None,
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

pub(crate) fn config() -> MonitorConfig {
    let patience = Duration::from_secs(3);
    MonitorConfig {
        open_timeout: patience,
        read_timeout: patience,
        write_timeout: patience,
        nip11_timeout: patience,
        auth_timeout: patience,
        dns_timeout: patience,
        capabilities_timeout: patience,
        ..MonitorConfig::default()
    }
}

/// As [`config`], for relays that answer nothing.
pub(crate) fn impatient() -> MonitorConfig {
    let patience = Duration::from_millis(300);
    MonitorConfig {
        open_timeout: patience,
        read_timeout: patience,
        write_timeout: patience,
        nip11_timeout: patience,
        nip11_retries: 0,
        open_retries: 0,
        auth_timeout: patience,
        pow_timeout: patience,
        dns_timeout: patience,
        capabilities_timeout: patience,
        ..MonitorConfig::default()
    }
}

pub(crate) async fn relay_with<F: Into<Fault>>(faults: impl IntoIterator<Item = F>) -> SimRelay {
    SimRelay::start(SimRelayConfig::with_faults(faults))
        .await
        .unwrap()
}

pub(crate) async fn healthy_relay() -> SimRelay {
    SimRelay::start(SimRelayConfig::default()).await.unwrap()
}

/// The relay's URL under a name that anybody may have.
pub(crate) fn url_of(relay: &SimRelay) -> RelayUrl {
    let url = format!("ws://{HOST}:{}", relay.address().port());
    RelayUrl::parse(&url, &UrlPolicy::default()).unwrap()
}

/// Checks a relay without any database.
pub(crate) async fn check(relay: &SimRelay, config: &MonitorConfig) -> CheckResult {
    check_url(&url_of(relay), config).await
}

/// Checks whatever is at a URL.
pub(crate) async fn check_url(url: &RelayUrl, config: &MonitorConfig) -> CheckResult {
    let (dialer, keys) = (dialer(networks()), Keys::generate());
    check_relay(&dialer, url, config, &keys, 1_700_000_000).await
}

/// A monitor that runs. Dropping it lets it go without waiting.
pub(crate) struct Running {
    pub(crate) monitor: Arc<MonitorService>,
    pub(crate) health: watch::Receiver<Health>,
    stop: CancellationToken,
    run: JoinSet<()>,
}

impl Running {
    pub(crate) fn start(store: &Store, config: MonitorConfig, keys: &Keys) -> Self {
        Self::start_at(store, config, keys, Arc::new(SystemClock))
    }

    pub(crate) fn start_at(
        store: &Store,
        config: MonitorConfig,
        keys: &Keys,
        clock: SharedClock,
    ) -> Self {
        Self::start_through(dialer(networks()), store, config, keys, clock)
    }

    pub(crate) fn start_through(
        dialer: Dialer,
        store: &Store,
        config: MonitorConfig,
        keys: &Keys,
        clock: SharedClock,
    ) -> Self {
        let monitor = MonitorService::new(
            config,
            dialer,
            store.clone(),
            keys.clone(),
            Some("wss://monitor.example.com".to_owned()),
            clock,
            &prometheus::Registry::new(),
        );
        let (monitor, stop) = (monitor.unwrap(), CancellationToken::new());
        let (context, health) = ServiceContext::new(stop.clone());
        let mut run = JoinSet::new();
        let service = monitor.clone();
        run.spawn(async move { service.run(context).await.unwrap() });
        Self {
            monitor,
            health,
            stop,
            run,
        }
    }

    /// Waits until everything that was due is done.
    pub(crate) async fn idle(&self) -> MonitorProgress {
        let idle = tokio::time::timeout(PATIENCE, self.monitor.idle()).await;
        idle.expect("the monitor did not get through its relays")
    }

    /// Waits for a state of the progress.
    pub(crate) async fn until(&self, reached: impl Fn(&MonitorProgress) -> bool) {
        let mut progress = self.monitor.progress();
        let waited = tokio::time::timeout(PATIENCE, progress.wait_for(|now| reached(now))).await;
        waited.expect("the monitor did not get there").unwrap();
    }

    /// Waits for a state of health.
    pub(crate) async fn until_health(&mut self, name: &str) {
        let reached = self.health.wait_for(|health| health.as_str() == name);
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        waited
            .expect("the monitor's health did not change")
            .unwrap();
    }

    /// Stops the monitor and waits for its end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.run.join_next()).await;
        ended.expect("the monitor did not stop").unwrap().unwrap();
    }
}

/// Waits until something holds.
pub(crate) async fn until(mut reached: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !reached().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("it did not come to that");
}

/// The events of a kind on our relay, all verified.
pub(crate) async fn published(store: &Store, kind: u16) -> Vec<Event> {
    let filter = Filter {
        kinds: Some([kind].into()),
        ..Filter::default()
    };
    let stored = store.query_relay_events(&filter, 1_000).await.unwrap();
    let events: Vec<Event> = stored
        .iter()
        .map(|stored| stored.event().unwrap())
        .collect();
    for event in &events {
        event.verify().unwrap();
    }
    events
}

/// What the catalogue says of a relay.
pub(crate) async fn stored(store: &Store, url: &RelayUrl) -> Value {
    let catalog = Catalog::load(store.clone(), &[]).await.unwrap();
    let params = BTreeMap::from([("url".to_owned(), url.to_string())]);
    let answer = catalog.run("relays.get", &params).await.unwrap();
    serde_json::from_str::<Value>(&answer.json).unwrap()["data"].take()
}

/// The values of all tags with this name.
pub(crate) fn values<'a>(event: &'a Event, name: &'a str) -> Vec<&'a str> {
    event.tag_values(name).collect()
}
