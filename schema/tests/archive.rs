//! The archive: what goes in comes back, is counted once, and the statistics are true.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::{Clock, ManualClock, SystemClock};
use bigbrotr_core::config::ConfigSource;
use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::config::{ArchiveConfig, DatabaseConfig};
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::ingest::{Ingest, IngestMetrics, Ingested};
use bigbrotr_schema::store::{RelayId, Store};
use bigbrotr_schema::testing::{test_store, test_store_with};
use bigbrotr_testkit::population::{EventMaker, InvalidEvents, author_keys};
use bigbrotr_testkit::{Population, PopulationConfig};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const NOW: i64 = 1_750_000_000;

struct Archive {
    store: Store,
    ingest: Ingest,
    clock: ManualClock,
    stop: CancellationToken,
    database: TestDatabase,
    keep: ArchiveConfig,
}

impl Archive {
    /// The archive of an implementation that comes with the program, as its files configure it.
    async fn new(implementation: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../implementations");
        let config: DatabaseConfig = ConfigSource::new()
            .with_dir(&Path::new(folder).join(implementation).join("config"))
            .unwrap()
            .section()
            .unwrap();
        let keep = config.archive;
        let clock = ManualClock::new(NOW);
        let (store, database) = test_store_with(config, Arc::new(clock.clone())).await;
        let stop = CancellationToken::new();
        let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
        let ingest = Ingest::start(store.clone(), metrics, &TaskTracker::new(), stop.clone());
        Self {
            store,
            ingest,
            clock,
            stop,
            database,
            keep,
        }
    }

    /// Says whether the archive keeps whole events.
    fn keeps_all(&self) -> bool {
        self.keep == ArchiveConfig::default()
    }

    /// Asserts that events are archived, byte for byte as far as the archive keeps them.
    async fn assert_has(&self, events: &[Event]) {
        let catalog = Catalog::load(self.store.clone(), &[]).await.unwrap();
        for event in events {
            let back = self.store.get_event(&event.id).await.unwrap();
            if self.keeps_all() {
                let back = back.unwrap();
                assert_eq!(&back, event);
                back.verify().unwrap();
            } else {
                assert_eq!(back, None, "a part of an event is no event");
            }
            let id = BTreeMap::from([("id".to_owned(), event.id.to_hex())]);
            let answer = catalog.run("events.get", &id).await.unwrap();
            self.assert_answers(&answer.json, event);
        }
    }

    fn assert_answers(&self, answer: &str, event: &Event) {
        let answer: Value = serde_json::from_str(answer).unwrap();
        let kept = |is_kept: bool, value: Value| if is_kept { value } else { Value::Null };
        assert_eq!(
            answer["data"],
            json!({
                "id": event.id.to_hex(),
                "pubkey": event.pubkey.to_hex(),
                "created_at": event.created_at,
                "kind": event.kind,
                "tags": kept(self.keep.tags, json!(event.tags)),
                "content": kept(self.keep.content, json!(event.content)),
                "sig": kept(self.keep.signatures, json!(hex::encode(event.sig))),
            })
        );
    }

    async fn relay(&self, url: &str) -> RelayId {
        let url = RelayUrl::parse(url, &UrlPolicy::default()).unwrap();
        self.store
            .insert_relays(std::slice::from_ref(&url))
            .await
            .unwrap();
        self.store.get_relay(&url).await.unwrap().unwrap().id
    }

