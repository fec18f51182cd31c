//! The questions about relays: the latest check of each, its history, its filters, and that what
//! is kept of them stays what the checks say, whoever inserts and deletes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::store::{Document, RelayId, Snapshot, Store};
use bigbrotr_schema::testing::test_store_with;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

const NOW: i64 = 1_750_000_000;
const HOUR: i64 = 3_600;

struct Observatory {
    store: Store,
    database: TestDatabase,
    relays: Vec<RelayId>,
}

fn url(n: usize) -> RelayUrl {
    let name = if n.is_multiple_of(3) {
        format!("ws://r{n}.i2p")
    } else {
        format!("wss://r{n}.example.com")
    };
    RelayUrl::parse(&name, &UrlPolicy::default()).unwrap()
}

/// A check that found this.
#[expect(clippy::needless_pass_by_value, reason = "documents are literals here")]
fn check(at: i64, open_ms: Option<i32>, nip11: Option<Value>, nip66: &Value) -> Snapshot {
    Snapshot {
        checked_at: at,
        nip11: nip11.as_ref().map(Document::new),
        nip66: Document::new(nip66),
        openable: open_ms.is_some(),
        readable: open_ms.map(|ms| ms % 2 == 0),
        writable: None,
        rtt_open_ms: open_ms,
        rtt_read_ms: open_ms.map(|ms| ms * 2),
        rtt_write_ms: None,
    }
}

