//! Relays that misbehave, a Postgres that dies, node processes that are killed: whatever happens
//! and in whichever order, in the end the archive is what the relays hold.
//!
//! Everything is drawn from a seed, which is printed. `SYNC_CRASH_SEED` repeats a run, as far as
//! processes can be repeated; `SYNC_CRASH_ROUNDS` makes it longer.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod crash;

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::store::Store;
use bigbrotr_testkit::{SimEvent, SimRelay};
use common::sync;
use crash::World;

/// The most bytes that relays may send, over the bytes of the events that they hold. A kill costs
/// the pages under way, a fault the page that it spoils, each new turn a look at the newest.
const MOST_BYTES: f64 = 3.0;

fn variable(name: &str, default: u64) -> u64 {
    let given = std::env::vars().find(|(variable, _)| variable == name);
    given.map_or(default, |(_, value)| value.parse().unwrap())
}

/// Bytes that the relays sent, over those of the events that they hold.
fn multiple(relays: &[SimRelay]) -> f64 {
    let sent: u64 = relays.iter().map(|relay| relay.stats().bytes_out).sum();
    let size = |event: SimEvent| event.json().len();
    let held: usize = relays.iter().flat_map(SimRelay::events).map(size).sum();
    sent as f64 / held as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_the_archive_becomes_what_the_relays_hold() {
    let seed = variable("SYNC_CRASH_SEED", rand::random::<u32>().into());
    let rounds = variable("SYNC_CRASH_ROUNDS", 2);
    println!("SYNC_CRASH_SEED={seed} SYNC_CRASH_ROUNDS={rounds}");
    let mut world = World::new(seed).await;
    for round in 0..rounds {
        world.grow().await;
        world.start_nodes();
        world.trouble(round).await;
    }
    world.heal().await;
    world.start_nodes();
    let url = world.direct_url();
    let config = Arc::new(DatabaseConfig::default());
    let store = Store::connect(&url, config, Arc::new(SystemClock))
        .await
        .unwrap();
    let expected = sync::facts(&sync::held(&world.relays));
    for _ in 0..600 {
        if sync::facts(&sync::archived(&store).await) >= expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let data = world.folder.path().join("look");
    sync::assert_exact(&store, &url, &data, &world.relays).await;
    let multiple = multiple(&world.relays);
    println!("{expected} facts; relays sent {multiple:.1} times the bytes of what they hold");
    assert!(multiple < MOST_BYTES, "too much was downloaded again");
    store.close().await;
    world.stop().await;
}
