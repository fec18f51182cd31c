//! The questions about relays, over many relays with many checks.
//!
//! `cargo bench -p bigbrotr-schema --bench relays -- [--relays N] [--snapshots N] [--runs N]
//! [--archived SHARE]`
//!
//! Each question is asked `runs` times through the catalogue, as the faces do, each time for
//! another relay or page: the times are of the whole call. `archived` is the share of living
//! relays that have events: with 0, lists by events are all ties. Further down: what a check and
//! what a report cost on disk, which is what the figures of `docs/scale.md` are made of.

#[allow(dead_code, reason = "each benchmark uses its part")]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::event::Event;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::catalog::{Catalog, CatalogError};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use bigbrotr_schema::store::{Document, Snapshot, Store};
use bigbrotr_testkit::bench::option;
use nostr::{EventBuilder, Keys, Kind, Tag, Timestamp};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use support::NOW;

/// Reports that are published to see what one costs.
const REPORTS: usize = 5_000;

/// What is asked: `url` is another relay each time, `cursor` another page.
const QUESTIONS: [(&str, &str); 25] = [
    ("relays.list", ""),
    ("relays.list", "limit=1000"),
    ("relays.list", "sort=url"),
    ("relays.list", "sort=rtt"),
    ("relays.list", "network=i2p"),
    ("relays.list", "status=online"),
    ("relays.list", "status=unknown"),
    ("relays.list", "country=AA"),
    ("relays.list", "country=HC sort=rtt"),
    ("relays.list", "nip=11"),
    ("relays.list", "nip=999"),
    (
        "relays.list",
        "nip=42 country=AB status=online network=clearnet sort=rtt",
    ),
    ("relays.list", "software=https://example.com/software/3"),
    ("relays.list", "software=nobody's sort=url"),
    ("relays.list", "cursor"),
    ("relays.list", "sort=url cursor"),
    ("relays.list", "sort=rtt cursor"),
    ("relays.get", "url window=7d"),
    ("relays.history", "url window=30d"),
    ("relays.history", "url window=all limit=1000"),
    ("networks.list", ""),
    ("software.list", ""),
    ("countries.list", ""),
    ("nips.list", ""),
    ("nips.list", "sort=relays"),
];

