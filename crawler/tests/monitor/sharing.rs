//! Several monitors on one database.

use std::time::Duration;

use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_crawler::monitor::MonitorConfig;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::faults::ReadFault;
use nostr::Keys;

use crate::support::{Running, config, published, relay_with, url_of};

#[tokio::test]
async fn two_monitors_share_the_relays_and_never_check_one_twice() {
    let (store, _database) = test_store().await;
    let mut relays: Vec<SimRelay> = Vec::new();
    for _ in 0..24 {
        relays.push(relay_with([ReadFault::Latency(Duration::from_millis(150))]).await);
    }
    let urls: Vec<RelayUrl> = relays.iter().map(url_of).collect();
    store.insert_relays(&urls).await.unwrap();
    let config = MonitorConfig {
        concurrency: 4,
        ..config()
    };
    let keys = Keys::generate();
    let one = Running::start(&store, config.clone(), &keys);
    let other = Running::start(&store, config, &keys);
    let (first, second) = tokio::join!(one.idle(), other.idle());
    assert_eq!(first.checked + second.checked, 24, "{first:?} {second:?}");
    assert!(
        first.checked > 0 && second.checked > 0,
        "{first:?} {second:?}"
    );
    one.stop().await;
    other.stop().await;
    for relay in &relays {
        assert_eq!(relay.stats().sessions, 1);
    }
    assert_eq!(published(&store, 30_166).await.len(), 24);
}
