//! `events.count`: the same numbers as the in-memory matcher, whichever way they are counted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::config::{ArchiveConfig, DatabaseConfig};
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::ingest::{Ingest, IngestMetrics};
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store_with;
use bigbrotr_testkit::population::{author_keys, sign};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const NOW: i64 = 1_750_000_000;
const RELAYS: [&str; 2] = ["wss://a.example.com", "wss://b.example.com/x"];

/// Values that are easily taken for each other.
const WORDS: [&str; 9] = [
    "", "x", "xy", "x]", "x\",", "\u{0}", "\\u0000", "é\"\n", "+",
];

struct World {
    catalog: Catalog,
    /// Each event and the relays that had it.
    events: Vec<(Event, Vec<usize>)>,
    _database: TestDatabase,
}

fn events() -> Vec<(Event, Vec<usize>)> {
    let mut events = Vec::new();
    for n in 0..120_usize {
        let word = |step: usize| WORDS[(n / step) % WORDS.len()].to_owned();
        let mut tags = match n % 5 {
            0 => vec![],
            1 => vec![
                vec!["t".into(), word(1)],
                vec!["t".into(), word(3), "x".into()],
            ],
            2 => vec![vec![], vec!["t".into()], vec!["t".into(), word(2)]],
            3 => vec![
                vec!["e".into(), word(1), String::new(), "root".into()],
                vec!["e".into(), word(2), String::new(), "reply".into()],
            ],
            _ => vec![
                vec!["tt".into(), word(1)],
                vec!["x".into(), "t".into(), word(1)],
            ],
        };
        if n % 7 == 0 {
            tags.reverse();
        }
        let kind = [1, 7, 30_023, 0][n % 4];
        let created_at = NOW - n as i64 * 100;
        let keys = author_keys(1, (n % 3) as u64);
        let event = sign(&keys, created_at, kind, tags, word(4));
        events.push((
            event,
            (0..RELAYS.len()).filter(|r| n % (r + 2) == 0).collect(),
        ));
    }
    events
}

impl World {
    async fn new(archive: ArchiveConfig) -> Self {
        let config = DatabaseConfig {
            archive,
            // The bound on the time of a question is not what is tested here.
            query_timeout: std::time::Duration::from_mins(1),
            ..DatabaseConfig::default()
        };
        let (store, database) = test_store_with(config, Arc::new(SystemClock)).await;
        let urls = RELAYS.map(|url| RelayUrl::parse(url, &UrlPolicy::default()).unwrap());
        store.insert_relays(&urls).await.unwrap();
        let events = events();
        fill(&store, &urls, &events).await;
        Self {
            catalog: Catalog::load(store, &[]).await.unwrap(),
            events,
            _database: database,
        }
    }

    async fn count(&self, pairs: &[(&str, &str)]) -> Value {
        let params: BTreeMap<String, String> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        match self.catalog.run("events.count", &params).await {
            Ok(answer) => serde_json::from_str::<Value>(&answer.json).unwrap()["data"].clone(),
            Err(error) => serde_json::from_str(&error.to_json()).unwrap(),
        }
    }

    /// What has to come out.
    fn expected(&self, filters: &[Filter], relays: &[usize], groups: &[&str]) -> Value {
        let matching: Vec<&Event> = self
            .events
            .iter()
            .filter(|(event, seen)| {
                filters.iter().any(|filter| filter.matches(event))
                    && (relays.is_empty() || relays.iter().any(|relay| seen.contains(relay)))
            })
            .map(|(event, _)| event)
            .collect();
        let grouped = if groups.is_empty() {
            Value::Null
        } else {
            let with_all = matching
                .iter()
                .filter_map(|event| groups.iter().map(|name| group_key(event, name)).collect());
            nest(&with_all.collect::<Vec<Vec<String>>>(), groups.len())
        };
        json!({ "count": matching.len(), "groups": grouped })
    }
}

async fn fill(store: &Store, urls: &[RelayUrl], events: &[(Event, Vec<usize>)]) {
    let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let ingest = Ingest::start(store.clone(), metrics, &tasks, stop);
    let all = events.iter().map(|(event, _)| event.clone()).collect();
    ingest.submit(all, None).await.unwrap();
    for (n, url) in urls.iter().enumerate() {
        let id = store.get_relay(url).await.unwrap().unwrap().id;
        let had = events.iter().filter(|(_, seen)| seen.contains(&n));
        let had = had.map(|(event, _)| event.clone()).collect();
        ingest.submit(had, Some(id)).await.unwrap();
    }
    store.rollup_to_end().await.unwrap();
}

fn group_key(event: &Event, name: &str) -> Option<String> {
    let tag = |name: &str, marker: Option<&str>| {
        let mut tags = event
            .tags
            .iter()
            .filter(|tag| tag.len() > 1 && tag[0] == name);
        let marked = |tag: &&Vec<String>| {
            marker.is_none_or(|marker| tag.get(3).is_some_and(|value| value == marker))
        };
        tags.find(marked).map(|tag| tag[1].clone())
    };
    match name {
        "kind" => Some(event.kind.to_string()),
        "pubkey" => Some(event.pubkey.to_hex()),
        "content" => Some(event.content.clone()),
        "root" | "reply" => tag("e", Some(name)),
        name => tag(name, None),
    }
}

fn nest(keys: &[Vec<String>], depth: usize) -> Value {
    if depth == 0 {
        return json!(keys.len());
    }
    let mut groups: BTreeMap<&String, Vec<Vec<String>>> = BTreeMap::new();
    for key in keys {
        groups.entry(&key[0]).or_default().push(key[1..].to_vec());
    }
    let nested = groups
        .into_iter()
        .map(|(key, rest)| (key.clone(), nest(&rest, depth - 1)));
    Value::Object(nested.collect())
}

