//! A relay on port 0 with a database of its own, and what tests say to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_core::config::Section;
use bigbrotr_core::event::{Event, EventId, Pubkey};
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::RelayMessage;
use bigbrotr_core::service::{Health, Service, ServiceContext};
use bigbrotr_relay::{RelayConfig, RelayService};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::TestClient;
use bigbrotr_testkit::client::End;
use bigbrotr_testkit::population::{EventMaker, author_keys};
use nostr::Keys;
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A running relay.
pub(crate) struct TestRelay {
    pub(crate) address: SocketAddr,
    pub(crate) store: Store,
    pub(crate) database: TestDatabase,
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) registry: Registry,
    context: ServiceContext,
    stop: CancellationToken,
}

/// A relay that takes every kind used in these tests from everybody.
pub(crate) async fn relay() -> TestRelay {
    relay_with(|_| {}).await
}

/// The same, configured further.
pub(crate) async fn relay_with(configure: impl FnOnce(&mut RelayConfig)) -> TestRelay {
    let (store, database) = test_store().await;
    start(store, database, configure).await
}

async fn start(
    store: Store,
    database: TestDatabase,
    configure: impl FnOnce(&mut RelayConfig),
) -> TestRelay {
    let mut relay = launch(store, database, configure).await;
    relay.becomes(|health| *health == Health::Ready).await;
    relay
}

/// A relay that serves the archive, once it does.
pub(crate) async fn archive_relay(configure: impl FnOnce(&mut RelayConfig)) -> TestRelay {
    let relay = relay_with(|config| {
        config.archive.enabled = true;
        configure(config);
    })
    .await;
    relay.counts("bigbrotr_relay_archive_open", 1).await;
    relay
}

/// Starts a relay, and does not wait until it is ready.
pub(crate) async fn launch(
    store: Store,
    database: TestDatabase,
    configure: impl FnOnce(&mut RelayConfig),
) -> TestRelay {
    let mut config = RelayConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..RelayConfig::default()
    };
    config
        .policy
        .accepted_kinds
        .extend([0, 1, 1_111, 30_166, 20_001]);
    config.limits.message_burst = 10_000;
    config.limits.message_burst_per_ip = 1_000_000;
    config.policy.event_burst_per_pubkey = 1_000_000;
    configure(&mut config);
    config.validate().unwrap();
    let registry = Registry::new();
    let own = pubkey(&node_keys());
    let clock = Arc::new(SystemClock);
    let service = RelayService::new(config, store.clone(), own, clock, &registry).unwrap();
    let address = service.bind().await.unwrap();
    let stop = CancellationToken::new();
    let (context, health) = ServiceContext::new(stop.clone());
    context.tasks.spawn({
        let context = context.clone();
        async move { service.run(context).await.unwrap() }
    });
    TestRelay {
        address,
        store,
        database,
        health,
        registry,
        context,
        stop,
    }
}

impl TestRelay {
    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(crate) fn http_url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) async fn client(&self) -> TestClient {
        TestClient::connect(&self.url()).await.unwrap()
    }

    /// Waits until the relay's health is such.
    pub(crate) async fn becomes(&mut self, such: impl Fn(&Health) -> bool) {
        let waiting = self.health.wait_for(|health| such(health));
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        waited.expect("the health does not change").unwrap();
    }

    /// Waits until a metric has reached a value.
    pub(crate) async fn counts(&self, name: &str, value: u64) {
        for _ in 0..400 {
            if self.metric(name) as u64 >= value {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name} is {}, not {value}", self.metric(name));
    }

    /// Archives events, as if relays had sent them.
    pub(crate) async fn archive(&self, events: &[Event]) {
        let events: Vec<&Event> = events.iter().collect();
        self.store.insert_events(&events, &[]).await.unwrap();
    }

    /// Stops the service and waits for all of its tasks.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.context.tasks.close();
        let stopped = tokio::time::timeout(Duration::from_secs(20), self.context.tasks.wait());
        stopped.await.expect("the relay does not stop");
    }

    /// Reads a counter, its labels added up.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(prometheus::proto::MetricFamily::get_metric);
        metrics
            .unwrap_or_default()
            .iter()
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }

    /// Another process of the same node: a store of its own on the same database.
    pub(crate) async fn other_process(&self) -> Store {
        let config = Arc::new(DatabaseConfig::default());
        let url = self.database.url();
        let store = Store::connect(&url, config, Arc::new(SystemClock));
        store.await.unwrap()
    }
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn node_keys() -> Keys {
    author_keys(7, 0)
}

/// Keys of stranger number `n`.
pub(crate) fn stranger(n: u64) -> Keys {
    author_keys(7, 100 + n)
}

pub(crate) fn pubkey(keys: &Keys) -> Pubkey {
    Pubkey(keys.public_key().to_bytes())
}

pub(crate) fn now() -> i64 {
    SystemClock.now()
}

/// A kind 1 event.
pub(crate) fn note(created_at: i64, content: &str) -> Event {
    EventMaker::new(created_at)
        .content(content)
        .sign(&stranger(0))
}

/// The ids of what a subscription to this is sent before EOSE.
pub(crate) async fn stored(client: &mut TestClient, filters: &[Filter]) -> Vec<EventId> {
    let collected = client.req_until_eose("stored", filters).await.unwrap();
    assert_eq!(collected.end, End::Eose);
    client.close_sub("stored").await.unwrap();
    collected.parsed().iter().map(|event| event.id).collect()
}

pub(crate) fn filter(json: &str) -> Filter {
    Filter::from_json(json).unwrap()
}

/// Publishes and expects to be told that it was stored.
pub(crate) async fn publish(client: &mut TestClient, event: &Event) {
    assert_eq!(client.publish(event).await.unwrap(), (true, String::new()));
}

/// What a subscription is sent next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sent {
    Event(Event),
    Eose,
    Closed(String),
}

/// Waits for what is sent next for a subscription.
pub(crate) async fn next(client: &mut TestClient, sub_id: &str) -> Sent {
    loop {
        let text = client.next().await.unwrap();
        match RelayMessage::parse(&text).unwrap() {
            RelayMessage::Event { sub_id: id, event } if id == sub_id => {
                return Sent::Event(Event::from_json(event).unwrap());
            }
            RelayMessage::Eose { sub_id: id } if id == sub_id => return Sent::Eose,
            RelayMessage::Closed {
                sub_id: id,
                message,
            } if id == sub_id => return Sent::Closed(message),
            _ => {}
        }
    }
}

/// Waits for the next NOTICE.
pub(crate) async fn notice(client: &mut TestClient) -> String {
    loop {
        let text = client.next().await.unwrap();
        if let RelayMessage::Notice { message } = RelayMessage::parse(&text).unwrap() {
            return message;
        }
    }
}
