//! The catalogue: every entry answers, pages add up, and bad questions get clear errors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::catalog::{Catalog, CatalogFile, Entry, Shape};
use bigbrotr_schema::ingest::{Ingest, IngestMetrics};
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::{Population, PopulationConfig};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

async fn fill(store: &Store) {
    let urls: Vec<RelayUrl> = ["wss://a.example.com", "ws://b.example.com/nostr"]
        .iter()
        .map(|url| RelayUrl::parse(url, &UrlPolicy::default()).unwrap())
        .collect();
    store.insert_relays(&urls).await.unwrap();
    let relay = store.get_relay(&urls[0]).await.unwrap().unwrap().id;
    let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
    let ingest = Ingest::start(
        store.clone(),
        metrics,
        &TaskTracker::new(),
        CancellationToken::new(),
    );
    let population = Population::generate(&PopulationConfig::new(1, 600, 1_700_000_000));
    let events = population
        .events()
        .iter()
        .map(bigbrotr_testkit::SimEvent::event)
        .collect();
    ingest.submit(events, Some(relay)).await.unwrap();
    store.rollup_to_end().await.unwrap();
}

fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// What an entry cannot be asked without: the first relay, the busiest pubkey.
async fn subject(catalog: &Catalog, entry: &Entry) -> BTreeMap<String, String> {
    let mut given = BTreeMap::new();
    if entry.param("window").is_some() {
        given.insert("window".into(), "all".into());
    }
    if entry.param("url").is_some() {
        given.insert("url".into(), "wss://a.example.com".into());
    }
    if entry.param("pubkey").is_some() {
        let json = catalog
            .run("pubkeys.list", &params(&[]))
            .await
            .unwrap()
            .json;
        let list: Value = serde_json::from_str(&json).unwrap();
        let busiest = list["data"][0]["pubkey"].as_str().unwrap();
        given.insert("pubkey".into(), busiest.into());
    }
    given
}

#[tokio::test]
async fn every_list_pages_through_all_rows_in_every_order() {
    let (store, _database) = test_store().await;
    fill(&store).await;
    let catalog = Catalog::load(store, &[]).await.unwrap();
    for entry in catalog.entries().filter(|entry| entry.shape == Shape::List) {
        let sorts = match entry.param("sort").map(|param| param.kind.to_string()) {
            Some(words) => words.split(", ").map(ToOwned::to_owned).collect(),
            None => vec![String::new()],
        };
        for sort in sorts {
            let mut given = subject(&catalog, entry).await;
            given.insert("limit".into(), "7".into());
            if entry
                .param("limit")
                .is_some_and(|p| p.canonical_value("7").is_none())
            {
                given.remove("limit");
            }
            if !sort.is_empty() {
                given.insert("sort".into(), sort.clone());
            }
            let mut whole = given.clone();
            let max = entry.param("limit").unwrap().kind.to_string();
            whole.insert("limit".into(), max.rsplit(' ').next().unwrap().to_owned());
            let all: Value =
                serde_json::from_str(&catalog.run(&entry.name, &whole).await.unwrap().json)
                    .unwrap();
            let mut rows = Vec::new();
            loop {
                let answer = catalog.run(&entry.name, &given).await.unwrap();
                let json: Value = serde_json::from_str(&answer.json).unwrap();
                assert_eq!(json["meta"]["query"], entry.name.as_str());
                rows.extend(json["data"].as_array().unwrap().clone());
                match answer.next {
                    Some(next) => given.insert("cursor".into(), next),
                    None => break,
                };
            }
            assert_eq!(Value::Array(rows), all["data"], "{} by {sort}", entry.name);
            let of_checks = ["software.list", "nips.list", "countries.list"];
            if !of_checks.contains(&entry.name.as_str()) {
                let checked = ["relays.history", "relays.uptime"].contains(&entry.name.as_str());
                assert_eq!(
                    all["data"] == serde_json::json!([]),
                    checked,
                    "{}",
                    entry.name
                );
            }
        }
    }
}

#[tokio::test]
async fn lists_page_past_the_longest_urls() {
    let (store, _database) = test_store().await;
    let urls: Vec<RelayUrl> = (0..3)
        .map(|n| format!("wss://a.example.com/{}{n}", "x".repeat(1_900)))
        .map(|url| RelayUrl::parse(&url, &UrlPolicy::default()).unwrap())
        .collect();
    store.insert_relays(&urls).await.unwrap();
    let catalog = Catalog::load(store, &[]).await.unwrap();
    for sort in ["url", "events"] {
        let mut given = params(&[("limit", "1"), ("sort", sort)]);
        let mut pages = 1;
        while let Some(next) = catalog.run("relays.list", &given).await.unwrap().next {
            given.insert("cursor".into(), next);
            pages += 1;
        }
        assert_eq!(pages, 3, "{sort}");
    }
}

