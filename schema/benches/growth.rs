//! What growth costs: writing, look-ups, questions and bytes at 100 thousand, 1 and 10 million
//! events.
//!
//! `cargo bench -p bigbrotr-schema --bench growth -- [--events N] [--layout plain|months]
//! [--without-index NAME] [--corpus N] [--seed N]
//! [--url URL | --data FOLDER]`
//!
//! Events are written by `Store::insert_events`, with the sightings of two relays and the
//! statistics folded all the while, and without checks of signatures: what is measured is the
//! database. `--layout months` is what decision 7 compares with: events partitioned by month of
//! `created_at`. With `--url` a database of yours is used, with `--data` a private Postgres in that
//! folder; both are left as they are in the end, and a later run goes on where they end.
//! `--corpus` reads the first events of a larger corpus.

#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::event::{Event, EventId};
use bigbrotr_schema::catalog::{Catalog, Entry};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use bigbrotr_schema::store::{RelayId, Sighting, Store};
use bigbrotr_testkit::bench::option;
use rand::seq::IndexedRandom;
use sqlx::{Connection, Executor, PgConnection};

/// Events in one transaction.
const BATCH: usize = 5_000;

/// Events whose writing is timed at each stop.
const TIMED: usize = 100_000;

/// Look-ups and questions that are timed at each stop.
const SAMPLES: usize = 500;

#[tokio::main]
async fn main() {
    let events: usize = option("events", 1_000_000);
    let folder = tempfile::tempdir().expect("a folder");
    let given = option("url", String::new());
    let data = option("data", folder.path().join("data"));
    let (server, url) = if given.is_empty() {
        let server = EmbeddedPostgres::start(EmbeddedConfig::new(data))
            .await
            .expect("a server");
        let url = server.connection_url();
        (Some(server), url)
    } else {
        (None, given)
    };
    let clock = ManualClock::new(support::NOW);
    let store = Store::connect(&url, Arc::new(DatabaseConfig::default()), Arc::new(clock))
        .await
        .expect("a connection");
    store.migrate().await.expect("migrations");
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    match option("layout", "plain".to_owned()).as_str() {
        "plain" => {}
        "months" => connection
            .execute(include_str!("support/months.sql"))
            .await
            .map(drop)
            .expect("a layout"),
        other => panic!("--layout {other}: expected plain or months"),
    }
    let without: String = option("without-index", String::new());
    if !without.is_empty() {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("drop index {without}")))
            .execute(&mut connection)
            .await
            .expect("no index");
    }
    let relays = support::relays(&store).await;
    let there: i64 = sqlx::query_scalar("select count(*) from events")
        .fetch_one(&mut connection)
        .await
        .expect("a count");
    let there = there as usize;
    let mut stops: Vec<usize> = [100_000, 1_000_000, 10_000_000]
        .into_iter()
        .filter(|stop| (there + 1..events).contains(stop))
        .collect();
    stops.push(events);
    let corpus = option("corpus", events);
    let mut lines = support::corpus(option("seed", 1), corpus);
    let rollup = support::Rollup::start(&store);
    let mut written = Written::default();
    written.skip(&mut lines, there);
    println!(
        "{:>10}  {:>9}  {:>9}  {:>8}",
        "events", "last 100k", "all", "lag max"
    );
    for next in stops {
        written.up_to(&store, &relays, &mut lines, next).await;
        rollup.settle(&store).await;
        let lag = rollup.worst_lag();
        println!(
            "{next:>10}  {:>7.0}/s  {:>7.0}/s  {lag:>6.2} s",
            TIMED as f64 / written.last.as_secs_f64(),
            (next - there) as f64 / written.total.as_secs_f64(),
        );
        report(&store, &mut connection, &written.sample, written.raw_bytes).await;
    }
    rollup.stop().await;
    if events <= 1_000_000 {
        assert_eq!(store.verify_statistics(5).await.expect("verification"), []);
        println!("every statistic equals its recomputation");
    }
    store.close().await;
    if let Some(server) = server {
        server.stop().await.expect("a stop");
    }
}

/// What has been written so far.
#[derive(Default)]
struct Written {
    events: usize,
    raw_bytes: usize,
    total: Duration,
    last: Duration,
    /// Some of the events, spread over all.
    sample: Vec<(EventId, i64)>,
}

impl Written {
    /// Takes note of events that an earlier run has written.
    fn skip(&mut self, lines: &mut impl Iterator<Item = String>, events: usize) {
        for (n, line) in lines.by_ref().take(events).enumerate() {
            self.events += 1;
            self.raw_bytes += line.len();
            if n.is_multiple_of(1_000) {
                let event = Event::from_json(&line).expect("an event");
                self.sample.push((event.id, event.created_at));
            }
        }
    }