fn filters(events: &[(Event, Vec<usize>)]) -> impl Strategy<Value = Filter> + use<> {
    let ids: Vec<_> = events.iter().map(|(event, _)| event.id).collect();
    let authors: BTreeSet<_> = events.iter().map(|(event, _)| event.pubkey).collect();
    let authors: Vec<_> = authors.into_iter().collect();
    let some = |strategy| proptest::option::weighted(0.4, strategy);
    let ids = proptest::sample::subsequence(ids, 0..60);
    let kinds = proptest::sample::subsequence(vec![0_u16, 1, 7, 9, 30_023], 0..4);
    let authors = proptest::sample::subsequence(authors, 0..3);
    let words = proptest::sample::subsequence(WORDS.to_vec(), 0..4);
    let words = words.prop_map(|words| words.into_iter().map(ToOwned::to_owned).collect());
    let tags =
        proptest::collection::btree_map(proptest::sample::select(vec!['t', 'e', 'x']), words, 0..2);
    let time = || proptest::option::weighted(0.2, (0..12_000_i64).prop_map(|ago| NOW - ago));
    (
        proptest::option::weighted(0.1, ids),
        some(
            kinds
                .prop_map(|kinds| kinds.into_iter().collect::<BTreeSet<_>>())
                .boxed(),
        ),
        proptest::option::weighted(0.4, authors),
        proptest::bool::weighted(0.4),
        tags,
        time(),
        time(),
    )
        .prop_map(|(ids, kinds, authors, tagged, tags, since, until)| Filter {
            ids: ids.map(|ids| ids.into_iter().collect()),
            kinds,
            authors: authors.map(|authors| authors.into_iter().collect()),
            tags: if tagged { tags } else { BTreeMap::new() },
            since,
            until,
            ..Filter::default()
        })
}

#[tokio::test]
async fn counts_are_those_of_the_matcher_for_every_filter_relay_and_group() {
    let world = World::new(ArchiveConfig::default()).await;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = proptest::collection::vec(filters(&world.events), 1..4);
    let groups: [&[&str]; 12] = [
        &[],
        &["kind"],
        &["pubkey"],
        &["pubkey", "kind"],
        &["kind", "pubkey"],
        &["content"],
        &["t"],
        &["root"],
        &["reply", "kind"],
        &["tt", "pubkey", "content"],
        &["e", "content", "kind"],
        &["nothing"],
    ];
    let relays: [&[usize]; 4] = [&[], &[0], &[1], &[0, 1]];
    for n in 0..600 {
        let filters = strategy.new_tree(&mut runner).unwrap().current();
        let (group, relays) = (groups[n % groups.len()], relays[(n / 3) % relays.len()]);
        let json = serde_json::to_string(&filters).unwrap();
        let relay = relays
            .iter()
            .map(|n| RELAYS[*n])
            .collect::<Vec<_>>()
            .join(" ");
        let names = group.join(",");
        let mut given = vec![("filter", json.as_str())];
        if !relay.is_empty() {
            given.push(("relay", &relay));
        }
        if !names.is_empty() {
            given.push(("group", &names));
        }
        let expected = world.expected(&filters, relays, group);
        assert_eq!(world.count(&given).await, expected, "{given:?}");
    }
}

#[tokio::test]
async fn everything_and_nothing_are_counted_too() {
    let world = World::new(ArchiveConfig::default()).await;
    let count = async |filter: &str| world.count(&[("filter", filter)]).await["count"].clone();
    assert_eq!(count("{}").await, 120);
    assert_eq!(count(r#"{"kinds":[]}"#).await, 0);
    assert_eq!(count(r#"{"since":2,"until":1}"#).await, 0);
    let unknown = [("filter", "{}"), ("relay", "wss://nowhere.example.com")];
    assert_eq!(world.count(&unknown).await["count"], 0);
    let grouped = [("filter", r#"{"kinds":[9]}"#), ("group", "kind")];
    assert_eq!(
        world.count(&grouped).await,
        json!({ "count": 0, "groups": {} })
    );
}

#[tokio::test]
async fn what_is_not_kept_cannot_be_asked_for() {
    let archive = ArchiveConfig {
        tags: false,
        content: false,
        signatures: false,
    };
    let world = World::new(archive).await;
    for (given, message) in [
        (
            &[("filter", r##"{"#t":["x"]}"##)][..],
            "filter: this archive keeps no tags",
        ),
        (
            &[("filter", "{}"), ("group", "t")],
            "group: this archive keeps no tags",
        ),
        (
            &[("filter", "{}"), ("group", "content")],
            "group: this archive keeps no content",
        ),
    ] {
        assert_eq!(world.count(given).await["error"]["message"], message);
    }
    let by_kind = [("filter", "{}"), ("group", "kind,pubkey")];
    assert_eq!(world.count(&by_kind).await["count"], 120);
}

#[tokio::test]
async fn too_many_groups_are_refused_in_words() {
    let (store, _database) =
        test_store_with(DatabaseConfig::default(), Arc::new(SystemClock)).await;
    let long = "x".repeat(300_000);
    let events: Vec<(Event, Vec<usize>)> = (0..4)
        .map(|n| {
            let content = format!("{n}{long}");
            (sign(&author_keys(1, 0), NOW, 1, vec![], content), vec![])
        })
        .collect();
    fill(&store, &[], &events).await;
    let catalog = Catalog::load(store, &[]).await.unwrap();
    let params = [("filter", "{}"), ("group", "content")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let error = catalog
        .run("events.count", &BTreeMap::from(params))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "invalid_param");
    assert!(error.to_string().starts_with("group: more than"), "{error}");
}