    async fn fold(&self) {
        self.store.rollup_to_end().await.unwrap();
        let differences = self.store.verify_statistics(10).await.unwrap();
        assert!(differences.is_empty(), "{differences:#?}");
        assert_eq!(self.store.as_of().await.unwrap(), self.clock.now());
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn population(seed: u64, events: usize) -> Vec<Event> {
    let population = Population::generate(&PopulationConfig::new(seed, events, NOW));
    population
        .events()
        .iter()
        .map(bigbrotr_testkit::SimEvent::event)
        .collect()
}

/// The same promises, whatever an implementation keeps.
macro_rules! in_every_implementation {
    ($($test:ident),+ $(,)?) => {
        mod bigbrotr {
            $(#[tokio::test]
            async fn $test() {
                super::$test("bigbrotr").await;
            })+
        }
        mod lilbrotr {
            $(#[tokio::test]
            async fn $test() {
                super::$test("lilbrotr").await;
            })+
        }
    };
}

in_every_implementation!(
    what_is_kept_of_a_valid_event_comes_back_byte_for_byte,
    an_event_is_new_once_and_seen_by_each_relay_once,
    invalid_events_are_refused_counted_and_leave_no_trace,
    statistics_follow_the_windows_as_time_passes,
    a_broken_statistic_is_named,
);

async fn what_is_kept_of_a_valid_event_comes_back_byte_for_byte(implementation: &str) {
    let archive = Archive::new(implementation).await;
    let relay = archive.relay("wss://relay.example.com").await;
    let keys = author_keys(1, 1);
    let scalars: String = [
        '\0', '\u{1}', '\u{1f}', '\u{7f}', '\u{d7ff}', '\u{e000}', '\u{ffff}',
    ]
    .into_iter()
    .chain(('\u{10000}'..='\u{10ffff}').step_by(997))
    .collect();
    let mut events = vec![
        EventMaker::new(0).kind(0).content("").sign(&keys),
        EventMaker::new((1 << 53) - 1)
            .kind(65_535)
            .content("\0")
            .sign(&keys),
        EventMaker::new(NOW)
            .content(&scalars)
            .tag(["t", &scalars])
            .sign(&keys),
        EventMaker::new(NOW)
            .content("x".repeat(1_000_000))
            .sign(&keys),
        EventMaker::new(NOW)
            .tag(["a", &"v".repeat(9_000)])
            .tag(["b", &"w".repeat(60_000)])
            .sign(&keys),
        EventMaker::new(NOW)
            .tag(["", ""])
            .tag(["only"])
            .tag(Vec::<String>::new())
            .sign(&keys),
        EventMaker::new(NOW)
            .content("quote \" slash / back \\ \u{2028}")
            .sign(&keys),
    ];
    events.extend(population(7, 300));
    let count = events.len() as u64;
    let ingested = archive
        .ingest
        .submit(events.clone(), Some(relay))
        .await
        .unwrap();
    assert_eq!(
        ingested,
        Ingested {
            new: count,
            known: 0,
            refused: 0,
            ..Ingested::default()
        }
    );
    archive.assert_has(&events).await;
    archive.fold().await;
}

async fn an_event_is_new_once_and_seen_by_each_relay_once(implementation: &str) {
    let archive = Archive::new(implementation).await;
    let (one, two) = (
        archive.relay("wss://one.example.com").await,
        archive.relay("wss://two.example.com").await,
    );
    let events = population(1, 500);
    let first = archive
        .ingest
        .submit(events.clone(), Some(one))
        .await
        .unwrap();
    assert_eq!((first.new, first.known), (500, 0));
    let mut twice = events.clone();
    twice.extend(events.clone());
    let again = archive.ingest.submit(twice, Some(one)).await.unwrap();
    assert_eq!((again.new, again.known), (0, 1_000));
    let second = archive
        .ingest
        .submit(events[..100].to_vec(), Some(two))
        .await
        .unwrap();
    assert_eq!((second.new, second.known), (0, 100));
    archive.fold().await;
    let relays = archive
        .store
        .list_event_relays(&events[0].id)
        .await
        .unwrap();
    assert_eq!(relays, ["wss://one.example.com", "wss://two.example.com"]);
    assert_eq!(
        archive
            .store
            .list_event_relays(&events[499].id)
            .await
            .unwrap()
            .len(),
        1
    );
    // One transaction may be given an event twice, too.
    let [one, other] = &population(2, 2)[..] else {
        panic!("two events");
    };
    let given = [one, other, one];
    let archived = archive.store.insert_events(&given, &[]).await.unwrap();
    assert_eq!(archived.new_events, 2);
}

async fn invalid_events_are_refused_counted_and_leave_no_trace(implementation: &str) {
    let archive = Archive::new(implementation).await;
    let relay = archive.relay("wss://relay.example.com").await;
    let good = population(2, 20);
    let invalid = InvalidEvents::new(author_keys(9, 9), NOW);
    let mut events = good.clone();
    events.push(invalid.wrong_signature());
    events.push(invalid.wrong_id());
    events.push(invalid.impossible_pubkey());
    // A forged copy ahead of its true twin must not take it along.
    let twin = EventMaker::new(NOW)
        .content("twin")
        .sign(&author_keys(3, 3));
    let mut forged = twin.clone();
    forged.sig[0] ^= 1;
    let mut altered = twin.clone();
    altered.content.push('!');
    events.extend([forged.clone(), altered, forged, twin.clone(), twin.clone()]);
    let ingested = archive.ingest.submit(events, Some(relay)).await.unwrap();
    assert_eq!(
        ingested,
        Ingested {
            new: 21,
            known: 1,
            refused: 6,
            ..Ingested::default()
        }
    );
    archive.assert_has(&[twin]).await;
    let refused: EventId = invalid.wrong_signature().id;
    assert_eq!(archive.store.get_event(&refused).await.unwrap(), None);
    assert!(
        archive
            .store
            .list_event_relays(&refused)
            .await
            .unwrap()
            .is_empty()
    );
    archive.fold().await;
}

async fn statistics_follow_the_windows_as_time_passes(implementation: &str) {
    let archive = Archive::new(implementation).await;
    let (one, two) = (
        archive.relay("wss://one.example.com").await,
        archive.relay("wss://two.example.com").await,
    );
    let keys = author_keys(1, 1);
    // Edges of every window, and events from the future.
    let mut events = population(3, 400);
    for offset in [
        0, -3_599, -3_600, -3_601, -86_400, -604_800, -2_592_000, 1, 10, 90_000,
    ] {
        events.push(EventMaker::new(NOW + offset).kind(30_000).sign(&keys));
    }
    archive.fold().await;
    for (n, chunk) in events.chunks(97).enumerate() {
        archive
            .ingest
            .submit(chunk.to_vec(), Some(one))
            .await
            .unwrap();
        if n % 2 == 0 {
            archive
                .ingest
                .submit(chunk.to_vec(), Some(two))
                .await
                .unwrap();
        }
        archive.clock.advance(Duration::from_secs(1));
        archive.fold().await;
    }
    for step in [1, 8, 3_600, 40_000, 50_000, 600_000, 2_600_000] {
        archive.clock.advance(Duration::from_secs(step));
        archive.fold().await;
    }
    let catalog = Catalog::load(archive.store.clone(), &[]).await.unwrap();
    let all = catalog.run("events.stats", &BTreeMap::new()).await.unwrap();
    assert!(all.json.contains("\"events\":410,"), "{}", all.json);
    let month = BTreeMap::from([("window".to_owned(), "30d".to_owned())]);
    let month = catalog.run("events.stats", &month).await.unwrap();
    assert!(month.json.contains("\"events\":0,"), "{}", month.json);
}

async fn a_broken_statistic_is_named(implementation: &str) {
    let archive = Archive::new(implementation).await;
    let relay = archive.relay("wss://relay.example.com").await;
    archive
        .ingest
        .submit(population(4, 50), Some(relay))
        .await
        .unwrap();
    archive.fold().await;
    let pool = sqlx::PgPool::connect(&archive.database.url())
        .await
        .unwrap();
    sqlx::query("update stats_kinds set events = events + 1 where win = 0 and kind = 1")
        .execute(&pool)
        .await
        .unwrap();
    let differences = archive.store.verify_statistics(10).await.unwrap();
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].statistic, "kind_counts_total");
    assert!(
        differences[0]
            .to_string()
            .contains("all kind 1 events: expected"),
        "{}",
        differences[0]
    );
}

