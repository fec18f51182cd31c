//! Removal: retention rules, orphans, relays; every statistic stays exact, and what is wanted
//! again comes back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::event::Event;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::config::{DatabaseConfig, RetentionConfig};
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::ingest::{Ingest, IngestMetrics, Ingested};
use bigbrotr_schema::store::{RelayId, RetentionCursor, Store};
use bigbrotr_schema::testing::test_store_with;
use bigbrotr_testkit::population::{EventMaker, author_keys};
use bigbrotr_testkit::{Population, PopulationConfig, SimEvent};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const NOW: i64 = 1_750_000_000;
const DAY: i64 = 86_400;

struct Archive {
    store: Store,
    ingest: Ingest,
    clock: ManualClock,
    database: TestDatabase,
    config: DatabaseConfig,
    _stop: tokio_util::sync::DropGuard,
}

impl Archive {
    async fn new(retention: RetentionConfig) -> Self {
        let config = DatabaseConfig {
            retention,
            ..DatabaseConfig::default()
        };
        let clock = ManualClock::new(NOW);
        let (store, database) = test_store_with(config.clone(), Arc::new(clock.clone())).await;
        let stop = CancellationToken::new();
        let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
        let ingest = Ingest::start(store.clone(), metrics, &TaskTracker::new(), stop.clone());
        Self {
            store,
            ingest,
            clock,
            database,
            config,
            _stop: stop.drop_guard(),
        }
    }

    async fn relay(&self, url: &str) -> RelayId {
        let url = RelayUrl::parse(url, &UrlPolicy::default()).unwrap();
        self.store
            .insert_relays(std::slice::from_ref(&url))
            .await
            .unwrap();
        self.store.get_relay(&url).await.unwrap().unwrap().id
    }

    async fn verify(&self) {
        let differences = self.store.verify_statistics(10).await.unwrap();
        assert!(differences.is_empty(), "{differences:#?}");
    }

    /// Statistics are right before, between and after the steps.
    async fn fold_and_verify(&self) {
        self.verify().await;
        self.store.rollup_to_end().await.unwrap();
        self.verify().await;
    }

    async fn retain(&self) -> u64 {
        let policy = self.config.retention.policy();
        let (mut removed, mut from) = (0, Some(RetentionCursor::START));
        while let Some(cursor) = from {
            let step = self.store.apply_retention(&policy, cursor).await.unwrap();
            removed += step.removed;
            from = step.next;
        }
        removed
    }

    /// Runs a statement that returns one number.
    async fn count(&self, sql: &'static str) -> i64 {
        let pool = sqlx::PgPool::connect(&self.database.url()).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    }
}

fn population(seed: u64, events: usize) -> Vec<Event> {
    let population = Population::generate(&PopulationConfig::new(seed, events, NOW));
    population.events().iter().map(SimEvent::event).collect()
}

