//! Jobs while their machines are killed: each is answered exactly once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::time::Duration;

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::filter::Filter;
use bigbrotr_dvm::ask::JobRequest;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store;
use common::{PATIENCE, bigbrotr};
use nostr::Keys;

const JOBS: usize = 1_000;

/// Deaths while jobs arrive and are answered.
const DEATHS: usize = 12;

/// A process that does nothing but answer jobs. It is killed when dropped.
struct Machine(Child);

impl Machine {
    fn start(folder: &std::path::Path, database: &TestDatabase, key: &str) -> Self {
        let child = bigbrotr(folder)
            .args(["--services", "dvm", "--metrics-listen", "127.0.0.1:0"])
            .env("DATABASE_URL", database.url())
            .env("BIGBROTR_SECRET_KEY", key)
            .env("BIGBROTR__DVM__CLAIM_TIME", "5s")
            .env("BIGBROTR__DVM__POLL_INTERVAL", "1s")
            .env("BIGBROTR__DVM__MAX_QUEUE", "10000")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SIGKILL: nothing can be put in order.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn send(store: &Store, ids: &[Keys]) -> Vec<EventId> {
    let mut sent = Vec::new();
    for keys in ids {
        let request = JobRequest::new("events.stats").to_event_builder().unwrap();
        let request = Event::from(&request.sign_with_keys(keys).unwrap());
        store.publish(&request).await.unwrap();
        sent.push(request.id);
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    sent
}

async fn answers(store: &Store, request: EventId) -> Vec<Event> {
    let filter = Filter {
        tags: BTreeMap::from([('e', BTreeSet::from([request.to_hex()]))]),
        ..Filter::default()
    };
    let stored = store.query_relay_events(&filter, 100).await.unwrap();
    stored
        .iter()
        .map(|stored| stored.event().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_jobs_are_answered_once_each_while_machines_are_killed() {
    let (store, database) = test_store().await;
    let folder = tempfile::tempdir().unwrap();
    let key = Keys::generate().secret_key().to_secret_hex();
    let start = || Machine::start(folder.path(), &database, &key);
    let customers: Vec<Keys> = (0..JOBS).map(|_| Keys::generate()).collect();
    let mut machines = vec![start(), start()];
    let killing = async {
        let mut answered_between = BTreeSet::new();
        for n in 0..DEATHS {
            // Not before there is something to interrupt.
            let before = done(&store).await;
            let waiting = async {
                while done(&store).await < (before + 15).min(JOBS) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::time::timeout(PATIENCE, waiting)
                .await
                .expect("nothing is answered");
            answered_between.insert(done(&store).await);
            let victim = n % machines.len();
            machines[victim] = start();
        }
        answered_between
    };
    let (ids, answered_between) = tokio::join!(send(&store, &customers), killing);
    assert!(
        answered_between.len() > DEATHS / 2,
        "killed in vain: {answered_between:?}"
    );
    let waiting = async {
        while done(&store).await < JOBS {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(2 * PATIENCE, waiting)
        .await
        .expect("jobs are left");
    drop(machines);
    for id in ids {
        let mut kinds = Vec::new();
        for answer in answers(&store, id).await {
            let status = answer.tag_value("status").unwrap_or_default();
            kinds.push((answer.kind, status.to_owned()));
        }
        kinds.sort();
        let expected = [(6450, ""), (7000, "processing"), (7000, "success")];
        assert_eq!(
            kinds,
            expected.map(|(kind, status)| (kind, status.to_owned()))
        );
    }
}

/// How many results there are.
async fn done(store: &Store) -> usize {
    let filter = Filter {
        kinds: Some(BTreeSet::from([6450])),
        ..Filter::default()
    };
    let count = store.count_relay_events(&[filter]).await.unwrap();
    usize::try_from(count).unwrap()
}