impl Observatory {
    async fn new(relays: usize) -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let (store, database) = test_store_with(DatabaseConfig::default(), clock).await;
        let urls: Vec<RelayUrl> = (0..relays).map(url).collect();
        // One by one: their numbers are 1, 2, and so on.
        for url in &urls {
            store
                .insert_relays(std::slice::from_ref(url))
                .await
                .unwrap();
        }
        store.rollup_to_end().await.unwrap();
        let mut ids = Vec::new();
        for url in &urls {
            ids.push(store.get_relay(url).await.unwrap().unwrap().id);
        }
        Self {
            store,
            database,
            relays: ids,
        }
    }

    async fn add(&self, relay: usize, snapshot: &Snapshot) {
        let stored = self
            .store
            .insert_snapshot(self.relays[relay], snapshot, &[], NOW + HOUR, 0);
        stored.await.unwrap();
    }

    async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.database.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    async fn ask(&self, name: &str, given: &[(&str, &str)]) -> Value {
        let catalog = Catalog::load(self.store.clone(), &[]).await.unwrap();
        let given: BTreeMap<String, String> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let answer = catalog.run(name, &given).await.unwrap();
        serde_json::from_str::<Value>(&answer.json).unwrap()["data"].take()
    }

    async fn urls(&self, given: &[(&str, &str)]) -> Vec<String> {
        let mut given = given.to_vec();
        given.push(("sort", "url"));
        let list = self.ask("relays.list", &given).await;
        let urls = list.as_array().unwrap().iter();
        urls.map(|row| row["url"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn differences(&self) -> Vec<String> {
        let found = self.store.verify_statistics(10).await.unwrap();
        found.iter().map(ToString::to_string).collect()
    }
}

fn geo(country: &str) -> Value {
    json!({"open": {"ok": true}, "geo": {"country": country, "lat": 52.5, "lon": 13.4}})
}

/// Anything that a check may find, and much that it should not.
fn random_check(rng: &mut StdRng) -> Snapshot {
    let nip11 = match rng.random_range(0..5) {
        0 => None,
        1 => Some(json!({"name": 7, "software": ["x"], "supported_nips": "all"})),
        2 => Some(json!({"name": "nul \u{0}", "supported_nips": (0..400).collect::<Vec<_>>()})),
        3 => Some(
            json!({"name": "é".repeat(900), "software": "s".repeat(9_000), "version": "1",
            "supported_nips": [11, 1, 11, 99_999, -3, 1.5, "42"]}),
        ),
        n => Some(json!({"name": format!("n{n}"), "software": "git", "supported_nips": [1, n]})),
    };
    let nip66 = match rng.random_range(0..4) {
        0 => geo(["DE", "LU", "de", "DEU", "D\u{0}"][rng.random_range(0..5)]),
        1 => json!({"geo": "DE"}),
        2 => json!({"geo": {"country": ["DE"]}}),
        _ => json!({}),
    };
    let open = rng.random_bool(0.7).then(|| rng.random_range(1..500));
    // Few moments, so that checks meet and come out of order.
    check(NOW - rng.random_range(0..40) * 60, open, nip11, &nip66)
}

#[tokio::test]
async fn the_latest_check_is_exact_whatever_is_inserted_and_deleted() {
    let here = Observatory::new(5).await;
    let mut rng = StdRng::seed_from_u64(20);
    for round in 0..150 {
        let relay = rng.random_range(0..4);
        let id = here.relays[relay].0;
        match rng.random_range(0..10) {
            0 => {
                let newest = format!("delete from relay_metadata where relay_id = {id} and
                    checked_at = (select max(checked_at) from relay_metadata where relay_id = {id})");
                here.run(&newest).await;
            }
            1 => {
                let at = NOW - rng.random_range(0..40) * 60;
                here.run(&format!(
                    "delete from relay_metadata where checked_at < {at}"
                ))
                .await;
            }
            2 => {
                here.run(&format!(
                    "update relay_metadata set rtt_open_ms = 3, relay_id = {} where relay_id = {id}
                     and checked_at = (select max(checked_at) from relay_metadata)
                     and not exists (select from relay_metadata m where m.relay_id = {}
                        and m.checked_at = relay_metadata.checked_at)",
                    here.relays[4].0, here.relays[4].0
                ))
                .await;
            }
            _ => here.add(relay, &random_check(&mut rng)).await,
        }
        if round % 10 == 0 {
            assert_eq!(here.differences().await, Vec::<String>::new(), "{round}");
        }
    }
    here.run("update relays set url = 'wss://renamed.example.com' where id = 2")
        .await;
    assert_eq!(here.differences().await, Vec::<String>::new());
    here.run("delete from relays where id = 3").await;
    assert_eq!(here.differences().await, Vec::<String>::new());
    assert_eq!(here.urls(&[]).await.len(), 4);
    here.run("truncate relay_metadata").await;
    assert_eq!(here.differences().await, Vec::<String>::new());
    assert_eq!(here.urls(&[("status", "unknown")]).await.len(), 4);
    // Nothing refers to the lists of NIPs any more.
    here.run("do $$ begin assert delete_orphan_nip_sets(100) > 0; end $$")
        .await;
    here.run("do $$ begin assert not exists (select from relay_nip_sets); end $$")
        .await;
}

#[tokio::test]
async fn of_two_checks_at_once_the_later_one_counts_whoever_commits_first() {
    let here = Observatory::new(1).await;
    let id = here.relays[0].0;
    let insert = |at: i64| {
        format!(
            "select insert_relay_metadata({id}, {at}, null, null, decode('{:064x}', 'hex'), '{{}}',
                true, true, true, {}, 1, 1)",
            1,
            at - NOW
        )
    };
    for (first, second) in [(NOW + 1, NOW + 2), (NOW + 4, NOW + 3)] {
        let mut one = PgConnection::connect(&here.database.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("begin; {}", insert(first))))
            .execute(&mut one)
            .await
            .unwrap();
        // Waits for the first one, which has the relay's row.
        let text = insert(second);
        let both = async {
            tokio::join!(here.run(&text), async {
                here.wait_for_a_lock().await;
                sqlx::raw_sql("commit").execute(&mut one).await.unwrap();
            })
        };
        both.await;
        let relay = here.ask("relays.get", &[("url", url(0).as_str())]).await;
        assert_eq!(relay["checked_at"], first.max(second));
        assert_eq!(here.differences().await, Vec::<String>::new());
    }
}

impl Observatory {
    async fn wait_for_a_lock(&self) {
        let mut watch = PgConnection::connect(&self.database.url()).await.unwrap();
        let waits = "select exists (select from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock')";
        while !sqlx::query_scalar::<_, bool>(waits)
            .fetch_one(&mut watch)
            .await
            .unwrap()
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn verification_names_what_is_wrong_with_a_latest_check() {
    let here = Observatory::new(2).await;
    here.add(
        1,
        &check(NOW, Some(4), Some(json!({"name": "A"})), &geo("DE")),
    )
    .await;
    assert_eq!(here.differences().await, Vec::<String>::new());
    here.run(
        "update relay_latest set checked_at = 5, country = null, volume = 3, openable = false
        where relay_id = 2",
    )
    .await;
    let found = here.store.verify_statistics(10).await.unwrap();
    let keys: Vec<&str> = found
        .iter()
        .map(|difference| difference.key.as_str())
        .collect();
    let column = |name: &str| format!("wss://r1.example.com {name}");
    assert_eq!(
        keys,
        ["checked_at", "country", "openable", "volume"].map(column)
    );
    here.run(
        "select refresh_relay_latest(array[2]);
        delete from relay_latest where relay_id = 1",
    )
    .await;
    let found = here.differences().await;
    assert!(
        found.iter().any(|line| line.contains(" row: expected 1")),
        "{found:?}"
    );
}

#[tokio::test]
async fn relays_are_found_by_what_their_latest_check_found() {
    let here = Observatory::new(6).await;
    let nip11 = |software: &str, nips: &[u32]| {
        Some(json!({"name": "N", "software": software, "supported_nips": nips}))
    };
    // An older check says otherwise, and does not count.
    here.add(
        1,
        &check(NOW - HOUR, Some(9), nip11("old", &[77]), &geo("FR")),
    )
    .await;
    here.add(
        1,
        &check(NOW, Some(30), nip11("strfry", &[1, 11]), &geo("DE")),
    )
    .await;
    here.add(
        2,
        &check(NOW, Some(20), nip11("strfry", &[1, 77]), &geo("LU")),
    )
    .await;
    here.add(
        3,
        &check(NOW, Some(10), nip11("khatru", &[1]), &json!({"geo": {}})),
    )
    .await;
    here.add(4, &check(NOW, None, None, &geo("DE"))).await;
    let named = |numbers: &[usize]| -> Vec<String> {
        let mut urls: Vec<String> = numbers.iter().map(|n| url(*n).to_string()).collect();
        urls.sort();
        urls
    };
    for (given, expected) in [
        (vec![], &[0, 1, 2, 3, 4, 5][..]),
        (vec![("country", "de")], &[1, 4]),
        (vec![("country", "DE"), ("status", "online")], &[1]),
        (vec![("country", "FR")], &[]),
        (vec![("software", "strfry")], &[1, 2]),
        (vec![("nip", "77")], &[2]),
        (vec![("nip", "1"), ("country", "LU")], &[2]),
        (vec![("network", "i2p")], &[0, 3]),
        (vec![("status", "offline")], &[4]),
        (vec![("status", "unknown")], &[0, 5]),
    ] {
        assert_eq!(here.urls(&given).await, named(expected), "{given:?}");
    }
    let by_rtt = here
        .ask("relays.list", &[("sort", "rtt"), ("limit", "3")])
        .await;
    let times: Vec<&Value> = by_rtt
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["rtt_open_ms"])
        .collect();
    assert_eq!(times, [10, 20, 30]);
    let rows = |name: &'static str| here.ask(name, &[]);
    assert_eq!(
        rows("countries.list").await,
        json!([
        {"country": "DE", "relays": 2, "online": 1}, {"country": "LU", "relays": 1, "online": 1}])
    );
    assert_eq!(
        rows("nips.list").await,
        json!([
        {"nip": 1, "relays": 3, "online": 3}, {"nip": 11, "relays": 1, "online": 1},
        {"nip": 77, "relays": 1, "online": 1}])
    );
    assert_eq!(
        rows("software.list").await,
        json!([
        {"software": "strfry", "relays": 2, "online": 2},
        {"software": "khatru", "relays": 1, "online": 1}])
    );
    assert_eq!(
        rows("networks.list").await,
        json!([
        {"network": "clearnet", "relays": 4, "online": 2},
        {"network": "i2p", "relays": 2, "online": 1}])
    );
}

#[tokio::test]
async fn a_document_with_a_nul_is_stored_as_it_is_and_read_all_the_same() {
    let here = Observatory::new(2).await;
    let document =
        json!({"name": "a\u{0}\u{0}b", "description": "\u{0} \\u0000", "supported_nips": [1]});
    let findings = json!({"note": "\u{0}", "geo": {"country": "DE"}});
    here.add(0, &check(NOW, Some(4), Some(document.clone()), &findings))
        .await;
    let list = here
        .ask("relays.list", &[("country", "DE"), ("nip", "1")])
        .await;
    assert_eq!(list[0]["name"], "a\u{fffd}\u{fffd}b");
    let relay = here.ask("relays.get", &[("url", url(0).as_str())]).await;
    assert_eq!((&relay["nip11"], &relay["nip66"]), (&document, &findings));
    assert_eq!(here.differences().await, Vec::<String>::new());
}

#[tokio::test]
async fn lists_by_events_hold_as_the_counts_grow() {
    let here = Observatory::new(6).await;
    let counts = [0, 1, 7, 7, 1_000, 1_001];
    for (relay, events) in here.relays.iter().zip(counts) {
        here.run(&format!(
            "insert into stats_relays (win, relay_id, events, pubkeys, kinds)
             select win, {relay}, {events}, 1, 1 from generate_series(0, 4) as win
             where {events} > 0"
        ))
        .await;
    }
    let events = async || -> Vec<i64> {
        let list = here.ask("relays.list", &[]).await;
        let rows = list.as_array().unwrap().iter();
        rows.map(|row| row["events"].as_i64().unwrap()).collect()
    };
    assert_eq!(events().await, [1_001, 1_000, 7, 7, 1, 0]);
    // Within a volume, across it, to nothing, and up from nothing.
    here.run(
        "update stats_relays set events = events + 3 where relay_id = 5;
        update stats_relays set events = 5000 where relay_id = 2;
        delete from stats_relays where relay_id = 3;
        insert into stats_relays (win, relay_id, events, pubkeys, kinds) values (0, 1, 2, 1, 1)",
    )
    .await;
    assert_eq!(events().await, [5_000, 1_003, 1_001, 7, 2, 0]);
    here.run(
        "do $$ begin assert not exists (select from relay_latest l
            left join stats_relays s on s.relay_id = l.relay_id and s.win = 0
            where l.volume <> relay_volume(l.relay_id, coalesce(s.events, 0))); end $$",
    )
    .await;
}

#[tokio::test]
async fn history_and_averages_are_those_of_the_checks_that_were_made() {
    let here = Observatory::new(2).await;
    // Hourly, except for a gap of five hours in which nobody looked; offline twice.
    let hours_ago = [40, 39, 38, 32, 31, 30, 29, 28, 27, 26, 25, 3, 2, 1];
    let offline = [38, 2];
    for hours in hours_ago {
        let open = (!offline.contains(&hours)).then_some(100 + hours);
        let at = NOW - i64::from(hours) * HOUR;
        here.add(1, &check(at, open, None, &json!({}))).await;
    }
    let relay = url(1);
    let history = async |window: &str| {
        let given = [("url", relay.as_str()), ("window", window)];
        here.ask("relays.history", &given).await
    };
    let day = history("24h").await;
    let row = |hours: i64, open: Option<i64>| {
        json!({"checked_at": NOW - hours * HOUR, "online": open.is_some(),
            "readable": open.map(|ms| ms % 2 == 0), "writable": null,
            "rtt_open_ms": open, "rtt_read_ms": open.map(|ms| ms * 2), "rtt_write_ms": null})
    };
    assert_eq!(
        day,
        json!([row(1, Some(101)), row(2, None), row(3, Some(103))])
    );
    assert_eq!(history("1h").await, json!([]));
    assert_eq!(history("7d").await.as_array().unwrap().len(), 14);

    // By day, in UTC: NOW is 15:06:40, so the day began 15 hours before.
    let days = here
        .ask(
            "relays.uptime",
            &[("url", relay.as_str()), ("bucket", "day")],
        )
        .await;
    let today = NOW - NOW % (24 * HOUR);
    let bucket = |at: i64, checks: i64, offline: i64, open: i64| {
        json!({"at": at, "checks": checks, "online": checks - offline, "rtt_open_ms": open,
            "rtt_read_ms": open * 2, "rtt_write_ms": null})
    };
    assert_eq!(
        days,
        json!([
            bucket(today, 3, 1, 102),
            // 25 to 32, 38 and 39 hours ago; (125 + … + 132 + 139) / 9 = 129.67.
            {"at": today - 24 * HOUR, "checks": 10, "online": 9, "rtt_open_ms": 130,
                "rtt_read_ms": 259, "rtt_write_ms": null},
            bucket(today - 48 * HOUR, 1, 0, 140)
        ])
    );
    let hours = here
        .ask(
            "relays.uptime",
            &[("url", relay.as_str()), ("window", "24h")],
        )
        .await;
    let at: Vec<i64> = hours
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h["at"].as_i64().unwrap())
        .collect();
    let begin = NOW - NOW % HOUR;
    assert_eq!(
        at,
        [begin - HOUR, begin - 2 * HOUR, begin - 3 * HOUR],
        "gaps are no rows"
    );

    // The last ten checks are those 1 to 31 hours ago but for 38 to 40 and 32; one was offline.
    let got = here.ask("relays.get", &[("url", relay.as_str())]).await;
    let open = [101, 103, 125, 126, 127, 128, 129, 130, 131];
    let mean = f64::from(open.iter().sum::<i32>()) / 9.0;
    assert_eq!(
        got["average_of_last_10"],
        json!({"rtt_open_ms": mean.round() as i64, "rtt_read_ms": (mean * 2.0).round() as i64,
            "rtt_write_ms": null, "checks": 10})
    );
    assert_eq!(
        (&got["status"], &got["rtt_open_ms"]),
        (&json!("online"), &json!(101))
    );
}

