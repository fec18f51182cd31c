//! Ingest: new events, known events, bytes and lag, as ratios to what the machine can do.
//!
//! `cargo bench -p bigbrotr-schema --bench ingest -- [--events N] [--seed N]`
//!
//! In one run, on a Postgres of its own with the node's settings: V is the rate of parsing and
//! verifying on all cores, C the rate of COPY of the same rows into a bare table with only a
//! primary key, and L = 1 / (1/V + 1/(cores * C)) the floor under ingest.

#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::event::Event;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use bigbrotr_schema::ingest::{Ingest, IngestMetrics};
use bigbrotr_schema::store::{RelayId, Store};
use bigbrotr_testkit::bench::option;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Events that a relay sends at once.
const PAGE: usize = 500;

/// Relays that deliver at the same time.
const CONCURRENCY: usize = 16;

#[tokio::main]
async fn main() {
    let count: usize = option("events", 100_000);
    let cores = std::thread::available_parallelism().expect("cores").get();
    let folder = tempfile::tempdir().expect("a folder");
    let server = EmbeddedPostgres::start(EmbeddedConfig::new(folder.path().join("data")))
        .await
        .expect("a server");
    let config = Arc::new(DatabaseConfig::default());
    let store = Store::connect(
        &server.connection_url(),
        config,
        Arc::new(ManualClock::new(support::NOW)),
    )
    .await
    .expect("a connection");
    store.migrate().await.expect("migrations");

    let json: Vec<String> = support::corpus(option("seed", 1), count).collect();
    let raw: usize = json.iter().map(String::len).sum();
    let count = json.len() as f64;
    println!(
        "events          {} of {} bytes on average, {cores} cores",
        json.len(),
        raw / json.len()
    );

    let verify = parse_and_verify(&json, cores);
    let v = count / verify.as_secs_f64();
    println!("V               {v:.0}/s parsed and verified on all cores");
    let events: Vec<Event> = json
        .iter()
        .map(|j| Event::from_json(j).expect("an event"))
        .collect();
    let c = count / copy(&server.connection_url(), &events).await.as_secs_f64();
    println!("C               {c:.0}/s copied into a bare table, one connection");
    let floor = 1.0 / (1.0 / v + 1.0 / (cores as f64 * c));
    println!("L               {floor:.0}/s");
    drop(events);

    let relays = support::relays(&store).await;
    let mut intake = Intake::start(&store);
    let (took, lag, peak) = intake.take(&json, relays[0], false).await;
    let new = count / took.as_secs_f64();
    println!(
        "new events      {new:.0}/s, {:.2} of L; statistics lag at most {lag:.2} s",
        new / floor
    );
    println!("                statistics complete {peak:.2} s after the last event");
    known(&mut intake, &json, relays[1], "remembered").await;
    sizes(&server.connection_url(), raw).await;
    intake.stop().await;
    // An intake that has just been started remembers nothing, so it asks the archive.
    let mut intake = Intake::start(&store);
    let third = support::relay(&store, "wss://three.example.com").await;
    known(&mut intake, &json, third, "looked up").await;
    intake.stop().await;
    let differences = store.verify_statistics(5).await.expect("verification");
    assert!(differences.is_empty(), "{differences:?}");
    println!("verify          every statistic equals its recomputation");
    println!("memory          {} MB at most", support::peak_memory_mb());
    store.close().await;
    server.stop().await.expect("a stop");
}

fn parse_and_verify(json: &[String], cores: usize) -> Duration {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for part in json.chunks(json.len().div_ceil(cores)) {
            scope.spawn(move || {
                for text in part {
                    Event::from_json(text)
                        .expect("an event")
                        .verify()
                        .expect("a true event");
                }
            });
        }
    });
    begun.elapsed()
}

