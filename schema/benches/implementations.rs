//! What an implementation costs on disk: the same events in `bigbrotr` and in `lilbrotr`.
//!
//! `cargo bench -p bigbrotr-schema --bench implementations -- [--events N] [--seed N]`
//!
//! Each gets a database of its own on one server, all events from two relays, as its shipped
//! configuration says. Sizes are after everything is counted and vacuumed.

#[allow(dead_code, reason = "each benchmark uses its part")]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::config::ConfigSource;
use bigbrotr_core::event::Event;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use bigbrotr_schema::ingest::{Ingest, IngestMetrics};
use bigbrotr_schema::store::Store;
use bigbrotr_testkit::bench::option;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Events that a relay sends at once.
const PAGE: usize = 500;

/// What is compared.
const IMPLEMENTATIONS: [&str; 2] = ["bigbrotr", "lilbrotr"];

/// Bytes by table, indexes and TOAST included.
type Sizes = BTreeMap<String, i64>;

#[tokio::main]
async fn main() {
    let (events, seed) = (option("events", 100_000), option("seed", 1));
    let folder = tempfile::tempdir().expect("a folder");
    let server = EmbeddedPostgres::start(EmbeddedConfig::new(folder.path().join("data")))
        .await
        .expect("a server");
    let mut raw = 0;
    let mut measured = Vec::new();
    for name in IMPLEMENTATIONS {
        let url = database(&server.connection_url(), name).await;
        let store = Store::connect(&url, Arc::new(config(name)), Arc::new(SystemClock))
            .await
            .expect("a connection");
        store.migrate().await.expect("migrations");
        raw = fill(&store, support::corpus(seed, events)).await;
        let wrong = store.verify_statistics(1).await.expect("a verification");
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        store.close().await;
        measured.push(sizes(&url).await);
    }
    server.stop().await.expect("a stop");
    report(events, raw, &measured);
}

/// The database section as the implementation ships it.
fn config(name: &str) -> DatabaseConfig {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../implementations");
    ConfigSource::new()
        .with_dir(&folder.join(name).join("config"))
        .expect("files")
        .section()
        .expect("a section")
}

async fn database(url: &str, name: &str) -> String {
    let name = format!("{name}_size");
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(format!("create database {name}")))
        .execute(&mut connection)
        .await
        .expect("a database");
    url.replace("/bigbrotr?", &format!("/{name}?"))
}

/// Archives all events from two relays; returns the bytes of their JSON.
async fn fill(store: &Store, corpus: impl Iterator<Item = String>) -> usize {
    let urls = ["wss://one.example.com", "wss://two.example.com"]
        .map(|url| RelayUrl::parse(url, &UrlPolicy::default()).expect("a URL"));
    store.insert_relays(&urls).await.expect("relays");
    let mut relays = Vec::new();
    for url in &urls {
        let relay = store.get_relay(url).await.expect("a relay");
        relays.push(relay.expect("a relay").id);
    }
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let metrics = IngestMetrics::register(&prometheus::Registry::new()).expect("metrics");
    let ingest = Ingest::start(store.clone(), metrics, &tasks, stop.clone());
    let (mut raw, mut page) = (0, Vec::with_capacity(PAGE));
    let mut corpus = corpus.peekable();
    while let Some(json) = corpus.next() {
        raw += json.len();
        page.push(Event::from_json(&json).expect("an event"));
        if page.len() == PAGE || corpus.peek().is_none() {
            let whole = std::mem::replace(&mut page, Vec::with_capacity(PAGE));
            for relay in &relays {
                let sent = ingest.submit(whole.clone(), Some(*relay)).await;
                sent.expect("an answer");
            }
        }
    }
    store.rollup_to_end().await.expect("statistics");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    raw
}

async fn sizes(url: &str) -> Sizes {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    sqlx::raw_sql("vacuum analyze")
        .execute(&mut connection)
        .await
        .expect("a vacuum");
    sqlx::query_as(
        "select relname::text, pg_total_relation_size(oid) from pg_class
         where relkind = 'r' and relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut connection)
    .await
    .expect("sizes")
    .into_iter()
    .collect()
}

fn report(events: usize, raw: usize, measured: &[Sizes]) {
    let [full, lean] = measured else {
        panic!("two implementations");
    };
    println!("{events} events from two relays, {raw} bytes of JSON; bytes with indexes");
    println!(
        "{:28}{:>14}{:>14}{:>8}",
        "table", "bigbrotr", "lilbrotr", "ratio"
    );
    let line = |name: &str, full: i64, lean: i64| {
        let ratio = lean as f64 / full as f64;
        println!("{name:28}{full:>14}{lean:>14}{ratio:>8.2}");
    };
    let mut names: Vec<&String> = full.keys().collect();
    names.sort_by_key(|name| -full[*name]);
    for name in names.into_iter().take(12) {
        line(name, full[name], lean[name]);
    }
    let archive = |sizes: &Sizes| sizes["events"] + sizes["events_relays"];
    line("archive", archive(full), archive(lean));
    line("everything", full.values().sum(), lean.values().sum());
    for (name, sizes) in IMPLEMENTATIONS.iter().zip(measured) {
        let archive = archive(sizes) as f64;
        println!(
            "{name}: {:.0} bytes an event, {:.2} of the raw JSON, statistics apart",
            archive / events as f64,
            archive / raw as f64
        );
    }
}
