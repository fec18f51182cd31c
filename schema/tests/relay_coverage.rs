//! How far the work on relays is: what the catalogue shows of it, and the numbers of all of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::store::{SYNC_STATUSES, Store, SyncScope};
use bigbrotr_schema::testing::{execute, test_store};
use serde_json::{Value, json};

const NOW: &str = "extract(epoch from clock_timestamp())::bigint";

async fn insert(store: &Store, names: &[&str]) -> Vec<RelayUrl> {
    let urls: Vec<RelayUrl> = names
        .iter()
        .map(|name| RelayUrl::parse(&format!("wss://{name}.example.com"), &UrlPolicy::default()))
        .map(Result::unwrap)
        .collect();
    store.insert_relays(&urls).await.unwrap();
    urls
}

/// Changes what is known of the work on one relay.
async fn set(store: &Store, name: &str, change: &str) {
    let sql = format!(
        "update sync_state set {change}
         where relay_id = (select id from relays where url = 'wss://{name}.example.com')"
    );
    execute(store, &sql.replace("NOW", NOW)).await;
}

async fn coverage(catalog: &Catalog, name: &str) -> Value {
    let params = BTreeMap::from([("url".to_owned(), format!("wss://{name}.example.com"))]);
    let json = catalog.run("relays.get", &params).await.unwrap().json;
    let answer: Value = serde_json::from_str(&json).unwrap();
    answer["data"]["coverage"].clone()
}

#[tokio::test]
async fn the_catalogue_shows_how_far_a_relay_is_archived_and_what_of_it_is_not() {
    let (store, _database) = test_store().await;
    insert(&store, &["a", "b"]).await;
    set(
        &store,
        "a",
        "covered_from = 1600000000, covered_to = 1700000000, scan_top = NOW - 100,
         scan_at = NOW - 1100, scan_floor = NOW - 2100, scan_began_at = NOW - 500,
         caught_up_at = 1700000001, leased_until = NOW + 1000, due_at = 7, method = 'paging',
         page_cap = 500, negentropy_refusal = 'blocked: no', failures = 2, new_events = 10,
         known_events = 20, linked_events = 5, refused_events = 4, received_bytes = 1000,
         last_error = E'\\x1b[31mred'",
    )
    .await;
    let of = "(select id from relays where url = 'wss://a.example.com')";
    execute(
        &store,
        &format!(
            "insert into sync_gaps (relay_id, since, until, reason, cause, found_at)
             select {of}, n, n + 1, 'x', 'too_large', 9 from generate_series(1, 120) n"
        ),
    )
    .await;
    execute(
        &store,
        &format!(
            "insert into sync_missing (relay_id, id, cause, promised_at, retry_at, limit_bytes)
             select {of}, sha256(n::text::bytea), 'not_given', 1, 1, 1 from generate_series(1, 3) n"
        ),
    )
    .await;
    execute(
        &store,
        &format!(
            "insert into sync_refusals (relay_id, reason, count)
             values ({of}, 'invalid_signature', 3), ({of}, 'filter', 1)"
        ),
    )
    .await;

    let catalog = Catalog::load(store, &[]).await.unwrap();
    let shown = coverage(&catalog, "a").await;
    for (name, value) in [
        ("status", json!("syncing")),
        ("method", json!("paging")),
        ("from", json!(1_600_000_000)),
        ("to", json!(1_700_000_000)),
        ("caught_up_at", json!(1_700_000_001)),
        ("live_since", json!(null)),
        ("new_events", json!(10)),
        ("known_events", json!(20)),
        ("linked_events", json!(5)),
        ("refused_events", json!(4)),
        ("refusals", json!({"filter": 1, "invalid_signature": 3})),
        ("received_bytes", json!(1_000)),
        ("missing_events", json!(3)),
        ("gaps", json!(120)),
        ("page_cap", json!(500)),
        ("negentropy_refusal", json!("blocked: no")),
        ("put_aside", json!(null)),
        ("failures", json!(2)),
        ("due_at", json!(7)),
        ("last_error", json!("\u{1b}[31mred")),
    ] {
        assert_eq!(shown[name], value, "{name}: {shown}");
    }
    let second = |name: &str| shown[name].as_i64().unwrap();
    assert_eq!(second("scan_top") - second("scan_at"), 1_000);
    assert_eq!(second("scan_at") - second("scan_floor"), 1_000);
    // Half of it took 500 seconds and more, as time goes on.
    assert!(second("eta_seconds") >= 500, "{shown}");
    // The latest ones.
    let gaps = shown["gap_list"].as_array().unwrap();
    assert_eq!(gaps.len(), 100);
    let latest = json!({"since": 120, "until": 121, "cause": "too_large", "found_at": 9});
    assert_eq!(gaps[0], latest);
    assert_eq!(gaps[99]["since"], 21);

    // Of a relay that nobody has worked on the same is said.
    let fresh = coverage(&catalog, "b").await;
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&fresh), names(&shown));
    assert_eq!(fresh["status"], "waiting");
    assert_eq!(fresh["gap_list"], json!([]));
    assert_eq!(fresh["refusals"], json!({}));
    assert_eq!(fresh["eta_seconds"], json!(null));
}