#[tokio::main]
async fn main() {
    let relays: usize = option("relays", 20_000);
    let snapshots: usize = option("snapshots", 100);
    let runs: usize = option("runs", 300);
    let archived: f64 = option("archived", 0.6);
    let folder = tempfile::tempdir().expect("a folder");
    let server = EmbeddedPostgres::start(EmbeddedConfig::new(folder.path().join("data")))
        .await
        .expect("a server");
    let url = server.connection_url();
    let clock = Arc::new(ManualClock::new(NOW));
    let store = Store::connect(&url, Arc::new(DatabaseConfig::default()), clock)
        .await
        .expect("a connection");
    store.migrate().await.expect("migrations");
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    let begun = Instant::now();
    let load = include_str!("support/relays.sql")
        .replace("{relays}", &relays.to_string())
        .replace("{snapshots}", &snapshots.to_string())
        .replace("{archived}", &archived.to_string())
        .replace("{now}", &NOW.to_string());
    for statement in load.split(";\n") {
        run(&mut connection, statement).await;
    }
    store.rollup_to_end().await.expect("statistics");
    println!(
        "{relays} relays x {snapshots} checks loaded in {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    ask_all(&store, relays, runs).await;
    sizes(&mut connection, relays * snapshots).await;
    checks(&store, &mut connection).await;
    store.close().await;
    server.stop().await.expect("a stop");
}

async fn run(connection: &mut PgConnection, sql: &str) {
    let outcome = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await;
    outcome.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The URL of the relay with this number.
fn relay_url(n: usize) -> String {
    if n.is_multiple_of(20) {
        format!("ws://relay{n}.i2p")
    } else {
        format!("wss://relay{n}.example.com")
    }
}

async fn ask_all(store: &Store, relays: usize, runs: usize) {
    let catalog = Catalog::load(store.clone(), &[])
        .await
        .expect("the catalogue");
    println!("\n| question | p50 ms | p99 ms | bytes |\n|---|---|---|---|");
    for (name, words) in QUESTIONS {
        let mut cursors = vec![None];
        if words.contains("cursor") {
            cursors = pages(&catalog, name, words).await;
        }
        let mut times = Vec::with_capacity(runs);
        let mut bytes = 0;
        for turn in 0..runs + 20 {
            let mut given = given(words);
            if words.contains("url") && name != "relays.list" {
                given.insert("url".into(), relay_url(1 + (turn * 7_919) % relays));
            }
            if let Some(cursor) = &cursors[turn % cursors.len()] {
                given.insert("cursor".into(), cursor.clone());
            }
            let begun = Instant::now();
            let answer = catalog.run(name, &given).await;
            let took = begun.elapsed();
            match answer {
                Ok(answer) => bytes = bytes.max(answer.json.len()),
                Err(CatalogError::NotFound { .. }) => {}
                Err(error) => panic!("{name} {words}: {}", error.to_json()),
            }
            // The first ones connect and fill caches.
            if turn >= 20 {
                times.push(took);
            }
        }
        times.sort_unstable();
        println!(
            "| {name} {words} | {:.1} | {:.1} | {bytes} |",
            support::percentile(&times, 0.5),
            support::percentile(&times, 0.99),
        );
    }
}

fn given(words: &str) -> BTreeMap<String, String> {
    words
        .split(' ')
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The cursors of every page of a list.
async fn pages(catalog: &Catalog, name: &str, words: &str) -> Vec<Option<String>> {
    let mut given = given(words);
    let mut cursors = Vec::new();
    loop {
        let answer = catalog.run(name, &given).await.expect("a page");
        let Some(next) = answer.next else {
            return cursors;
        };
        given.insert("cursor".into(), next.clone());
        cursors.push(Some(next));
    }
}

async fn size(connection: &mut PgConnection, table: &str) -> i64 {
    sqlx::query_scalar("select pg_total_relation_size($1::regclass)")
        .bind(table)
        .fetch_one(connection)
        .await
        .expect("a size")
}

async fn sizes(connection: &mut PgConnection, rows: usize) {
    println!("\n| table | MB | bytes a check |\n|---|---|---|");
    for table in [
        "relay_metadata",
        "nip11",
        "nip66",
        "relay_latest",
        "relay_nip_sets",
    ] {
        let bytes = size(connection, table).await;
        println!(
            "| {table} | {:.1} | {:.1} |",
            bytes as f64 / 1e6,
            bytes as f64 / rows as f64
        );
    }
}

/// Stores checks with their reports as the monitor does.
async fn checks(store: &Store, connection: &mut PgConnection) {
    let keys = Keys::generate();
    let mut before = BTreeMap::new();
    let tables = ["relay_metadata", "relay_latest", "relay_events"];
    for table in tables {
        before.insert(table, size(connection, table).await);
    }
    let mut times = Vec::with_capacity(REPORTS);
    for n in 1..=REPORTS {
        let url = RelayUrl::parse(&relay_url(n), &UrlPolicy::default());
        let relay = match url {
            Ok(url) => store.get_relay(&url).await.expect("a relay"),
            Err(_) => None,
        };
        let Some(relay) = relay else { continue };
        let document = json!({"name": format!("Relay {n}"), "about": "a relay ".repeat(150)});
        let snapshot = Snapshot {
            checked_at: NOW + 1,
            nip11: Some(Document::new(&document)),
            nip66: Document::new(&json!({"open": {"ok": true}, "n": n})),
            openable: true,
            readable: Some(true),
            writable: Some(true),
            rtt_open_ms: Some(50),
            rtt_read_ms: Some(50),
            rtt_write_ms: Some(50),
        };
        let report = report(&keys, relay.url.as_str(), &document.to_string());
        let begun = Instant::now();
        store
            .insert_snapshot(relay.id, &snapshot, &[report], NOW + 3_600, 0)
            .await
            .expect("a check is stored");
        times.push(begun.elapsed());
    }
    println!("\n| table | bytes a check with a report that is new |\n|---|---|");
    for table in tables {
        let grown = size(connection, table).await - before[table];
        println!("| {table} | {:.0} |", grown as f64 / times.len() as f64);
    }
    times.sort_unstable();
    let total: Duration = times.iter().sum();
    println!(
        "\na check and its report, one after the other: {:.0}/s, p50 {:.1} ms, p99 {:.1} ms",
        times.len() as f64 / total.as_secs_f64(),
        support::percentile(&times, 0.5),
        support::percentile(&times, 0.99),
    );
}

/// A report of the usual size: two dozen tags and the relay's document.
fn report(keys: &Keys, url: &str, document: &str) -> Event {
    let mut tags = vec![Tag::identifier(url)];
    for n in 0..24 {
        tags.push(Tag::parse(["N", &n.to_string()]).expect("a tag"));
    }
    let event = EventBuilder::new(Kind::from(30_166), document)
        .tags(tags)
        .custom_created_at(Timestamp::from_secs(NOW.unsigned_abs()))
        .sign_with_keys(keys)
        .expect("a signature");
    Event::from(&event)
}
