//! Everything valid comes back as it was sent: from the store and from the catalogue, whichever
//! way it was written.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bigbrotr_core::event::Event;
use bigbrotr_core::limits::MAX_CREATED_AT;
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::ingest::{Ingest, IngestMetrics};
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::population::{author_keys, sign};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const NOW: i64 = 1_750_000_000;

/// The two ways in which events are written.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// By the intake.
    Copied,
    /// By the standard procedure `insert_event`, as others may call it.
    Procedure,
}

struct Archive {
    store: Store,
    ingest: Ingest,
    catalog: Catalog,
    stop: CancellationToken,
    database: TestDatabase,
}

impl Archive {
    async fn new() -> Self {
        let (store, database) = test_store().await;
        let stop = CancellationToken::new();
        let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
        let ingest = Ingest::start(store.clone(), metrics, &TaskTracker::new(), stop.clone());
        // The bound on the time of a question is not what is tested here.
        let patient = DatabaseConfig {
            query_timeout: std::time::Duration::from_mins(1),
            ..DatabaseConfig::default()
        };
        let clock = Arc::new(bigbrotr_core::clock::SystemClock);
        let url = database.url();
        let public = Store::connect(&url, Arc::new(patient), clock);
        Self {
            catalog: Catalog::load(public.await.unwrap(), &[]).await.unwrap(),
            store,
            ingest,
            stop,
            database,
        }
    }

    async fn submit(&self, events: &[Event]) {
        let count = events.len() as u64;
        let ingested = self.ingest.submit(events.to_vec(), None).await.unwrap();
        assert_eq!((ingested.new, ingested.refused), (count, 0));
    }

    async fn call_procedure(&self, events: &[Event]) {
        let pool = sqlx::PgPool::connect(&self.database.url()).await.unwrap();
        let json = |value: serde_json::Result<String>| value.unwrap();
        let column = |of: fn(&Event) -> &[u8]| events.iter().map(of).collect::<Vec<_>>();
        let (new, _): (i64, i64) = sqlx::query_as(
            "select * from insert_event($1, $2, $3, $4, $5, $6, $7, '{}', '{}', '{}')",
        )
        .bind(column(|e| &e.id.0))
        .bind(column(|e| &e.pubkey.0))
        .bind(events.iter().map(|e| e.created_at).collect::<Vec<_>>())
        .bind(events.iter().map(|e| i32::from(e.kind)).collect::<Vec<_>>())
        .bind(
            events
                .iter()
                .map(|e| json(serde_json::to_string(&e.tags)))
                .collect::<Vec<_>>(),
        )
        .bind(
            events
                .iter()
                .map(|e| json(serde_json::to_string(&e.content)))
                .collect::<Vec<_>>(),
        )
        .bind(column(|e| &e.sig))
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(new, events.len() as i64);
    }

    /// Archives events in one way and compares what comes back.
    async fn round_trip(&self, events: &[Event], way: Way) {
        match way {
            Way::Copied => self.submit(events).await,
            Way::Procedure => self.call_procedure(events).await,
        }
        for event in events {
            let back = self.store.get_event(&event.id).await.unwrap().unwrap();
            assert!(back == *event, "{way:?}: {} came back changed", event.id);
            back.verify().unwrap();
            self.ask(event).await;
        }
    }