#[tokio::test]
async fn old_checks_go_in_batches_and_the_last_ten_of_each_relay_stay() {
    const DAY: i64 = 24 * HOUR;
    let here = Observatory::new(4).await;
    // One with thousands of checks, half of them old; one that was last checked years ago; one
    // with few; one with none.
    here.run(&format!(
        "insert into nip66 values (sha256('old'), '{{}}'), (sha256('new'), '{{}}');
         insert into relay_metadata (relay_id, checked_at, nip66_hash, openable, rtt_open_ms)
         select 1, {NOW} - n * 1000, sha256('new'), true, n from generate_series(1, 5000) as n;
         insert into relay_metadata (relay_id, checked_at, nip66_hash, openable)
         select 2, {NOW} - 900 * {DAY} - n, sha256('old'), false from generate_series(1, 25) as n;
         insert into relay_metadata (relay_id, checked_at, nip66_hash, openable)
         select 3, {NOW} - 900 * {DAY} - n, sha256('old'), true from generate_series(1, 4) as n;"
    ))
    .await;
    let before = NOW - 30 * DAY;
    let (mut from, mut batches) = (Some(RelayId(0)), Vec::new());
    while let Some(relay) = from {
        let (removed, next) = here
            .store
            .delete_old_snapshots(before, relay)
            .await
            .unwrap();
        batches.push(removed);
        from = next;
    }
    let old = 5_000 - 30 * DAY as u64 / 1_000;
    assert_eq!(batches, [2_000, old + 15 - 2_000]);
    assert_eq!(here.differences().await, Vec::<String>::new());
    let count = async |n: usize| {
        let relay = url(n);
        let given = [
            ("url", relay.as_str()),
            ("window", "all"),
            ("limit", "1000"),
        ];
        here.ask("relays.history", &given)
            .await
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((count(1).await, count(2).await, count(3).await), (10, 4, 0));
    let again = here
        .store
        .delete_old_snapshots(before, RelayId(0))
        .await
        .unwrap();
    assert_eq!(again, (0, None));
    // Documents that a check still refers to stay.
    assert_eq!(here.store.delete_orphan_documents(100).await.unwrap(), 0);
}