#[tokio::test]
async fn relays_are_counted_by_status_and_the_lag_is_that_of_those_who_can_be_followed() {
    let (store, _database) = test_store().await;
    let names = [
        "live", "caught", "syncing", "failing", "retried", "aside", "waiting", "other",
    ];
    let urls = insert(&store, &names).await;
    store.set_priority_relays(&urls[..6]).await.unwrap();
    let leased = "leased_until = NOW + 1000";
    for (name, change) in [
        (
            "live",
            format!("{leased}, live_since = 1, caught_up_at = 1"),
        ),
        ("caught", "caught_up_at = NOW - 5000".to_owned()),
        ("syncing", format!("{leased}, caught_up_at = NOW - 90000")),
        ("failing", "failures = 1, caught_up_at = 1".to_owned()),
        (
            "retried",
            format!("{leased}, failures = 3, caught_up_at = 1"),
        ),
        (
            "aside",
            "put_aside = 'blocked', due_at = NOW + 1000, caught_up_at = 1".to_owned(),
        ),
        ("other", "caught_up_at = 1".to_owned()),
    ] {
        set(&store, name, &change).await;
    }
    let of = "(select id from relays where url = 'wss://caught.example.com')";
    execute(
        &store,
        &format!(
            "insert into sync_gaps (relay_id, since, until, reason, found_at)
             values ({of}, 1, 2, 'x', 1), ({of}, 3, 4, 'x', 1),
                ((select id from relays where url = 'wss://other.example.com'), 1, 2, 'x', 1)"
        ),
    )
    .await;
    execute(
        &store,
        &format!(
            "insert into sync_missing (relay_id, id, cause, promised_at, retry_at, limit_bytes)
             values ({of}, sha256('a'), 'not_given', 1, 1, 1)"
        ),
    )
    .await;

    let all = store.count_syncs(SyncScope::All).await.unwrap();
    let counts: Vec<u64> = SYNC_STATUSES
        .iter()
        .map(|name| all.statuses.iter().find(|(n, _)| n == name).unwrap().1)
        .collect();
    // syncing, live, caught_up, waiting, failing, put_aside
    assert_eq!(counts, [2, 1, 2, 1, 1, 1]);
    assert_eq!((all.gaps, all.missing_events), (3, 1));

    let priority = store.count_syncs(SyncScope::Priority).await.unwrap();
    let counts: Vec<u64> = priority.statuses.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [2, 1, 1, 0, 1, 1]);
    assert_eq!((priority.gaps, priority.missing_events), (2, 1));
    // Neither who fails, though we try again, nor who does not let us in holds it up.
    assert!(
        (90_000..100_000).contains(&priority.lag_seconds),
        "{priority:?}"
    );

    // One that was never caught up with waits since it is known.
    set(&store, "syncing", "caught_up_at = null").await;
    execute(
        &store,
        &format!(
            "update relays set discovered_at = {NOW} - 200000 where url = 'wss://syncing.example.com'"
        ),
    )
    .await;
    let priority = store.count_syncs(SyncScope::Priority).await.unwrap();
    assert!(priority.lag_seconds >= 200_000, "{priority:?}");

    store.set_priority_relays(&urls[..1]).await.unwrap();
    let live = store.count_syncs(SyncScope::Priority).await.unwrap();
    assert_eq!(live.lag_seconds, 0);
    store.set_priority_relays(&[]).await.unwrap();
    let none = store.count_syncs(SyncScope::Priority).await.unwrap();
    assert!(none.statuses.iter().all(|(_, count)| *count == 0));
}

#[tokio::test]
async fn those_being_archived_come_first_then_those_with_most_events() {
    let (store, _database) = test_store().await;
    insert(&store, &["few", "many", "some", "now"]).await;
    set(&store, "few", "new_events = 1, known_events = 1").await;
    set(&store, "many", "new_events = 5, known_events = 100").await;
    set(&store, "some", "new_events = 50").await;
    set(&store, "now", "leased_until = NOW + 1000").await;
    let listed = |most| {
        let store = store.clone();
        async move {
            let syncs = store.list_syncs(most).await.unwrap();
            let names = syncs.into_iter().map(|sync| sync.relay);
            names.collect::<Vec<String>>().join(" ")
        }
    };
    let all =
        "wss://now.example.com wss://many.example.com wss://some.example.com wss://few.example.com";
    assert_eq!(listed(10).await, all);
    assert_eq!(
        listed(2).await,
        "wss://now.example.com wss://many.example.com"
    );
    assert_eq!(listed(0).await, "");
}
