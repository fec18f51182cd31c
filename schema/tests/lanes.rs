//! The intake has two lanes: who has priority does not wait behind a flood.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bigbrotr_core::event::Event;
use bigbrotr_schema::ingest::{Ingest, IngestMetrics};
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::population::{EventMaker, author_keys};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Submissions of the flood, and events in each.
const FLOOD: (usize, usize) = (120, 100);

fn events(author: u64, count: usize) -> Vec<Event> {
    let keys = author_keys(author, 0);
    (0..count)
        .map(|n| EventMaker::new(1_700_000_000 + n as i64).sign(&keys))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_does_not_hold_up_those_with_priority() {
    let (store, _database) = test_store().await;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let metrics = IngestMetrics::register(&Registry::new()).unwrap();
    let ingest = Ingest::start(store, metrics, &tasks, stop.clone());
    let (submissions, size) = FLOOD;
    let flood: Vec<Vec<Event>> = (0..submissions)
        .map(|n| events(100 + n as u64, size))
        .collect();
    let done = Arc::new(AtomicUsize::new(0));
    let flooding: Vec<_> = flood
        .into_iter()
        .map(|events| {
            let (ingest, done) = (ingest.clone(), done.clone());
            tasks.spawn(async move {
                ingest.submit(events, None).await.unwrap();
                done.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let urgent = ingest.prioritised().submit(events(1, 10), None).await;
    assert_eq!(urgent.unwrap().new, 10);
    let before = done.load(Ordering::SeqCst);
    assert!(
        before < submissions / 2,
        "{before} of {submissions} came first"
    );
    for task in flooding {
        task.await.unwrap();
    }
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}