#[tokio::test]
async fn sorting_columns_stay_out_of_answers() {
    let (store, _database) = test_store().await;
    fill(&store).await;
    let catalog = Catalog::load(store, &[]).await.unwrap();
    let json = catalog
        .run("relays.list", &params(&[("sort", "rtt")]))
        .await
        .unwrap()
        .json;
    let answer: Value = serde_json::from_str(&json).unwrap();
    let names: BTreeSet<&str> = answer["data"][0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert!(
        names.contains("url") && !names.iter().any(|name| name.starts_with('_')),
        "{names:?}"
    );
    assert_eq!(answer["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn bad_questions_get_clear_errors() {
    let (store, _database) = test_store().await;
    let catalog = Catalog::load(store, &[]).await.unwrap();
    for (name, given, json) in [
        (
            "nope",
            params(&[]),
            r#"{"error":{"code":"unknown_query","message":"there is no question named \"nope\"; ask \"catalog\" for the list"}}"#,
        ),
        (
            "events.stats",
            params(&[("window", "2h")]),
            r#"{"error":{"code":"invalid_param","message":"window: expected one of 1h, 24h, 7d, 30d, all","param":"window"}}"#,
        ),
        (
            "events.stats",
            params(&[("windw", "1h")]),
            r#"{"error":{"code":"invalid_param","message":"windw: unknown parameter; events.stats takes window","param":"windw"}}"#,
        ),
        (
            "relays.get",
            params(&[]),
            r#"{"error":{"code":"invalid_param","message":"url: missing; expected relay URL","param":"url"}}"#,
        ),
        (
            "relays.get",
            params(&[("url", "wss://nobody.example.com")]),
            r#"{"error":{"code":"not_found","message":"this relay is not known"}}"#,
        ),
        (
            "kinds.list",
            params(&[("cursor", "rubbish")]),
            r#"{"error":{"code":"invalid_param","message":"cursor: expected meta.next of an answer in the same order","param":"cursor"}}"#,
        ),
        (
            "catalog",
            params(&[("x", "1")]),
            r#"{"error":{"code":"invalid_param","message":"x: catalog takes no parameters","param":"x"}}"#,
        ),
    ] {
        assert_eq!(catalog.run(name, &given).await.unwrap_err().to_json(), json);
    }
}

#[tokio::test]
async fn an_entry_of_an_implementation_is_checked_at_start() {
    let (store, _database) = test_store().await;
    let head = "-- name: my.relays\n-- help: Mine.\n-- path: /mine\n";
    let load = async |text: String| {
        let files = [CatalogFile::new("mine.sql", text)];
        Catalog::load(store.clone(), &files).await
    };
    let catalog = load(format!(
        "{head}select count(*) as relays from relays_overview"
    ))
    .await
    .unwrap();
    let answer = catalog.run("my.relays", &BTreeMap::new()).await.unwrap();
    assert!(
        answer.json.starts_with(r#"{"data":{"relays":0},"meta":"#),
        "{}",
        answer.json
    );
    for sql in [
        "select * from events",
        "select 1 from nothing",
        "delete from relays returning 1",
    ] {
        let error = load(format!("{head}{sql}")).await.unwrap_err().to_string();
        assert!(error.contains("mine.sql"), "{error}");
    }
}

#[tokio::test]
async fn an_addition_takes_no_name_and_no_path_of_another_entry() {
    let (store, _database) = test_store().await;
    let file = |path: &str, name: &str, url: &str| {
        let text = format!("-- name: {name}\n-- help: h\n-- path: {url}\nselect 1 as x");
        CatalogFile::new(path, text)
    };
    for (files, reason) in [
        (
            vec![file("mine.sql", "kinds.list", "/mine")],
            "mine.sql: the name kinds.list is taken by built-in kinds.list.sql",
        ),
        (
            vec![file("mine.sql", "catalog", "/mine")],
            "mine.sql: the name catalog is taken by the list of all questions",
        ),
        (
            vec![file("mine.sql", "mine", "/catalog")],
            "mine.sql: the path /catalog is taken by the list of all questions",
        ),
        (
            vec![file("mine.sql", "mine", "/kinds")],
            "mine.sql: the path /kinds is taken by built-in kinds.list.sql",
        ),
        (
            vec![file("mine.sql", "mine", "/kinds/{number}")],
            "mine.sql: the path /kinds/{number} is taken by built-in kinds.get.sql",
        ),
        (
            vec![file("b.sql", "mine", "/b"), file("a.sql", "mine", "/a")],
            "b.sql: the name mine is taken by a.sql",
        ),
    ] {
        let error = Catalog::load(store.clone(), &files)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{error}");
    }
}
