//! Candidates in the database: sites, bounds, leases, and what is forgotten.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has to fail"
)]

use std::sync::Arc;

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::store::{
    Candidate, CandidateBounds, CandidateFailure, CandidateStatus, Finding, FoundBy, Mention,
    SiteBounds, Store, Verdict,
};
use bigbrotr_schema::testing::{OpenWriter, execute, look, test_store_with};
use bigbrotr_testkit::EventMaker;
use bigbrotr_testkit::population::author_keys;
use serde_json::json;

const NOW: i64 = 1_750_000_000;
const CLEARNET: [Network; 1] = [Network::Clearnet];
const BOUNDS: SiteBounds = SiteBounds {
    per_host: 2,
    per_site: 4,
    pause_seconds: 0,
};

struct World {
    store: Store,
    clock: ManualClock,
    _database: TestDatabase,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::new(NOW);
        let shared = Arc::new(clock.clone());
        let (store, database) = test_store_with(DatabaseConfig::default(), shared).await;
        Self {
            store,
            clock,
            _database: database,
        }
    }

    /// Begins a turn of the finder once the one before is over: what was dropped is rolled back a
    /// moment later.
    async fn begin(&self) -> Finding<'_> {
        loop {
            if let Some(finding) = self.store.begin_finding().await.unwrap() {
                return finding;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    async fn add(&self, urls: &[&str]) {
        let finding = self.begin().await;
        let mentions: Vec<Mention> = urls.iter().map(|text| mention(text)).collect();
        finding.finish(&[], &mentions, BOUNDS).await.unwrap();
    }

    async fn judge(&self, urls: &[&str]) -> Vec<Verdict> {
        let mut finding = self.begin().await;
        let urls: Vec<RelayUrl> = urls.iter().map(|text| url(text)).collect();
        finding.judge(&urls, BOUNDS).await.unwrap()
    }

    async fn lease(&self, most: u32) -> Vec<Candidate> {
        self.store
            .lease_candidates(&CLEARNET, most, 60)
            .await
            .unwrap()
    }

    async fn one(&self) -> Candidate {
        self.lease(1).await.remove(0)
    }
}

fn url(text: &str) -> RelayUrl {
    RelayUrl::parse(text, &UrlPolicy::default()).unwrap()
}

fn mention(text: &str) -> Mention {
    Mention {
        url: url(text),
        found_by: FoundBy::Tags,
    }
}

fn before(given_up_before: i64) -> CandidateBounds {
    CandidateBounds {
        given_up_before,
        max_given_up: 1_000,
        max_retried: 1_000,
    }
}

fn failure(gives_up: bool) -> CandidateFailure {
    CandidateFailure {
        counts: true,
        gives_up,
        due_at: NOW + 600,
        reason: "silent",
    }
}

#[tokio::test]
async fn a_site_is_what_one_party_owns() {
    let world = World::new().await;
    let key = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad";
    let onion = format!("ws://a.{key}.onion:81/x");
    let (b32, b32_site) = (
        "udhdrtrhjrq3s2kqkuxyykhwtdh5rwrwrnywxxvzjq2nsgl5pnaa",
        "b32.i2p",
    );
    let i2p = format!("ws://{b32}.b32.i2p");
    for (text, site) in [
        ("wss://relay.example.com/a/b", "example.com".to_owned()),
        ("wss://example.com:444", "example.com".to_owned()),
        ("wss://a.b.relay.co.uk", "relay.co.uk".to_owned()),
        ("wss://a.b.nostr1.com", "nostr1.com".to_owned()),
        ("wss://a.relay.com.br", "relay.com.br".to_owned()),
        ("wss://relay.codes.jp", "codes.jp".to_owned()),
        ("ws://8.8.4.4:7777", "8.8.4.4".to_owned()),
        (
            "ws://[2606:4700:1:2:3::1]:80/x",
            "2606:4700:1:2::/64".to_owned(),
        ),
        (
            "ws://[2606:4700:1:2:ffff::]",
            "2606:4700:1:2::/64".to_owned(),
        ),
        ("ws://[2606:4700:1:3::]", "2606:4700:1:3::/64".to_owned()),
        (onion.as_str(), format!("{key}.onion")),
        (i2p.as_str(), format!("{b32}.{b32_site}")),
        ("ws://a.relay.i2p", "relay.i2p".to_owned()),
    ] {
        let canonical = url(text);
        let sql = format!("select relay_site(relay_host('{canonical}')) as site");
        assert_eq!(
            look(&world.store, &sql).await,
            json!([{ "site": site }]),
            "{text}"
        );
    }
}

#[tokio::test]
async fn verdicts_follow_the_order_and_count_what_is_there() {
    use Verdict::{Crowded, Known, New};

    let world = World::new().await;
    world
        .store
        .insert_relays(&[url("wss://a.example.com")])
        .await
        .unwrap();
    world.add(&["wss://b.example.com"]).await;
    let verdicts = world
        .judge(&[
            "wss://a.example.com",
            "wss://b.example.com",
            "wss://a.example.com/1",
            "wss://a.example.com/2",
            "wss://c.example.com",
            "wss://d.example.com",
            "wss://x.other.com",
        ])
        .await;
    assert_eq!(verdicts, [Known, Known, New, Crowded, New, Crowded, New]);
    assert!(world.judge(&[]).await.is_empty());
}

#[tokio::test]
async fn only_one_finder_is_at_work_and_lists_wait_for_it() {
    let world = World::new().await;
    let finding = world.store.begin_finding().await.unwrap().unwrap();
    assert!(world.store.begin_finding().await.unwrap().is_none());
    let list = world.store.begin_list();
    tokio::pin!(list);
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), &mut list).await;
    assert!(early.is_err());
    drop(finding);
    drop(list.await.unwrap());
    drop(world.begin().await);
}