#[tokio::test]
async fn the_public_role_reads_views_and_nothing_else() {
    let (_store, database) = test_store().await;
    let pool = sqlx::PgPool::connect(&database.url()).await.unwrap();
    for (role, statement, allowed) in [
        ("readonly_public", "select * from events_statistics", true),
        ("readonly_public", "select * from relays_overview", true),
        ("readonly_public", "select * from events", false),
        ("readonly_public", "select * from dvm_jobs", false),
        ("readonly_public", "delete from rollup_queue", false),
        ("readonly_public", "select rollup_step(1, 1)", false),
        ("readonly_public", "create table t (x int)", false),
        ("readonly_system", "select * from sync_state", true),
        ("readonly_system", "select * from dvm_jobs", false),
        ("readonly_system", "update relays set url = 'x'", false),
        (
            "admin",
            "insert into relays (url, network, discovered_at) values ('x', 'tor', 1)",
            true,
        ),
    ] {
        let mut tx = pool.begin().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("set local role {role}")))
            .execute(&mut *tx)
            .await
            .unwrap();
        let outcome = sqlx::query(statement).execute(&mut *tx).await;
        assert_eq!(outcome.is_ok(), allowed, "{role}: {statement}: {outcome:?}");
    }
}

/// A clock was two hours ahead, and was put right.
#[tokio::test]
async fn statistics_come_back_from_a_time_that_nobody_has() {
    let archive = Archive::new("bigbrotr").await;
    let relay = archive.relay("wss://one.example.com").await;
    let now = SystemClock.now();
    let population = Population::generate(&PopulationConfig::new(43, 300, now));
    let events = population
        .events()
        .iter()
        .map(bigbrotr_testkit::SimEvent::event)
        .collect();
    archive.clock.set(now + 7_200);
    archive.ingest.submit(events, Some(relay)).await.unwrap();
    archive.fold().await;
    archive.clock.set(now);
    archive.store.rollup_to_end().await.unwrap();
    let as_of = archive.store.as_of().await.unwrap();
    assert!((now..now + 600).contains(&as_of), "{as_of} at {now}");
    let differences = archive.store.verify_statistics(10).await.unwrap();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Checks of relays change the rows that a step changes too, when a relay has grown.
#[tokio::test]
async fn statistics_come_on_however_often_relays_are_checked() {
    let archive = Archive::new("bigbrotr").await;
    let relay = archive.relay("wss://one.example.com").await;
    archive.fold().await;
    let mut checks = PgConnection::connect(&archive.database.url())
        .await
        .unwrap();
    let mut checking = JoinSet::new();
    checking.spawn(async move {
        loop {
            // As who stores a check does it: the row is locked before it is changed.
            sqlx::raw_sql(
                "begin; select from relay_latest for update;
                update relay_latest set checked_at = checked_at; commit",
            )
            .execute(&mut checks)
            .await
            .unwrap();
        }
    });
    let events = population(41, 1_000);
    for events in events.chunks(50) {
        let submitted = archive.ingest.submit(events.to_vec(), Some(relay)).await;
        submitted.unwrap();
        let step = archive.store.rollup_step().await.unwrap();
        assert!(step.is_some_and(|step| step.batches > 0), "{step:?}");
    }
    drop(checking);
    archive.fold().await;
}
