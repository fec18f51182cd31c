//! Several crawler processes on one database: none does what another does, and nobody misses one
//! that is killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use bigbrotr_core::event::Pubkey;
use bigbrotr_schema::testing::{look, test_store};
use bigbrotr_testkit::relay::AuthPolicy;
use bigbrotr_testkit::relay::faults::{Fault, ReadFault};
use bigbrotr_testkit::{Population, PopulationConfig, SimRelay, SimRelayConfig};
use common::{Node, eventually, sync};

/// How long a relay belongs to a process that gives no sign of life, seconds.
const LEASE: i64 = 4;

const RELAYS: usize = 30;

/// This one takes seconds for all its pages.
const SLOW: usize = 7;

/// Turns and pauses are endless by these measures: what is taken over is taken over because its
/// lease has run out, and what is asked twice is asked by two.
const SETTINGS: [(&str, &str); 6] = [
    ("BIGBROTR__SYNCHRONIZER__LEASE", "4s"),
    ("BIGBROTR__SYNCHRONIZER__INTERVAL", "1h"),
    ("BIGBROTR__SYNCHRONIZER__TURN_TIMEOUT", "1h"),
    ("BIGBROTR__SYNCHRONIZER__REQUEST_TIMEOUT", "30s"),
    ("BIGBROTR__SYNCHRONIZER__PAGE_LIMIT", "20"),
    // So that one process cannot take all relays before the others are up.
    ("BIGBROTR__SYNCHRONIZER__CONCURRENCY", "4"),
];

/// Relays that want to know who reads: that tells the processes apart.
async fn farm() -> Vec<SimRelay> {
    let population = Population::generate(&PopulationConfig::new(5, 2_000, 1_750_000_000));
    let mut relays = Vec::new();
    for n in 0..RELAYS {
        let latency = Duration::from_millis(if n == SLOW { 400 } else { 60 });
        let config = SimRelayConfig {
            auth: AuthPolicy::Reads,
            faults: vec![Fault::from(ReadFault::Latency(latency))],
            // Many messages for few events: the kill has to hit something.
            negentropy: None,
            ..SimRelayConfig::default()
        };
        let events = population.subset(n, RELAYS, 0.1);
        relays.push(sync::relay(n, events, config).await);
    }
    relays
}

/// The last client that authenticated.
fn reader(relay: &SimRelay) -> Option<Pubkey> {
    relay.stats().authenticated.last().copied()
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_the_work_and_take_over_that_of_a_killed_one() {
    let relays = farm().await;
    let (store, database) = test_store().await;
    sync::insert(&store, &relays).await;
    let folder = tempfile::tempdir().unwrap();
    let start = |n: usize| {
        let data = folder.path().join(format!("data-{n}"));
        let services = ["synchronizer,rollup", "synchronizer", "synchronizer"][n];
        sync::node(&data, &database.url(), services, &SETTINGS)
    };
    let mut nodes: Vec<Node> = (0..3).map(start).collect();
    let slow = &relays[SLOW];
    eventually("the slow relay is in the middle", || {
        slow.stats().req_count >= 4
    });
    let owner = reader(slow).unwrap();
    let at = nodes
        .iter()
        .position(|node| sync::pubkey(node) == owner)
        .unwrap();
    nodes.remove(at).kill();
    let asked = slow.stats().req_count;
    // What the dead process holds is free again within the lease time: no lease reaches further.
    let leases = look(
        &store,
        "select max(leased_until) - extract(epoch from now())::bigint as left from sync_state",
    )
    .await;
    assert!(leases[0]["left"].as_i64().unwrap() <= LEASE, "{leases}");
    eventually("the slow relay is taken over", || {
        slow.stats().req_count > asked && reader(slow) != Some(owner)
    });
    let expected = sync::facts(&sync::held(&relays));
    for _ in 0..900 {
        if sync::facts(&sync::archived(&store).await) >= expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sync::assert_exact(
        &store,
        &database.url(),
        &folder.path().join("look"),
        &relays,
    )
    .await;
    // Each event came once from each relay, but for the edges of pages, the scans' look at what is
    // new, and what the dead process had asked for and not archived.
    let mut workers = Vec::new();
    for relay in &relays {
        let stats = relay.stats();
        assert_eq!(
            stats.most_readers,
            1,
            "{}: two processes at once",
            relay.url()
        );
        let held = relay.event_count() as u64;
        assert!(
            stats.events_sent <= held * 2 + 60,
            "{held} held, {} sent",
            stats.events_sent
        );
        workers.extend(stats.authenticated);
    }
    workers.sort_unstable();
    workers.dedup();
    assert_eq!(workers.len(), 3, "every process had its share");
    for node in nodes {
        assert_eq!(node.terminate(), Some(0));
    }
    store.close().await;
}
