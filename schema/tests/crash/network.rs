//! Connections that end at any moment, between a commit and its answer most of all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_testkit::population::{EventMaker, author_keys};
use bigbrotr_testkit::proxy::TcpProxy;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::conflicts::WAITING;
use crate::harness::{Archive, NOW, Node, population, seed, wait_until};
use crate::model::Model;

/// The archive's server behind a proxy, and what stands for a process that goes through it.
pub(crate) async fn proxied(archive: &Archive) -> (TcpProxy, String) {
    let url = archive.database.url();
    let (before, after) = url.split_once('@').unwrap();
    let (host, database) = after.split_once('/').unwrap();
    let target: SocketAddr = host.replace("localhost", "127.0.0.1").parse().unwrap();
    let proxy = TcpProxy::start(target).await.unwrap();
    let url = format!("{before}@{}/{database}", proxy.address());
    (proxy, url)
}

pub(crate) async fn node(archive: &Archive, url: &str) -> Node {
    Node::connect(url, Arc::new(archive.clock.clone())).await
}

/// Makes the commit of a transaction with an event of kind 5555 last, long enough to step in.
const SLOW_COMMIT: &str = "
    create function sleep_a_while() returns trigger language plpgsql as
        'begin perform pg_sleep(0.5); return null; end';
    create constraint trigger slow after insert on events deferrable initially deferred
    for each row when (new.kind = 5555) execute function sleep_a_while()";

#[tokio::test]
async fn an_answer_that_is_lost_after_the_commit_changes_no_count() {
    let archive = Archive::new().await;
    archive.meddle(SLOW_COMMIT).await;
    let relays = archive.relays(2).await;
    let (proxy, url) = proxied(&archive).await;
    let (cut_off, other) = (node(&archive, &url).await, archive.node().await);
    let mut model = Model::default();
    let (mut new, mut pairs) = (0, 0);
    // Many and few; with another process that comes in between, and without.
    for (round, (size, contested)) in [(59, false), (5, false), (59, true), (5, true)]
        .into_iter()
        .enumerate()
    {
        let mut events = population(round as u64, size);
        events.push(
            EventMaker::new(NOW + round as i64)
                .kind(5_555)
                .sign(&author_keys(5, 5)),
        );
        let count = events.len() as u64;
        let submitted = cut_off.submit(events.clone(), Some(relays[0]));
        let before = archive.count("select count(*) from events").await;
        let accident = async {
            wait_until("the commit is under way", async || {
                archive
                    .count(
                        "select count(*) from pg_stat_activity where wait_event = 'PgSleep'
                         and datname = current_database() and query ilike 'commit%'",
                    )
                    .await
                    > 0
            })
            .await;
            proxy.mute();
            wait_until("it is done", async || {
                archive.count("select count(*) from events").await > before
            })
            .await;
            proxy.cut();
            if contested {
                let ingested = other.submit(events.clone(), Some(relays[1])).await.unwrap();
                assert_eq!((ingested.new, ingested.known), (0, count));
                model.add_all(&events, Some(relays[1]));
            }
            proxy.restore();
        };
        let (ingested, ()) = tokio::join!(submitted, accident);
        let ingested = ingested.unwrap();
        assert_eq!((ingested.new, ingested.known), (count, 0), "round {round}");
        model.add_all(&events, Some(relays[0]));
        new += count;
        pairs += count;
        assert_eq!(cut_off.metric("bigbrotr_ingest_new_events_total"), new);
        assert_eq!(
            cut_off.metric("bigbrotr_ingest_new_associations_total"),
            pairs
        );
    }
    let retries = cut_off.metric("bigbrotr_ingest_retries_total");
    assert!(retries >= 4, "{retries}");
    model.check(&archive.store, &archive.pool).await;
}

#[tokio::test]
async fn a_connection_cut_before_the_commit_leaves_the_events_to_whoever_is_next() {
    let archive = Archive::new().await;
    let relays = archive.relays(2).await;
    let (proxy, url) = proxied(&archive).await;
    let (cut_off, other) = (node(&archive, &url).await, archive.node().await);
    let mut model = Model::default();
    for (round, size) in [(0, 60), (1, 6)] {
        let events = population(round, size);
        let count = events.len() as u64;
        let mut lock = archive.pool.begin().await.unwrap();
        sqlx::raw_sql("lock table events_relays in exclusive mode")
            .execute(&mut *lock)
            .await
            .unwrap();
        let submitted = cut_off.submit(events.clone(), Some(relays[0]));
        let accident = async {
            wait_until("ingest waits for the lock", async || {
                archive.count(WAITING).await > 0
            })
            .await;
            proxy.cut();
            lock.rollback().await.unwrap();
            let ingested = other.submit(events.clone(), Some(relays[1])).await.unwrap();
            assert_eq!((ingested.new, ingested.known), (count, 0));
            proxy.restore();
        };
        let (ingested, ()) = tokio::join!(submitted, accident);
        let ingested = ingested.unwrap();
        assert_eq!((ingested.new, ingested.known), (0, count), "round {round}");
        model.add_all(&events, Some(relays[0]));
        model.add_all(&events, Some(relays[1]));
    }
    model.check(&archive.store, &archive.pool).await;
}

/// Breaks the connections in a random way.
pub(crate) async fn accident(proxy: &TcpProxy, rng: &mut StdRng) {
    let pause = Duration::from_millis(rng.random_range(0..40));
    match rng.random_range(0..3) {
        0 => {}
        1 => proxy.mute(),
        _ => proxy.stall(),
    }
    sleep(pause).await;
    // A stall may pass without a cut.
    if rng.random_ratio(4, 5) {
        proxy.cut();
        sleep(pause / 4).await;
    }
    proxy.restore();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_cut_at_random_lose_and_double_nothing() {
    let (seed, mut rng) = seed();
    let archive = Archive::new().await;
    let relays = archive.relays(3).await;
    let (proxy, url) = proxied(&archive).await;
    let node = Arc::new(node(&archive, &url).await);
    let events: Arc<Vec<Event>> = Arc::new(population(seed, 1_500));
    let mut submitters = JoinSet::new();
    for n in 0..3_u64 {
        let (node, events, relays) = (node.clone(), events.clone(), relays.clone());
        submitters.spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed ^ n << 40);
            let (mut model, mut new) = (Model::default(), 0);
            for _ in 0..40 {
                let size = rng.random_range(1..70);
                let relay = *relays.choose(&mut rng).unwrap();
                let batch: Vec<Event> = events.choose_multiple(&mut rng, size).cloned().collect();
                model.add_all(&batch, Some(relay));
                new += node.submit(batch, Some(relay)).await.unwrap().new;
                sleep(Duration::from_millis(rng.random_range(0..60))).await;
            }
            (model, new)
        });
    }
    let accidents = async {
        for _ in 0..12 {
            sleep(Duration::from_millis(rng.random_range(20..300))).await;
            accident(&proxy, &mut rng).await;
        }
    };
    let (outcomes, ()) = tokio::join!(submitters.join_all(), accidents);
    let mut model = Model::default();
    let mut new = 0;
    for (part, part_new) in outcomes {
        model.events.extend(part.events);
        model.seen.extend(part.seen);
        new += part_new;
    }
    assert_eq!(new, model.events.len() as u64);
    assert_eq!(node.metric("bigbrotr_ingest_new_events_total"), new);
    model.check(&archive.store, &archive.pool).await;
}
