//! When relays are checked again, and when their reports are published again.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::network::Network;
use bigbrotr_crawler::dial::ProxyAddr;
use bigbrotr_crawler::monitor::MonitorConfig;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::testing::{test_store, test_store_with};
use bigbrotr_testkit::relay::faults::{ConnectionFault, Fault, ReadFault};
use nostr::Keys;

use crate::support::{
    Running, config, dialer, healthy_relay, networks, published, relay_with, until, url_of,
};

const NOW: i64 = 1_800_000_000;

#[tokio::test]
async fn an_offline_relay_is_tried_less_often_until_it_is_back() {
    let clock = ManualClock::new(NOW);
    let shared = Arc::new(clock.clone());
    let (store, _database) = test_store_with(DatabaseConfig::default(), shared.clone()).await;
    let relay = relay_with([ConnectionFault::Status(502)]).await;
    store.insert_relays(&[url_of(&relay)]).await.unwrap();
    let running = Running::start_at(&store, config(), &Keys::generate(), shared);
    for (checks, minutes) in [(1, 15), (2, 30), (3, 60)] {
        running
            .until(|progress| progress.checked == checks && progress.is_idle())
            .await;
        // Half of the pause is left to chance.
        clock.advance(Duration::from_secs(minutes * 30 - 1));
        let due = store.lease_due_checks(&Network::ALL, 10, 1).await.unwrap();
        assert_eq!(due, [], "after {checks} checks");
        clock.advance(Duration::from_secs(minutes * 30 + 1));
    }
    running
        .until(|progress| progress.checked == 4 && progress.is_idle())
        .await;
    assert!(published(&store, 30_166).await.is_empty());
    relay.set_faults::<Fault>([]);
    clock.advance(Duration::from_hours(2));
    running
        .until(|progress| progress.online == 1 && progress.is_idle())
        .await;
    assert_eq!(published(&store, 30_166).await.len(), 1);
    // Back to the ordinary interval, its failures forgotten.
    running.stop().await;
    clock.advance(Duration::from_hours(1));
    let [due] = store
        .lease_due_checks(&Network::ALL, 10, 1)
        .await
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(
        (due.failures, due.published_at),
        (0, Some(clock_now(&clock) - 3_600))
    );
}

#[tokio::test]
async fn a_priority_relay_is_checked_more_often_and_reported_no_more_often() {
    let clock = ManualClock::new(NOW);
    let shared = Arc::new(clock.clone());
    let (store, _database) = test_store_with(DatabaseConfig::default(), shared.clone()).await;
    let (one, other) = (healthy_relay().await, healthy_relay().await);
    let urls = [url_of(&one), url_of(&other)];
    store.insert_relays(&urls).await.unwrap();
    store.set_priority_relays(&urls[..1]).await.unwrap();
    let running = Running::start_at(&store, config(), &Keys::generate(), shared);
    running
        .until(|progress| progress.checked == 2 && progress.is_idle())
        .await;
    for _ in 0..6 {
        let before = one.stats().sessions;
        clock.advance(Duration::from_mins(10));
        until(async || {
            one.stats().sessions > before && running.monitor.progress().borrow().is_idle()
        })
        .await;
    }
    running.stop().await;
    assert_eq!(one.stats().sessions, 7);
    assert!(
        (2..=3).contains(&other.stats().sessions),
        "{:?}",
        other.stats()
    );
}

fn clock_now(clock: &ManualClock) -> i64 {
    bigbrotr_core::clock::Clock::now(clock)
}

#[tokio::test]
async fn reports_are_published_as_often_as_announced_and_no_more() {
    let clock = ManualClock::new(NOW);
    let shared = Arc::new(clock.clone());
    let (store, _database) = test_store_with(DatabaseConfig::default(), shared.clone()).await;
    let relay = healthy_relay().await;
    store.insert_relays(&[url_of(&relay)]).await.unwrap();
    let config = MonitorConfig {
        publish_interval: Duration::from_hours(3),
        ..config()
    };
    let running = Running::start_at(&store, config, &Keys::generate(), shared);
    let mut reports = Vec::new();
    for checks in 1..=7 {
        running
            .until(|progress| progress.checked == checks && progress.is_idle())
            .await;
        reports.push(running.monitor.progress().borrow().reports);
        clock.advance(Duration::from_hours(1));
    }
    running.stop().await;
    assert_eq!(reports, [1, 1, 1, 2, 2, 2, 3]);
    assert_eq!(published(&store, 30_166).await.len(), 1);
}

#[tokio::test]
async fn a_check_that_failed_on_our_side_is_made_again_soon() {
    let clock = ManualClock::new(NOW);
    let shared = Arc::new(clock.clone());
    let (store, _database) = test_store_with(DatabaseConfig::default(), shared.clone()).await;
    let relay = healthy_relay().await;
    store.insert_relays(&[url_of(&relay)]).await.unwrap();
    // Nobody listens there.
    let mut networks = networks();
    networks.clearnet.proxy = Some(ProxyAddr {
        host: "127.0.0.1".to_owned(),
        port: 9,
    });
    let (dialer, keys) = (dialer(networks), Keys::generate());
    let running = Running::start_through(dialer, &store, config(), &keys, shared);
    let progress = running.idle().await;
    running.stop().await;
    assert_eq!(progress.checked, 0);
    clock.advance(Duration::from_secs(29));
    let due = store.lease_due_checks(&Network::ALL, 10, 1).await.unwrap();
    assert_eq!(due, []);
    clock.advance(Duration::from_secs(1));
    let due = store.lease_due_checks(&Network::ALL, 10, 1).await.unwrap();
    assert_eq!(due.len(), 1);
}

#[tokio::test]
async fn stopping_gives_back_what_is_not_done() {
    let (store, _database) = test_store().await;
    let slow = relay_with([ReadFault::Latency(Duration::from_mins(1))]).await;
    store.insert_relays(&[url_of(&slow)]).await.unwrap();
    let config = MonitorConfig {
        read_timeout: Duration::from_mins(2),
        ..config()
    };
    let running = Running::start(&store, config, &Keys::generate());
    running.until(|progress| progress.in_flight == 1).await;
    let due = store.lease_due_checks(&Network::ALL, 10, 1).await.unwrap();
    assert_eq!(due, []);
    running.stop().await;
    let due = store.lease_due_checks(&Network::ALL, 10, 1).await.unwrap();
    assert_eq!(due.len(), 1);
}
