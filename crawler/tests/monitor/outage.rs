//! The database, or our network, goes away and comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bigbrotr_core::clock::{Clock, ManualClock, SharedClock, SystemClock};
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_crawler::dial::Dialer;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::{execute, look, test_store};
use bigbrotr_testkit::relay::faults::ReadFault;
use bigbrotr_testkit::{SimRelay, TcpProxy};
use nostr::Keys;
use serde_json::Value;

use crate::names::Names;
use crate::support::{
    Running, config, healthy_relay, impatient, networks, published, relay_with, stored, until,
    url_of,
};

#[tokio::test]
async fn an_outage_loses_no_check() {
    let (direct, database) = test_store().await;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, database.port()));
    let proxy = TcpProxy::start(server).await.unwrap();
    let (there, here) = (
        format!(":{}", server.port()),
        format!(":{}", proxy.address().port()),
    );
    let url = database.url().replace(&there, &here);
    let settings = DatabaseConfig {
        acquire_timeout: Duration::from_millis(500),
        ..DatabaseConfig::default()
    };
    let store = Store::connect(&url, Arc::new(settings), Arc::new(SystemClock))
        .await
        .unwrap();
    let relay = relay_with([ReadFault::Latency(Duration::from_millis(600))]).await;
    direct.insert_relays(&[url_of(&relay)]).await.unwrap();

    let mut running = Running::start(&store, config(), &Keys::generate());
    running.until_health("ready").await;
    running.until(|progress| progress.in_flight == 1).await;
    proxy.cut();
    running.until_health("degraded").await;
    // The check ends while the database is away.
    while relay.stats().open_sessions > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(running.monitor.progress().borrow().checked, 0);
    proxy.restore();
    running.until(|progress| progress.checked == 1).await;
    running.until_health("ready").await;
    running.stop().await;
    // What was found before is what was stored: the relay was not asked again.
    assert_eq!(relay.stats().sessions, 1);
    assert_eq!(stored(&direct, &url_of(&relay)).await["status"], "online");
    assert_eq!(published(&direct, 30_166).await.len(), 1);
}

/// Relays of several hosts, checked once; then a check of each is due, and one of another that
/// nobody can reach. `names` are the hosts.
struct Checked {
    store: Store,
    there: Arc<AtomicBool>,
    dialer: Dialer,
    relays: Vec<RelayUrl>,
    lost: RelayUrl,
    _relay: SimRelay,
    _database: TestDatabase,
}

impl Checked {
    async fn new(names: &[&str]) -> Self {
        let (store, database) = test_store().await;
        let (relay, there) = (healthy_relay().await, Arc::new(AtomicBool::new(true)));
        let url = |text: String| RelayUrl::parse(&text, &UrlPolicy::default()).unwrap();
        let port = relay.address().port();
        let relays = names.iter();
        let relays: Vec<_> = relays
            .map(|name| url(format!("ws://{name}.example.com:{port}")))
            .collect();
        let lost = url("ws://lost.example.com".to_owned());
        let names = Arc::new(Names(there.clone()));
        let dialer = Dialer::with(networks(), names, &[]).unwrap();
        let checked = Self {
            store,
            there,
            dialer,
            relays,
            lost,
            _relay: relay,
            _database: database,
        };
        checked.store.insert_relays(&checked.relays).await.unwrap();
        let running = checked.start_at(Arc::new(SystemClock));
        running
            .until(|now| now.online == checked.relays.len() as u64)
            .await;
        running.stop().await;
        let lost = std::slice::from_ref(&checked.lost);
        checked.store.insert_relays(lost).await.unwrap();
        execute(
            &checked.store,
            "update monitor_state set due_at = 0, leased_until = 0",
        )
        .await;
        checked
    }

    /// Starts a monitor, a minute later than the one before: of two checks of a relay in one second
    /// only one is on record.
    fn start(&self) -> Running {
        self.start_at(Arc::new(ManualClock::new(SystemClock.now() + 60)))
    }

    fn start_at(&self, clock: SharedClock) -> Running {
        let keys = Keys::generate();
        Running::start_through(self.dialer.clone(), &self.store, impatient(), &keys, clock)
    }

    async fn status(&self, relay: &RelayUrl) -> Value {
        stored(&self.store, relay).await["status"].take()
    }

    /// Counts the checks on record that found a relay offline.
    async fn offline(&self) -> i64 {
        self.number("select count(*) as n from relay_metadata where not openable")
            .await
    }

    async fn number(&self, sql: &str) -> i64 {
        look(&self.store, sql).await[0]["n"].as_i64().unwrap()
    }
}

#[tokio::test]
async fn an_outage_of_our_network_is_nobodys_downtime() {
    let checked = Checked::new(&["one", "two", "three", "four"]).await;
    checked.there.store(false, Ordering::SeqCst);
    let running = checked.start();
    // A lease is longer than the pause of who has been put off.
    let soon = SystemClock.now() + 40;
    let put_off =
        format!("select count(*) as n from monitor_state where leased_until between 1 and {soon}");
    until(async || checked.number(&put_off).await == 5).await;
    assert_eq!(running.monitor.progress().borrow().checked, 0);
    running.stop().await;
    assert_eq!(checked.offline().await, 0);
    for relay in &checked.relays {
        assert_eq!(checked.status(relay).await, "online");
    }
    assert_eq!(checked.status(&checked.lost).await, "unknown");
}

#[tokio::test]
async fn a_relay_that_is_gone_while_others_answer_is_offline() {
    let checked = Checked::new(&["one", "two", "three", "four"]).await;
    let running = checked.start();
    running.until(|now| now.checked == 5).await;
    running.stop().await;
    assert_eq!(checked.status(&checked.lost).await, "offline");
    assert_eq!(checked.offline().await, 1);
}

/// Whoever knows two relays has to be told when both are gone.
#[tokio::test]
async fn too_few_relays_prove_no_outage() {
    let checked = Checked::new(&["one", "two"]).await;
    checked.there.store(false, Ordering::SeqCst);
    let running = checked.start();
    running.until(|now| now.checked == 3).await;
    running.stop().await;
    assert_eq!(checked.offline().await, 3);
}