#[tokio::test]
async fn a_barrier_is_passed_when_its_writers_are_done_and_not_before() {
    let world = World::new().await;
    let event = |n: i64| {
        EventMaker::new(NOW + n)
            .content("x")
            .sign(&author_keys(1, 0))
    };
    let (early, late) = (event(1), event(2));
    let writer = OpenWriter::begin(&world.store, &early).await.unwrap();
    world.store.insert_events(&[&late], &[]).await.unwrap();
    let barrier = world.store.archive_barrier().await.unwrap();
    assert_eq!(barrier.top(), 2);
    let passed = async || world.store.is_barrier_passed(&barrier).await.unwrap();
    assert_eq!(passed().await, Some(false));
    // Who begins later takes higher numbers and does not hold it up.
    let other = OpenWriter::begin(&world.store, &event(3)).await.unwrap();
    writer.commit().await.unwrap();
    assert_eq!(passed().await, Some(true));
    other.commit().await.unwrap();
}

#[tokio::test]
async fn a_lease_is_good_for_one_outcome() {
    let world = World::new().await;
    world.add(&["wss://a.example.com"]).await;
    let first = world.one().await;
    assert!(world.lease(5).await.is_empty());
    // It took too long, and somebody else has it.
    world.clock.advance(std::time::Duration::from_secs(61));
    let second = world.one().await;
    assert!(
        !world
            .store
            .fail_candidate(&first, failure(true))
            .await
            .unwrap()
    );
    assert_eq!(world.store.promote_candidate(&first).await.unwrap(), None);
    world.store.release_candidates(&[first]).await.unwrap();
    assert!(world.lease(5).await.is_empty());
    let found_by = world.store.promote_candidate(&second).await.unwrap();
    assert_eq!(found_by, Some(FoundBy::Tags));
    assert_eq!(world.store.promote_candidate(&second).await.unwrap(), None);
    let relay = world
        .store
        .get_relay(&url("wss://a.example.com"))
        .await
        .unwrap();
    assert!(relay.is_some());
    let status = world.store.count_candidates().await.unwrap();
    let promoted = CandidateStatus {
        promoted: 1,
        ..CandidateStatus::default()
    };
    assert_eq!(status, promoted);
}

#[tokio::test]
async fn candidates_that_are_given_up_are_forgotten_in_time() {
    let world = World::new().await;
    world
        .add(&[
            "wss://a.example.com",
            "wss://b.example.com",
            "wss://c.example.com",
        ])
        .await;
    for candidate in world.lease(2).await {
        assert!(
            world
                .store
                .fail_candidate(&candidate, failure(true))
                .await
                .unwrap()
        );
    }
    let status = world.store.count_candidates().await.unwrap();
    assert_eq!((status.waiting, status.given_up), (1, 2));
    let nothing = world.store.upkeep_candidates(before(NOW)).await.unwrap();
    assert_eq!(nothing.forgotten, 0);
    let done = world
        .store
        .upkeep_candidates(before(NOW + 1))
        .await
        .unwrap();
    assert_eq!(done.forgotten, 2);
    assert_eq!(world.store.count_candidates().await.unwrap().given_up, 0);
}

#[tokio::test]
async fn what_became_a_relay_in_another_way_is_no_candidate_any_more() {
    let world = World::new().await;
    world
        .add(&["wss://a.example.com", "wss://b.example.com"])
        .await;
    world
        .store
        .insert_relays(&[url("wss://a.example.com")])
        .await
        .unwrap();
    let done = world.store.upkeep_candidates(before(0)).await.unwrap();
    assert_eq!(done.settled, 1);
    assert_eq!(world.store.count_candidates().await.unwrap().waiting, 1);
}

#[tokio::test]
async fn the_tables_stay_bounded_whatever_is_invented() {
    let world = World::new().await;
    let fill = |attempts: &str, given_up: &str, count: i64| {
        format!(
            "insert into candidates (url, network, source, found_at, due_at, attempts, given_up_at)
             select 'wss://{attempts}x' || n || '.n' || n || '.com', 'clearnet', 'tags', 0, n,
                {attempts}, {given_up} from generate_series(1, {count}) n"
        )
    };
    let bounds = CandidateBounds {
        given_up_before: 0,
        max_given_up: 50,
        max_retried: 20,
    };
    execute(&world.store, &fill("0", "null", 30)).await;
    execute(&world.store, &fill("3", "null", 25)).await;
    execute(&world.store, &fill("1", "null", 3)).await;
    let done = world.store.upkeep_candidates(bounds).await.unwrap();
    assert_eq!(done.given_up, 8);
    // Those that failed most often, and not the others.
    let left = "select count(*) as n from candidates where attempts < 3 and given_up_at is null";
    assert_eq!(look(&world.store, left).await, json!([{ "n": 33 }]));
    execute(&world.store, "delete from candidates").await;
    execute(&world.store, &fill("5", "n", 57)).await;
    let done = world.store.upkeep_candidates(bounds).await.unwrap();
    assert_eq!(done.forgotten, 7);
    let oldest = "select min(given_up_at) as n from candidates";
    assert_eq!(look(&world.store, oldest).await, json!([{ "n": 8 }]));
}
