//! The archive that is asked: events with their relays, statistics, and relays with checks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bigbrotr_core::clock::{Clock, ManualClock};
use bigbrotr_core::event::Event;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::store::{RelayId, Sighting, Store};
use bigbrotr_testkit::bench::option;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::questions::Keys;
use crate::support::{self, NOW, Rollup};

/// Events in one transaction: ten pages.
const BATCH: usize = 5_000;

/// Events of a page, which came from one relay.
const PAGE: usize = 500;

/// Relays that had a part of the events; one more had all of them.
const RELAYS: usize = 40;

/// Events whose ids and authors are asked for.
const SAMPLE: i64 = 400;

/// How often the fill says how far it is.
const TELL: Duration = Duration::from_secs(10);

/// Fills the database up to `--events`, and returns what can be asked for.
pub(crate) async fn fill(url: &str) -> Keys {
    let clock = ManualClock::new(0);
    let config = Arc::new(DatabaseConfig::default());
    let store = Store::connect(url, config, Arc::new(clock.clone())).await;
    let store = store.expect("a connection");
    store.migrate().await.expect("migrations");
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    if count(&mut connection, "relays").await == 0 {
        relays(&mut connection).await;
    }
    let events: usize = option("events", 1_000_000);
    let there = count(&mut connection, "events").await;
    eprintln!("{there} events are there");
    let urls = archived_relays();
    let ids = relay_ids(&store, &urls).await;
    if there < events {
        clock.set(store.as_of().await.expect("a moment"));
        write(&store, &clock, &ids, there, events).await;
        coverage(&mut connection, &ids).await;
        run(&mut connection, "vacuum analyze").await;
        run(&mut connection, "checkpoint").await;
    }
    store.close().await;
    keys(&mut connection, urls).await
}

/// Relays with checks, as the benchmark of relays has them; none has events yet.
async fn relays(connection: &mut PgConnection) {
    let count: usize = option("relays", 5_000);
    let checks: usize = option("checks", 100);
    assert!(count > 2 * RELAYS, "--relays {count}: more are needed");
    eprintln!("{count} relays with {checks} checks each");
    let load = include_str!("../../../schema/benches/support/relays.sql")
        .replace("{relays}", &count.to_string())
        .replace("{snapshots}", &checks.to_string())
        .replace("{archived}", "0")
        .replace("{now}", &NOW.to_string());
    for statement in load.split(";\n") {
        run(connection, statement).await;
    }
}

/// The relays that have events: the one with all of them first. Every twentieth is another network's.
fn archived_relays() -> Vec<String> {
    (1..)
        .filter(|n| n % 20 > 0)
        .take(RELAYS + 1)
        .map(|n| format!("wss://relay{n}.example.com"))
        .collect()
}

async fn relay_ids(store: &Store, urls: &[String]) -> Vec<RelayId> {
    let mut ids = Vec::with_capacity(urls.len());
    for url in urls {
        let url = RelayUrl::parse(url, &UrlPolicy::default()).expect("a URL");
        let relay = store.get_relay(&url).await.expect("a relay");
        ids.push(relay.expect("a relay").id);
    }
    ids
}

/// Archives the events of the corpus from there to the goal. The clock shows the time of the newest:
/// those of a part of a corpus end before it does.
async fn write(store: &Store, clock: &ManualClock, relays: &[RelayId], there: usize, goal: usize) {
    let corpus = support::corpus(option("seed", 1), option("corpus", goal));
    let mut lines = corpus.skip(there);
    let rollup = Rollup::start(store);
    let (begun, mut told) = (Instant::now(), Instant::now());
    let mut written = there;
    while written < goal {
        let batch: Vec<String> = lines.by_ref().take(BATCH.min(goal - written)).collect();
        assert!(!batch.is_empty(), "the corpus ends early");
        let parsed = support::parse(&batch);
        let events: Vec<&Event> = parsed.iter().collect();
        let sightings: Vec<Sighting<'_>> = parsed
            .iter()
            .enumerate()
            .flat_map(|(n, event)| {
                let page = (written + n) / PAGE;
                [0, 1 + page_relay(page)].map(|relay| Sighting {
                    event,
                    num: None,
                    relay: Some(relays[relay]),
                    seen_at: NOW,
                })
            })
            .collect();
        let newest = events.iter().map(|event| event.created_at).max();
        clock.set(newest.unwrap_or_default().max(clock.now()));
        let inserted = store.insert_events(&events, &sightings).await;
        inserted.expect("a batch");
        while store.rollup_lag().await.expect("a lag") > 1.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        written += parsed.len();
        if told.elapsed() > TELL {
            told = Instant::now();
            let rate = (written - there) as f64 / begun.elapsed().as_secs_f64();
            eprintln!("{written} of {goal} events, {rate:.0}/s");
        }
    }
    rollup.settle(store).await;
    rollup.stop().await;
}

/// Which relay this page came from: the first of them an eighth of all, the last hardly any.
fn page_relay(page: usize) -> usize {
    // The order of pages follows time; relays must not.
    let drawn = (page + 1).wrapping_mul(2_654_435_761);
    let (one, other) = (drawn >> 12 & 1_023, drawn >> 22 & 1_023);
    (one * other * RELAYS) >> 20
}

/// How far they are archived, with a gap each.
async fn coverage(connection: &mut PgConnection, relays: &[RelayId]) {
    let ids: Vec<String> = relays.iter().map(|id| id.0.to_string()).collect();
    let ids = ids.join(",");
    run(
        connection,
        &format!(
            "insert into sync_state (relay_id, covered_from, covered_to, due_at)
             select id, 1640000000, {NOW}, {NOW} from unnest(array[{ids}]) as id
             on conflict (relay_id) do update set covered_from = excluded.covered_from,
                 covered_to = excluded.covered_to"
        ),
    )
    .await;
    run(
        connection,
        &format!(
            "insert into sync_gaps (relay_id, since, until, reason, found_at)
             select id, 1700000000, 1700000000, 'more events in a second than a page', {NOW}
             from unnest(array[{ids}]) as id on conflict do nothing"
        ),
    )
    .await;
}

/// Draws what is asked for from what is there.
async fn keys(connection: &mut PgConnection, relays: Vec<String>) -> Keys {
    let drawn: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(format!(
        "select encode(id, 'hex'), encode(pubkey, 'hex')
         from events where num in (
             select lo + (hi - lo) * n / {SAMPLE} from generate_series(1, {SAMPLE}) as n,
                 (select min(num) as lo, max(num) as hi from events) ends)"
    )))
    .fetch_all(&mut *connection)
    .await
    .expect("events");
    let checked: Vec<String> =
        sqlx::query_scalar("select url from relays order by hashtext(url) limit 400")
            .fetch_all(connection)
            .await
            .expect("relays");
    let (ids, pubkeys) = drawn.into_iter().unzip();
    Keys {
        relays,
        checked,
        pubkeys,
        ids,
    }
}

async fn count(connection: &mut PgConnection, table: &str) -> usize {
    let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table}")))
        .fetch_one(connection)
        .await
        .expect("a number");
    count as usize
}

async fn run(connection: &mut PgConnection, sql: &str) {
    let outcome = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await;
    outcome.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
