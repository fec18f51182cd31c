//! The server dies in mid-batch and comes back.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::event::Event;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use bigbrotr_schema::store::Store;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::harness::{NOW, Node, population, relays, seed};
use crate::model::Model;

/// A server of the test's own: small and fast. What a killed process wrote stays in the system's
/// cache, so syncing to disk would prove nothing.
async fn own_server(directory: &tempfile::TempDir) -> EmbeddedPostgres {
    let mut config = EmbeddedConfig::new(directory.path().join("data"));
    config.download = false;
    for (name, value) in [("fsync", "off"), ("shared_buffers", "16MB")] {
        config.settings.insert(name.into(), value.into());
    }
    EmbeddedPostgres::start(config).await.unwrap()
}

fn kill(postgres: &EmbeddedPostgres, signal: Signal) {
    let file = fs::read_to_string(postgres.cluster().join("postmaster.pid")).unwrap();
    let pid = file.lines().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_dies_in_mid_batch_loses_and_doubles_nothing() {
    let (seed, mut rng) = seed();
    let directory = tempfile::tempdir().unwrap();
    let mut postgres = own_server(&directory).await;
    let config = DatabaseConfig {
        acquire_timeout: Duration::from_secs(2),
        ..DatabaseConfig::default()
    };
    let clock = Arc::new(ManualClock::new(NOW));
    let store = Store::connect(&postgres.connection_url(), Arc::new(config), clock)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let relays = relays(&store, 3).await;
    let node = Arc::new(Node::start(store));
    let events: Arc<Vec<Event>> = Arc::new(population(seed, 1_500));
    let mut submitters = JoinSet::new();
    for n in 0..3_u64 {
        let (node, events, relays) = (node.clone(), events.clone(), relays.clone());
        submitters.spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed ^ n << 40);
            let (mut model, mut new) = (Model::default(), 0);
            for _ in 0..60 {
                let size = rng.random_range(1..70);
                let relay = *relays.choose(&mut rng).unwrap();
                let batch: Vec<Event> = events.choose_multiple(&mut rng, size).cloned().collect();
                model.add_all(&batch, Some(relay));
                new += node.submit(batch, Some(relay)).await.unwrap().new;
                // The statistics are on their way too when it happens.
                node.store.rollup_step().await.ok();
                sleep(Duration::from_millis(rng.random_range(0..50))).await;
            }
            (model, new)
        });
    }
    for signal in [Signal::KILL, Signal::QUIT, Signal::KILL] {
        sleep(Duration::from_millis(rng.random_range(50..500))).await;
        kill(&postgres, signal);
        sleep(Duration::from_millis(100)).await;
        postgres.ensure_running().await.unwrap();
    }
    let mut model = Model::default();
    let mut new = 0;
    for (part, part_new) in submitters.join_all().await {
        model.events.extend(part.events);
        model.seen.extend(part.seen);
        new += part_new;
    }
    assert!(node.metric("bigbrotr_ingest_retries_total") > 0);
    assert_eq!(new, model.events.len() as u64);
    assert_eq!(node.metric("bigbrotr_ingest_new_events_total"), new);
    let pool = PgPool::connect(&postgres.connection_url()).await.unwrap();
    model.check(&node.store, &pool).await;
    node.stop().await;
    pool.close().await;
    node.store.close().await;
    postgres.stop().await.unwrap();
}