/// Copies the columns of the archive into a table with nothing but a primary key.
async fn copy(url: &str, events: &[Event]) -> Duration {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url)
        .await
        .expect("a connection");
    sqlx::raw_sql(
        "create table bare (num bigint primary key, created_at bigint, kind integer, id bytea,
         pubkey bytea, sig bytea, tags json, content json)",
    )
    .execute(&mut connection)
    .await
    .expect("a table");
    let mut rows = String::new();
    for (n, event) in events.iter().enumerate() {
        let text = |value: String| {
            value
                .replace('\\', "\\\\")
                .replace('\t', "\\t")
                .replace('\n', "\\n")
        };
        writeln!(
            rows,
            "{n}\t{}\t{}\t\\\\x{}\t\\\\x{}\t\\\\x{}\t{}\t{}",
            event.created_at,
            event.kind,
            event.id,
            event.pubkey,
            hex::encode(event.sig),
            text(serde_json::to_string(&event.tags).expect("tags")),
            text(serde_json::to_string(&event.content).expect("content")),
        )
        .expect("a row");
    }
    let begun = Instant::now();
    let mut into = connection
        .copy_in_raw("copy bare from stdin")
        .await
        .expect("a copy");
    for part in rows.as_bytes().chunks(1 << 20) {
        into.send(part).await.expect("rows");
    }
    into.finish().await.expect("a copy");
    let took = begun.elapsed();
    sqlx::raw_sql("drop table bare")
        .execute(&mut connection)
        .await
        .expect("no table");
    took
}

async fn known(intake: &mut Intake, json: &[String], relay: RelayId, how: &str) {
    let (took, lag, peak) = intake.take(json, relay, true).await;
    println!(
        "known events    {:.0}/s from another relay, {how}; lag at most {lag:.2} s, complete after \
         {peak:.2} s",
        json.len() as f64 / took.as_secs_f64()
    );
}

/// An intake with the rollup running beside.
struct Intake {
    store: Store,
    ingest: Ingest,
    rollup: support::Rollup,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Intake {
    fn start(store: &Store) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let metrics = IngestMetrics::register(&prometheus::Registry::new()).expect("metrics");
        Self {
            store: store.clone(),
            ingest: Ingest::start(store.clone(), metrics, &tasks, stop.clone()),
            rollup: support::Rollup::start(store),
            tasks,
            stop,
        }
    }

    /// Ingests everything; returns how long it took, the largest lag seen, and how long after it
    /// the statistics were complete.
    async fn take(&mut self, json: &[String], relay: RelayId, known: bool) -> (Duration, f64, f64) {
        let pages: Vec<Vec<String>> = json.chunks(PAGE).map(<[String]>::to_vec).collect();
        let begun = Instant::now();
        let mut running = tokio::task::JoinSet::new();
        for page in pages {
            if running.len() >= CONCURRENCY {
                running.join_next().await.expect("a page").expect("a page");
            }
            let ingest = self.ingest.clone();
            running.spawn(async move {
                let events: Vec<Event> = page
                    .iter()
                    .map(|json| Event::from_json(json).expect("an event"))
                    .collect();
                let count = events.len() as u64;
                let done = ingest.submit(events, Some(relay)).await.expect("an ack");
                assert_eq!(if known { done.known } else { done.new }, count);
            });
        }
        while running.join_next().await.is_some() {}
        let took = begun.elapsed();
        let complete = self.rollup.settle(&self.store).await.as_secs_f64();
        (took, self.rollup.worst_lag(), complete)
    }

    async fn stop(self) {
        self.rollup.stop().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn sizes(url: &str, raw: usize) {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url)
        .await
        .expect("a connection");
    sqlx::raw_sql("vacuum analyze")
        .execute(&mut connection)
        .await
        .expect("a vacuum");
    let rows: Vec<(String, i64)> = sqlx::query_as(include_str!("support/sizes.sql"))
        .fetch_all(&mut connection)
        .await
        .expect("sizes");
    let archive: i64 = rows
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "events" | "events_relays"))
        .map(|(_, bytes)| bytes)
        .sum();
    println!(
        "archive bytes   {:.2} of the raw JSON, provenance of two relays",
        archive as f64 / raw as f64
    );
    for (name, bytes) in rows.iter().take(8) {
        println!("  {name:28} {:>7} kB", bytes / 1_000);
    }
}
