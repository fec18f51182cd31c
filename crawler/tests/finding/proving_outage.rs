//! What is our own fault is not held against a candidate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_crawler::dial::{Dialer, NetworkConfig, NetworksConfig, ProxyAddr};
use bigbrotr_schema::store::{Document, Snapshot};
use bigbrotr_testkit::relay::faults::{Fault, ReadFault};
use serde_json::json;

use crate::names::Names;
use crate::support::{
    Validator, World, impatient, networks, relay_with, url, url_of, validator_config,
};

/// Records that a relay has been online just now.
async fn seen_online(world: &World, relay: &RelayUrl) {
    world
        .store
        .insert_relays(std::slice::from_ref(relay))
        .await
        .unwrap();
    let known = world.store.get_relay(relay).await.unwrap().unwrap();
    let now = SystemClock.now();
    let snapshot = Snapshot {
        checked_at: now,
        nip11: None,
        nip66: Document::new(&json!({})),
        openable: true,
        readable: Some(true),
        writable: None,
        rtt_open_ms: Some(10),
        rtt_read_ms: Some(10),
        rtt_write_ms: None,
    };
    world
        .store
        .insert_snapshot(known.id, &snapshot, &[], now + 3_600, 0)
        .await
        .unwrap();
}

#[tokio::test]
async fn without_a_network_no_failure_counts() {
    let world = World::new().await;
    let (relay, there) = (
        relay_with::<Fault>([]).await,
        Arc::new(AtomicBool::new(false)),
    );
    let port = relay.address().port();
    for name in ["one", "two", "three"] {
        seen_online(&world, &url(&format!("ws://{name}.example.com:{port}"))).await;
    }
    let lost = url("wss://lost.example.com");
    world.add(std::slice::from_ref(&lost)).await;
    let dialer = Dialer::with(networks(), Arc::new(Names(there.clone())), &[]).unwrap();
    let start = || {
        Validator::start_with(
            &world.store,
            impatient(),
            dialer.clone(),
            Arc::new(SystemClock),
        )
    };
    let validator = start();
    let done = validator.until(|now| now.tried == 1).await;
    assert_eq!((done.deferred, validator.tries("inconclusive")), (1, 1));
    validator.stop().await;
    let row = world.candidate(&lost).await;
    assert_eq!((row.attempts, row.given_up_at), (0, None));
    assert!(row.due_at > SystemClock.now(), "{row:?}");

    // The known relays can be reached again, and the candidate still cannot.
    there.store(true, Ordering::SeqCst);
    world.run("update candidates set due_at = 0").await;
    let validator = start();
    let done = validator.until(|now| now.tried == 1).await;
    assert_eq!((done.deferred, validator.tries("failed")), (0, 1));
    validator.stop().await;
    assert_eq!(world.candidate(&lost).await.attempts, 1);
}

#[tokio::test]
async fn a_proxy_that_is_down_is_our_fault() {
    let world = World::new().await;
    let onion = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad";
    let hidden = url(&format!("ws://{onion}.onion"));
    world.add(std::slice::from_ref(&hidden)).await;
    let tor = NetworkConfig {
        enabled: true,
        proxy: Some(ProxyAddr {
            host: "127.0.0.1".to_owned(),
            port: 9,
        }),
        ..networks().tor
    };
    let networks = NetworksConfig { tor, ..networks() };
    let clock = Arc::new(SystemClock);
    let dialer = crate::support::dialer(networks);
    let validator = Validator::start_with(&world.store, impatient(), dialer, clock);
    let done = validator.until(|now| now.tried == 1).await;
    assert_eq!(done.deferred, 1);
    validator.stop().await;
    let row = world.candidate(&hidden).await;
    assert_eq!(
        (row.attempts, row.last_error.as_deref()),
        (0, Some("proxy_down"))
    );
}

#[tokio::test]
async fn an_outage_of_the_database_loses_no_outcome() {
    let world = World::new().await;
    let (store, proxy) = world.through_proxy().await;
    let relay = relay_with([ReadFault::Latency(Duration::from_millis(600))]).await;
    world.add(&[url_of(&relay)]).await;

    let mut validator = Validator::start(&store, validator_config());
    validator.until(|now| now.in_flight == 1).await;
    proxy.cut();
    validator.until_health("degraded").await;
    while relay.stats().sessions == 0 || relay.stats().open_sessions > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.restore();
    validator.until(|now| now.promoted == 1).await;
    validator.until_health("ready").await;
    validator.stop().await;
    // What was found before is what was stored: the relay was not asked again.
    assert_eq!(relay.stats().sessions, 1);
}
