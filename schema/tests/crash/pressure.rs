//! A database that does not move: those who submit wait, memory does not grow, and the node can
//! still stop.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::limits::INGEST_WAITING_BYTES;
use bigbrotr_testkit::population::{EventMaker, author_keys};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::harness::{Archive, NOW, Node, population, wait_until};
use crate::model::Model;
use crate::network::{node, proxied};

const WAITING: &str = "bigbrotr_ingest_waiting_bytes";

/// Events of 200 kB: a dozen submissions of them are more than may wait.
fn large_events() -> Vec<Event> {
    (0..30)
        .map(|n| {
            EventMaker::new(NOW + n)
                .content("x".repeat(200_000))
                .sign(&author_keys(1, 1))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn submissions_wait_for_a_locked_table_within_the_bound() {
    let archive = Archive::new().await;
    let relays = archive.relays(16).await;
    let node = Arc::new(archive.node().await);
    let events = large_events();
    let mut lock = archive.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table events in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let mut model = Model::default();
    let mut submitters: JoinSet<Result<u64, StoreError>> = JoinSet::new();
    for relay in &relays {
        model.add_all(&events, Some(*relay));
        let (node, events, relay) = (node.clone(), events.clone(), *relay);
        submitters.spawn(async move { Ok(node.submit(events, Some(relay)).await?.new) });
    }
    // As many as there is room for have come in, and no more come.
    let submission: usize = events.iter().map(Event::size_hint).sum();
    let full = |node: &Node| {
        let waiting = node.metric(WAITING) as usize;
        assert!(waiting <= INGEST_WAITING_BYTES, "{waiting}");
        waiting + submission + 64 * 1024 > INGEST_WAITING_BYTES
    };
    wait_until("there is no room left", async || full(&node)).await;
    for _ in 0..50 {
        sleep(Duration::from_millis(10)).await;
        assert!(full(&node));
        assert!(
            submitters.try_join_next().is_none(),
            "durable without a table"
        );
    }
    lock.rollback().await.unwrap();
    let mut new = 0;
    while let Some(outcome) = submitters.join_next().await {
        new += outcome.unwrap().unwrap();
    }
    assert_eq!(new, events.len() as u64);
    wait_until("all the room is free", async || node.metric(WAITING) == 0).await;
    model.check(&archive.store, &archive.pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_intake_stops_while_the_server_is_frozen() {
    let archive = Archive::new().await;
    let relay = archive.relays(1).await[0];
    let (proxy, url) = proxied(&archive).await;
    let frozen = Arc::new(node(&archive, &url).await);
    frozen.submit(population(1, 5), Some(relay)).await.unwrap();
    proxy.stall();
    let mut submitters = JoinSet::new();
    for n in 0..100 {
        let frozen = frozen.clone();
        submitters.spawn(async move { frozen.submit(population(n, 40), Some(relay)).await });
    }
    wait_until("they wait", async || frozen.metric(WAITING) > 0).await;
    frozen.stop().await;
    for outcome in submitters.join_all().await {
        assert!(matches!(outcome, Err(StoreError::Stopped)), "{outcome:?}");
    }
    assert!(matches!(
        frozen.submit(population(2, 5), None).await,
        Err(StoreError::Stopped)
    ));
    assert_eq!(frozen.metric(WAITING), 0);
    proxy.restore();
    let mut model = Model::default();
    let thawed = node(&archive, &url).await;
    for n in 0..100 {
        let events = population(n, 40);
        thawed.submit(events.clone(), Some(relay)).await.unwrap();
        model.add_all(&events, Some(relay));
    }
    model.add_all(&population(1, 5), Some(relay));
    model.check(&archive.store, &archive.pool).await;
}