fn rules(max_age: Duration, kinds: &[(&str, &str)]) -> RetentionConfig {
    RetentionConfig {
        max_age,
        kinds: kinds
            .iter()
            .map(|(kinds, age)| ((*kinds).to_owned(), (*age).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        ..RetentionConfig::default()
    }
}

#[tokio::test]
async fn old_events_go_and_every_statistic_stays_exact() {
    let rules = rules(
        Duration::from_secs(20 * DAY as u64),
        &[("0", "forever"), ("1", "5d")],
    );
    let archive = Archive::new(rules).await;
    let (one, two) = (
        archive.relay("wss://one.example.com").await,
        archive.relay("wss://two.example.com").await,
    );
    let events = population(1, 1_500);
    archive
        .ingest
        .submit(events.clone(), Some(one))
        .await
        .unwrap();
    archive
        .ingest
        .submit(events[700..].to_vec(), Some(two))
        .await
        .unwrap();
    archive.fold_and_verify().await;
    for days in [1, 4, 11, 30] {
        archive
            .clock
            .advance(Duration::from_secs(days * DAY as u64));
        assert!(archive.retain().await > 0, "after {days} days more");
        // What was removed is still counted until the fold, and then it is not.
        archive.fold_and_verify().await;
    }
    let left = archive.count("select count(*) from events").await;
    assert_eq!(
        left,
        archive
            .count("select count(*) from events where kind = 0")
            .await
    );
    assert!(left > 0);
    assert_eq!(archive.retain().await, 0);
}

#[tokio::test]
async fn what_is_not_kept_is_not_archived_either() {
    let archive = Archive::new(rules(
        Duration::from_secs(10 * DAY as u64),
        &[("20000-29999", "never")],
    ))
    .await;
    let relay = archive.relay("wss://one.example.com").await;
    let keys = author_keys(1, 1);
    let events = vec![
        EventMaker::new(NOW).sign(&keys),
        EventMaker::new(NOW - 10 * DAY).sign(&keys),
        EventMaker::new(NOW + DAY).kind(20_001).sign(&keys),
    ];
    let ingested = archive.ingest.submit(events, Some(relay)).await.unwrap();
    let expected = Ingested {
        new: 1,
        unkept: 2,
        ..Ingested::default()
    };
    assert_eq!(ingested, expected);
    assert_eq!(archive.count("select count(*) from events").await, 1);
}

#[tokio::test]
async fn an_event_added_and_removed_between_two_folds_leaves_nothing() {
    let archive = Archive::new(RetentionConfig::default()).await;
    let relay = archive.relay("wss://one.example.com").await;
    archive.fold_and_verify().await;
    let events = population(2, 60);
    archive
        .ingest
        .submit(events.clone(), Some(relay))
        .await
        .unwrap();
    archive
        .count("with gone as (delete from events returning 1) select count(*) from gone")
        .await;
    archive
        .ingest
        .submit(events[..20].to_vec(), Some(relay))
        .await
        .unwrap();
    archive.fold_and_verify().await;
    assert_eq!(archive.count("select count(*) from events").await, 20);
    assert_eq!(
        archive
            .count("select sum(events)::bigint from stats_kinds where win = 0")
            .await,
        20
    );
}

#[tokio::test]
async fn orphans_are_removed_in_bounded_batches() {
    let archive = Archive::new(RetentionConfig::default()).await;
    let relay = archive.relay("wss://one.example.com").await;
    let events = population(3, 90);
    archive
        .ingest
        .submit(events[..50].to_vec(), None)
        .await
        .unwrap();
    archive
        .ingest
        .submit(events[40..].to_vec(), Some(relay))
        .await
        .unwrap();
    archive.fold_and_verify().await;
    let mut batches = Vec::new();
    loop {
        match archive.store.delete_orphan_events(15).await.unwrap() {
            0 => break,
            n => batches.push(n),
        }
        archive.fold_and_verify().await;
    }
    assert_eq!(batches, [15, 15, 10]);
    assert_eq!(archive.count("select count(*) from events").await, 50);
}

#[tokio::test]
async fn a_removal_waits_no_longer_for_a_frozen_writer_than_others_can_bear() {
    let archive = Archive::new(rules(Duration::from_hours(40 * 24), &[])).await;
    let relay = archive.relay("wss://one.example.com").await;
    archive
        .ingest
        .submit(population(6, 50), Some(relay))
        .await
        .unwrap();
    // All of them are old by now.
    archive.clock.advance(Duration::from_hours(80 * 24));
    let pool = sqlx::PgPool::connect(&archive.database.url())
        .await
        .unwrap();
    let mut frozen = pool.acquire().await.unwrap();
    sqlx::raw_sql("begin; select lock_archive_for_writing()")
        .execute(&mut *frozen)
        .await
        .unwrap();
    // Every event has a relay: nothing to wait for.
    assert_eq!(archive.store.delete_orphan_events(10).await.unwrap(), 0);
    let policy = archive.config.retention.policy();
    let step = archive
        .store
        .apply_retention(&policy, RetentionCursor::START);
    let step = tokio::time::timeout(Duration::from_mins(1), step).await;
    let error = step.expect("an end").unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    drop(frozen);
}

#[tokio::test]
async fn a_removed_event_that_is_seen_again_is_archived_again() {
    let archive = Archive::new(RetentionConfig::default()).await;
    let (one, two) = (
        archive.relay("wss://one.example.com").await,
        archive.relay("wss://two.example.com").await,
    );
    let events = population(4, 100);
    archive.ingest.submit(events.clone(), None).await.unwrap();
    assert_eq!(archive.store.delete_orphan_events(70).await.unwrap(), 70);
    // The intake remembers all of them, with numbers that stand for nothing any more.
    let mut forged = events[0].clone();
    forged.sig[9] ^= 1;
    let mut again = events.clone();
    again.push(forged);
    let ingested = archive.ingest.submit(again, Some(one)).await.unwrap();
    assert_eq!(
        (
            ingested.new,
            ingested.new + ingested.known + ingested.refused
        ),
        (70, 101)
    );
    let ingested = archive
        .ingest
        .submit(events.clone(), Some(two))
        .await
        .unwrap();
    assert_eq!((ingested.new, ingested.known), (0, 100));
    archive.fold_and_verify().await;
    assert_eq!(
        archive.count("select count(*) from events_relays").await,
        200
    );
    let orphans = "select count(*) from events_relays er
        where not exists (select from events e where e.num = er.event_num)";
    assert_eq!(archive.count(orphans).await, 0);
    for event in &events {
        assert_eq!(
            archive.store.get_event(&event.id).await.unwrap().as_ref(),
            Some(event)
        );
    }
}

#[tokio::test]
async fn a_relay_can_be_forgotten() {
    let archive = Archive::new(RetentionConfig::default()).await;
    let (one, two) = (
        archive.relay("wss://one.example.com").await,
        archive.relay("wss://two.example.com").await,
    );
    let events = population(5, 80);
    archive
        .ingest
        .submit(events.clone(), Some(one))
        .await
        .unwrap();
    archive
        .ingest
        .submit(events[..30].to_vec(), Some(two))
        .await
        .unwrap();
    archive.store.rollup_to_end().await.unwrap();
    let mut batches = Vec::new();
    loop {
        let deleted = archive
            .count("select delete_relay('wss://one.example.com', 50)")
            .await;
        batches.push(deleted);
        archive.fold_and_verify().await;
        if deleted == 0 {
            break;
        }
    }
    assert_eq!(batches, [50, 30, 0]);
    assert_eq!(archive.count("select count(*) from relays").await, 1);
    assert_eq!(archive.store.delete_orphan_events(1_000).await.unwrap(), 50);
    archive.fold_and_verify().await;
}
