//! Real processes that are killed while they ingest: what they acknowledged is in the archive.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::event::Event;
use bigbrotr_schema::store::RelayId;
use rand::Rng;
use tokio::task::JoinSet;

use crate::harness::{Archive, NOW, Node, population, seed};
use crate::model::Model;

const URL: &str = "BIGBROTR_TEST_CRASH_URL";
const POPULATION: &str = "BIGBROTR_TEST_CRASH_POPULATION";
const ACKNOWLEDGED: &str = "BIGBROTR_TEST_CRASH_ACKNOWLEDGED";

const EVENTS: usize = 1_600;
const BATCHES: usize = 60;
const SUBMITTERS: usize = 3;

/// What batch number `n` consists of, the same in every process. Its neighbours share events with
/// it, so that some are known and have another relay.
fn batch(events: &[Event], n: usize) -> Vec<Event> {
    let start = n * events.len() / BATCHES;
    // From four to some sixty, so that either way of writing is met.
    let length = [4, 20, 45, 60][n % 4];
    events[start..(start + length).min(events.len())].to_vec()
}

fn relay_of(relays: &[RelayId], n: usize) -> RelayId {
    relays[n * 7 % relays.len()]
}

/// An ingesting process.
struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a process that submits every batch that is not acknowledged yet.
    fn start(archive: &Archive, seed: u64, acknowledged: &BTreeSet<usize>) -> Self {
        let acknowledged: Vec<String> = acknowledged.iter().map(ToString::to_string).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "processes::ingesting_process",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(URL, archive.database.url())
            .env(POPULATION, seed.to_string())
            .env(ACKNOWLEDGED, acknowledged.join(","))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Returns the next batch that it acknowledges; `None` when it has ended.
    fn acknowledged(&mut self) -> Option<usize> {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("acknowledged ")?.parse().ok())
    }

    fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_all_that_it_acknowledged() {
    let (seed, mut rng) = seed();
    let archive = Archive::new().await;
    let relays = archive.relays(4).await;
    let events = population(seed, EVENTS);
    let mut acknowledged = BTreeSet::new();
    let mut kills = 0;
    while acknowledged.len() < BATCHES {
        let mut process = Process::start(&archive, seed, &acknowledged);
        for _ in 0..rng.random_range(1..8) {
            let Some(n) = process.acknowledged() else {
                break;
            };
            assert!(acknowledged.insert(n));
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..30_000)));
        process.kill();
        kills += 1;
        // What it said before it died counts as well.
        while let Some(n) = process.acknowledged() {
            assert!(acknowledged.insert(n));
        }
        let ids: Vec<_> = acknowledged
            .iter()
            .flat_map(|n| batch(&events, *n))
            .map(|event| event.id)
            .collect();
        let archived = archive.store.archived_nums(&ids).await.unwrap();
        assert!(
            ids.iter().all(|id| archived.contains_key(id)),
            "kill {kills}"
        );
    }
    assert!(kills > 5, "{kills} are too few to mean anything");
    let mut model = Model::default();
    for n in 0..BATCHES {
        model.add_all(&batch(&events, n), Some(relay_of(&relays, n)));
    }
    model.check(&archive.store, &archive.pool).await;
}

/// Not a test: the body of [`Process`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "another test runs it as a process of its own"]
async fn ingesting_process() {
    let variable = |name| Some(std::env::var_os(name)?.into_string().unwrap());
    let (Some(url), Some(seed), Some(done)) =
        (variable(URL), variable(POPULATION), variable(ACKNOWLEDGED))
    else {
        return;
    };
    let done: BTreeSet<usize> = done.split(',').filter_map(|n| n.parse().ok()).collect();
    let clock = ManualClock::new(NOW);
    let node = Arc::new(Node::connect(&url, Arc::new(clock.clone())).await);
    let relays = Arc::new(crate::harness::relays(&node.store, 4).await);
    let events = Arc::new(population(seed.parse().unwrap(), EVENTS));
    let mut submitters = JoinSet::new();
    for submitter in 0..SUBMITTERS {
        let mine: Vec<usize> = (0..BATCHES)
            .filter(|n| n % SUBMITTERS == submitter && !done.contains(n))
            .collect();
        let (node, events, relays) = (node.clone(), events.clone(), relays.clone());
        submitters.spawn(async move {
            for n in mine {
                let events = batch(&events, n);
                node.submit(events, Some(relay_of(&relays, n)))
                    .await
                    .unwrap();
                println!("acknowledged {n}");
            }
        });
    }
    // The statistics are kept current at the same time, and die in the middle of it too.
    while !submitters.is_empty() {
        node.store.rollup_step().await.ok();
        clock.advance(Duration::from_secs(1));
        while submitters.try_join_next().is_some() {}
    }
}
