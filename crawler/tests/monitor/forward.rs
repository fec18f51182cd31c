//! Reports and announcements at other relays: healthy ones, and those that refuse, are down, want
//! to know who comes, or forget to answer.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::{ManualClock, SystemClock};
use bigbrotr_core::event::Event;
use bigbrotr_crawler::monitor::{MonitorConfig, MonitorError, MonitorService};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::{test_store, test_store_with};
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::faults::{ConnectionFault, Fault, WriteFault};
use bigbrotr_testkit::relay::{AuthPolicy, SimRelayConfig};
use nostr::Keys;

use crate::support::{
    Running, config, dialer, healthy_relay, networks, published, relay_with, until, url_of,
};

const NOW: i64 = 1_800_000_000;

fn publishing_to(targets: &[&SimRelay]) -> MonitorConfig {
    MonitorConfig {
        publish_to: targets.iter().map(|t| url_of(t).to_string()).collect(),
        ..config()
    }
}

/// Adds relays to be checked, of which the first so many are online.
async fn add(store: &Store, online: usize) -> Vec<SimRelay> {
    let mut relays = Vec::new();
    for _ in 0..online {
        relays.push(healthy_relay().await);
    }
    relays.push(relay_with([ConnectionFault::Status(502)]).await);
    let urls: Vec<_> = relays.iter().map(url_of).collect();
    store.insert_relays(&urls).await.unwrap();
    relays
}

async fn until_nothing_waits(store: &Store) {
    until(async || store.count_queued_reports().await.unwrap() == 0).await;
}

/// The events of a kind that a target has, by id.
fn held(target: &SimRelay, kind: u16) -> Vec<String> {
    let events = target.events();
    let kept = events.iter().filter(|event| event.kind() == kind);
    let mut ids: Vec<String> = kept.map(|event| event.id().to_string()).collect();
    ids.sort();
    ids
}