    async fn up_to(
        &mut self,
        store: &Store,
        relays: &[RelayId],
        lines: &mut impl Iterator<Item = String>,
        goal: usize,
    ) {
        self.last = Duration::ZERO;
        while self.events < goal {
            let batch: Vec<String> = lines.by_ref().take(BATCH.min(goal - self.events)).collect();
            assert!(!batch.is_empty(), "the corpus ends early");
            self.raw_bytes += batch.iter().map(String::len).sum::<usize>();
            let parsed = support::parse(&batch);
            let events: Vec<&Event> = parsed.iter().collect();
            let sightings: Vec<Sighting<'_>> = parsed
                .iter()
                .flat_map(|event| {
                    relays.iter().map(move |relay| Sighting {
                        event,
                        num: None,
                        relay: Some(*relay),
                        seen_at: support::NOW,
                    })
                })
                .collect();
            let begun = Instant::now();
            store
                .insert_events(&events, &sightings)
                .await
                .expect("a batch");
            // As the intake does: the statistics stay close behind.
            while store.rollup_lag().await.expect("a lag") > 1.0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let took = begun.elapsed();
            self.total += took;
            self.events += parsed.len();
            if self.events > goal - TIMED {
                self.last += took;
            }
            self.sample.extend(
                parsed
                    .iter()
                    .step_by(1_000)
                    .map(|event| (event.id, event.created_at)),
            );
        }
    }
}

async fn report(
    store: &Store,
    connection: &mut PgConnection,
    sample: &[(EventId, i64)],
    raw_bytes: usize,
) {
    let mut rng = rand::rng();
    let mut by_id = Vec::new();
    let mut batches = Vec::new();
    for _ in 0..SAMPLES {
        let (id, _) = sample.choose(&mut rng).expect("an event");
        let begun = Instant::now();
        store
            .get_event(id)
            .await
            .expect("a look-up")
            .expect("an event");
        by_id.push(begun.elapsed());
    }
    for _ in 0..20 {
        let ids: Vec<EventId> = sample
            .choose_multiple(&mut rng, 100)
            .map(|(id, _)| *id)
            .chain((0..400).map(|_| EventId(rand::random())))
            .collect();
        let begun = Instant::now();
        store.archived_nums(&ids).await.expect("a look-up");
        batches.push(begun.elapsed());
    }
    println!(
        "            one event by id           {}",
        summary(&mut by_id)
    );
    println!(
        "            which of 500 ids are new  {}",
        summary(&mut batches)
    );
    let catalog = Catalog::load(store.clone(), &[])
        .await
        .expect("a catalogue");
    for entry in catalog.entries() {
        let mut times = Vec::new();
        for _ in 0..SAMPLES {
            let params = params(store, entry, sample).await;
            let begun = Instant::now();
            catalog.run(&entry.name, &params).await.expect("an answer");
            times.push(begun.elapsed());
        }
        println!("            {:25} {}", entry.name, summary(&mut times));
    }
    connection
        .execute("vacuum analyze")
        .await
        .expect("a vacuum");
    let sizes: Vec<(String, i64)> = sqlx::query_as(include_str!("support/sizes.sql"))
        .fetch_all(&mut *connection)
        .await
        .expect("sizes");
    let archive: i64 = sizes
        .iter()
        .filter(|(name, _)| name.starts_with("events"))
        .map(|(_, bytes)| bytes)
        .sum();
    let all: i64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    println!(
        "            bytes: archive {:.2} of the raw JSON, with statistics {:.2}",
        archive as f64 / raw_bytes as f64,
        all as f64 / raw_bytes as f64
    );
    for (name, bytes) in sizes.iter().take(8) {
        println!("              {name:26} {:>7} MB", bytes / 1_000_000);
    }
}

/// Parameters for one more sample of a question: events, pubkeys, windows and orders vary.
async fn params(
    store: &Store,
    entry: &Entry,
    sample: &[(EventId, i64)],
) -> BTreeMap<String, String> {
    let mut rng = rand::rng();
    let (id, _) = sample.choose(&mut rng).expect("an event");
    let mut params = BTreeMap::new();
    let mut give = |name: &str, value: String| {
        if entry.param(name).is_some() {
            params.insert(name.to_owned(), value);
        }
    };
    let window = if entry.path.contains("/{") {
        "all"
    } else {
        ["1h", "24h", "7d", "30d", "all"]
            .choose(&mut rng)
            .expect("a window")
    };
    give("window", window.to_owned());
    give("id", id.to_hex());
    give(
        "kind",
        ["0", "1", "7"]
            .choose(&mut rng)
            .expect("a kind")
            .to_string(),
    );
    give("url", "wss://one.example.com".into());
    if entry.param("pubkey").is_some() {
        let event = store
            .get_event(id)
            .await
            .expect("a look-up")
            .expect("an event");
        give("pubkey", event.pubkey.to_hex());
    }
    if entry.name == "events.series" && rand::random() {
        params.remove("kind");
    }
    if entry.name == "events.series" {
        let bucket = ["hour", "day"].choose(&mut rng).expect("a bucket");
        params.insert("bucket".into(), (*bucket).to_owned());
    }
    params
}

fn summary(times: &mut [Duration]) -> String {
    times.sort_unstable();
    format!(
        "p50 {:>7.2} ms, p99 {:>7.2} ms",
        support::percentile(times, 0.5),
        support::percentile(times, 0.99)
    )
}