    /// Asks the catalogue for an event.
    async fn ask(&self, event: &Event) {
        #[derive(serde::Deserialize)]
        struct Answer {
            data: Event,
        }
        let id = BTreeMap::from([("id".to_owned(), event.id.to_hex())]);
        let answer = self.catalog.run("events.get", &id).await.unwrap();
        let answer: Answer = serde_json::from_str(&answer.json).unwrap();
        assert!(answer.data == *event, "the answer on {} differs", event.id);
        answer.data.verify().unwrap();
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn event(created_at: i64, kind: u16, tags: Vec<Vec<String>>, content: &str) -> Event {
    sign(&author_keys(1, 1), created_at, kind, tags, content)
}

fn tag<const N: usize>(values: [&str; N]) -> Vec<String> {
    values.map(str::to_owned).to_vec()
}

/// Events with everything that has been seen to break archives.
fn odd_events(salt: &str) -> Vec<Event> {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = "{\"a\":".repeat(50_000);
    let empty = String::new();
    let mut events = vec![
        event(0, 0, vec![], salt),
        event(MAX_CREATED_AT, 65_535, vec![], salt),
        event(NOW, 1, vec![], &format!("\0{salt}\0\0")),
        event(NOW, 1, vec![tag(["\0", "a\0b", "\0"]), tag([salt])], "\0"),
        event(NOW, 1, vec![tag(["a", &"v".repeat(9_000), salt])], ""),
        event(NOW, 1, vec![tag(["b", &"w\0".repeat(30_000), salt])], ""),
        event(
            NOW,
            1,
            vec![vec![], tag([""]), vec![], tag(["", "", salt])],
            "",
        ),
        event(NOW, 1, vec![vec![]; 3_000], salt),
        event(
            NOW,
            2,
            (0..5_000)
                .map(|n| tag(["p", &format!("{n:064x}"), salt]))
                .collect(),
            "",
        ),
        event(NOW, 3, vec![vec![empty; 5_000], tag([salt])], ""),
        event(NOW, 1, vec![], &(deep.clone() + salt)),
        event(NOW, 1, vec![tag(["deep", &deep, salt])], &objects),
        event(NOW, 1, vec![], &format!("{}{salt}", "x".repeat(1_000_000))),
        event(NOW, 1, vec![], &format!("{salt}{}", "\0".repeat(200_000))),
        event(
            NOW,
            1,
            vec![],
            &format!("{salt}{}", "\u{10ffff}\"\\".repeat(100_000)),
        ),
    ];
    // What escapes, looks like an escape, or ends a string, a row or a statement somewhere.
    for text in [
        "\\u0000",
        "\\\\u0000",
        "\\N",
        "\\.",
        "'; drop table events; --",
        "$$",
        "$1",
        "\"",
        "\\",
        "\\\"",
        "\r\n\t\u{8}\u{c}",
        "\u{2028}\u{2029}",
        "\u{feff}",
        "\u{fffe}\u{ffff}",
        "e\u{301} \u{e9}",
        "\u{202e}abc",
        "\u{d7ff}\u{e000}",
        "null",
        "{}",
        "[]",
        "%00",
        "\u{7f}\u{80}\u{9f}",
    ] {
        let content = format!("{text}{salt}{text}");
        events.push(event(NOW, 1, vec![tag([text, text, salt])], &content));
    }
    events
}

#[tokio::test]
async fn what_breaks_other_archives_comes_back() {
    let archive = Archive::new().await;
    archive.round_trip(&odd_events("copied"), Way::Copied).await;
    let events = odd_events("one by one");
    archive.round_trip(&events, Way::Procedure).await;
}

/// Every Unicode scalar value, in content, in tag names and in tag values.
#[tokio::test]
async fn every_unicode_scalar_comes_back() {
    let archive = Archive::new().await;
    let scalars: Vec<char> = ('\0'..=char::MAX).collect();
    assert_eq!(scalars.len(), 0x11_0000 - 0x800);
    let events: Vec<Event> = scalars
        .chunks(scalars.len() / 8 + 1)
        .flat_map(|part| {
            let text: String = part.iter().collect();
            let each = part[..part.len().min(2_000)]
                .iter()
                .map(ToString::to_string);
            [
                event(NOW, 1, vec![], &text),
                event(NOW, 1, vec![tag(["t", &text]), tag([&text])], ""),
                event(NOW, 1, vec![each.collect()], ""),
            ]
        })
        .collect();
    archive.round_trip(&events, Way::Copied).await;
    let later: Vec<Event> = events
        .into_iter()
        .map(|e| event(NOW + 1, e.kind, e.tags, &e.content))
        .collect();
    archive.round_trip(&later, Way::Procedure).await;
}

#[tokio::test]
async fn every_edge_of_kind_and_time_comes_back() {
    let archive = Archive::new().await;
    let kinds = [
        0, 1, 2, 3, 4, 5, 255, 256, 9_999, 10_000, 19_999, 20_000, 29_999, 30_000, 32_767, 32_768,
        39_999, 40_000, 65_534, 65_535,
    ];
    let times = [
        0,
        1,
        i64::from(i32::MAX),
        i64::from(i32::MAX) + 1,
        i64::from(u32::MAX),
        i64::from(u32::MAX) + 1,
        MAX_CREATED_AT - 1,
        MAX_CREATED_AT,
    ];
    for (way, salt) in [(Way::Copied, "a"), (Way::Procedure, "b")] {
        let events: Vec<Event> = kinds
            .into_iter()
            .map(|kind| event(NOW, kind, vec![], salt))
            .chain(times.into_iter().map(|at| event(at, 1, vec![], salt)))
            .chain((0..100).map(|_| {
                event(
                    rand::random_range(0..=MAX_CREATED_AT),
                    rand::random(),
                    vec![],
                    salt,
                )
            }))
            .collect();
        archive.round_trip(&events, way).await;
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => vec(any::<char>(), 0..40).prop_map(|chars| chars.into_iter().collect()),
        2 => "[\\x00-\\x7f]{0,40}",
        1 => "[\\\\\"u0-9\\x00{}\\[\\]]{0,60}",
        1 => (any::<char>(), 0..20_000_usize).prop_map(|(c, n)| c.to_string().repeat(n)),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let created_at = prop_oneof![
        Just(0),
        Just(MAX_CREATED_AT),
        0..=MAX_CREATED_AT,
        0..=2 * NOW
    ];
    let tags = vec(vec(any_text(), 0..5), 0..8);
    let author = 0..5_u64;
    (author, created_at, any::<u16>(), tags, any_text()).prop_map(
        |(author, created_at, kind, tags, content)| {
            sign(&author_keys(2, author), created_at, kind, tags, content)
        },
    )
}

#[tokio::test]
async fn any_event_comes_back() {
    let archive = Archive::new().await;
    let seed: [u8; 32] = rand::random();
    println!("seed of the events: {seed:?}");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for way in [Way::Copied, Way::Procedure] {
        let mut events: Vec<Event> = (0..200)
            .map(|_| any_event().new_tree(&mut runner).unwrap().current())
            .collect();
        events.sort_by_key(|event| event.id);
        events.dedup_by_key(|event| event.id);
        archive.round_trip(&events, way).await;
    }
}