fn ids(events: &[Event]) -> Vec<String> {
    let mut ids: Vec<String> = events.iter().map(|event| event.id.to_string()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn what_is_published_here_is_published_there() {
    let (store, _database) = test_store().await;
    let (one, other) = (healthy_relay().await, healthy_relay().await);
    // More than one window of reports.
    let _relays = add(&store, 20).await;
    let running = Running::start(&store, publishing_to(&[&one, &other]), &Keys::generate());
    running.until(|progress| progress.checked == 21).await;
    until_nothing_waits(&store).await;
    for target in [&one, &other] {
        let reports = published(&store, 30_166).await;
        assert_eq!(reports.len(), 20, "none for the relay that is offline");
        assert_eq!(held(target, 30_166), ids(&reports));
        for kind in [10_166, 10_002] {
            assert_eq!(held(target, kind), ids(&published(&store, kind).await));
        }
        // All over one connection.
        assert_eq!(target.stats().sessions, 1);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_relay_that_wants_to_know_us_gets_to_know_us() {
    let (store, _database) = test_store().await;
    let target = SimRelay::start(SimRelayConfig {
        auth: AuthPolicy::All,
        ..SimRelayConfig::default()
    });
    let target = target.await.unwrap();
    let _relays = add(&store, 3).await;
    let keys = Keys::generate();
    let running = Running::start(&store, publishing_to(&[&target]), &keys);
    running.until(|progress| progress.checked == 4).await;
    until_nothing_waits(&store).await;
    running.stop().await;
    assert_eq!(held(&target, 30_166), ids(&published(&store, 30_166).await));
    let known = target.stats().authenticated;
    assert_eq!(known[0].0, keys.public_key().to_bytes());
}

#[tokio::test]
async fn a_relay_that_is_down_gets_what_is_current_once_it_is_back() {
    let clock = ManualClock::new(NOW);
    let shared = Arc::new(clock.clone());
    let (store, _database) = test_store_with(DatabaseConfig::default(), shared.clone()).await;
    let target = relay_with([ConnectionFault::Status(503)]).await;
    let relays = add(&store, 2).await;
    let keys = Keys::generate();
    let running = Running::start_at(&store, publishing_to(&[&target]), &keys, shared.clone());
    running
        .until(|progress| progress.checked == 3 && progress.is_idle())
        .await;
    until(async || target.stats().connections > 0).await;
    // Two rounds of reports, of which only the second waits; one relay has gone since.
    let waiting = store.count_queued_reports().await.unwrap();
    assert_eq!(waiting, 4, "two reports and two announcements");
    let first = held(&target, 30_166);
    assert_eq!(first, Vec::<String>::new());
    relays[1].set_faults([ConnectionFault::Status(502)]);
    clock.advance(Duration::from_mins(61));
    running
        .until(|progress| progress.checked >= 6 && progress.is_idle())
        .await;
    assert_eq!(store.count_queued_reports().await.unwrap(), 4);
    // The monitor itself goes, too; what waits does not.
    running.stop().await;
    target.set_faults::<Fault>([]);
    clock.advance(Duration::from_mins(61));
    let running = Running::start_at(&store, publishing_to(&[&target]), &keys, shared);
    running.until(|progress| progress.checked == 3).await;
    until_nothing_waits(&store).await;
    running.stop().await;
    let current = published(&store, 30_166).await;
    let of = |relay: &SimRelay| {
        let url = url_of(relay);
        let address = url.d_tag();
        let report = current.iter().find(|event| event.d_tag() == address);
        report.unwrap().id.to_string()
    };
    let held = held(&target, 30_166);
    assert!(held.contains(&of(&relays[0])), "the newest report");
    // Its last report is two hours old, and it has been offline since.
    assert!(!held.contains(&of(&relays[1])), "silence means offline");
}

#[tokio::test]
async fn a_relay_that_refuses_everything_is_left_alone_and_blocks_nobody() {
    let (store, _database) = test_store().await;
    let refusing = relay_with([WriteFault::Refuse("blocked: not you".into())]).await;
    let silent = relay_with([ConnectionFault::NoHandshake]).await;
    let healthy = healthy_relay().await;
    let _relays = add(&store, 40).await;
    let config = publishing_to(&[&refusing, &silent, &healthy]);
    let running = Running::start(&store, config, &Keys::generate());
    // Checks go on, and whoever takes reports gets them.
    running.until(|progress| progress.checked == 41).await;
    until(async || held(&healthy, 30_166).len() == 40).await;
    until(async || refusing.stats().events_received > 0).await;
    running.stop().await;
    // One window, and not again before some time has passed.
    assert_eq!(refusing.stats().sessions, 1);
    assert!(refusing.stats().events_received <= 16);
    assert_eq!(refusing.event_count(), 0);
}

#[tokio::test]
async fn a_relay_that_asks_for_patience_loses_nothing() {
    let clock = ManualClock::new(NOW);
    let shared = Arc::new(clock.clone());
    let (store, _database) = test_store_with(DatabaseConfig::default(), shared.clone()).await;
    let target = relay_with([WriteFault::Refuse("rate-limited: slow down".into())]).await;
    let _relays = add(&store, 2).await;
    let running = Running::start_at(&store, publishing_to(&[&target]), &Keys::generate(), shared);
    running.until(|progress| progress.checked == 3).await;
    until(async || target.stats().events_received > 0).await;
    target.set_faults::<Fault>([]);
    // It comes to its turn again some time after it is given back.
    until(async || {
        clock.advance(Duration::from_secs(2));
        store.count_queued_reports().await.unwrap() == 0
    })
    .await;
    running.stop().await;
    assert_eq!(held(&target, 30_166), ids(&published(&store, 30_166).await));
}

#[tokio::test]
async fn a_relay_that_is_no_longer_wanted_is_forgotten_and_a_new_one_is_introduced() {
    let (store, _database) = test_store().await;
    let down = relay_with([ConnectionFault::Status(503)]).await;
    let _relays = add(&store, 1).await;
    let keys = Keys::generate();
    let running = Running::start(&store, publishing_to(&[&down]), &keys);
    running.until(|progress| progress.checked == 2).await;
    running.stop().await;
    assert!(store.count_queued_reports().await.unwrap() > 0);
    // Nothing is due: the new relay gets the announcements, and reports as they come.
    let new = healthy_relay().await;
    let running = Running::start(&store, publishing_to(&[&new]), &keys);
    until(async || held(&new, 10_166).len() == 1 && held(&new, 10_002).len() == 1).await;
    until_nothing_waits(&store).await;
    running.stop().await;
    assert_eq!(held(&new, 30_166), Vec::<String>::new());
    assert_eq!(down.stats().events_received, 0);
}

#[tokio::test]
async fn what_may_not_be_dialed_is_no_target() {
    let (store, _database) = test_store().await;
    let strict = bigbrotr_crawler::dial::NetworksConfig {
        allow_private: false,
        ..networks()
    };
    let config = MonitorConfig {
        publish_to: vec!["ws://127.0.0.1:7777".into()],
        ..config()
    };
    let made = MonitorService::new(
        config,
        dialer(strict),
        store,
        Keys::generate(),
        None,
        Arc::new(SystemClock),
        &prometheus::Registry::new(),
    );
    assert!(
        matches!(made, Err(MonitorError::PublishTo { .. })),
        "{made:?}"
    );
}
