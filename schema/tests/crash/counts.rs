//! Everything is counted once, whoever submits what at the same time.

use std::sync::{Arc, Mutex};

use bigbrotr_core::event::Event;
use bigbrotr_schema::ingest::Ingested;
use bigbrotr_testkit::population::{InvalidEvents, author_keys};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::harness::{Archive, NOW, population, seed};
use crate::model::Model;

const PROCESSES: usize = 3;
const SUBMITTERS: usize = 4;
const BATCHES: usize = 10;

/// Events that every submitter draws from, and some that are wrong.
struct Supply {
    good: Vec<Event>,
    wrong: Vec<Event>,
}

impl Supply {
    fn new(seed: u64) -> Self {
        let wrong = (0..20)
            .flat_map(|n| {
                let invalid = InvalidEvents::new(author_keys(seed, 1_000), NOW + n);
                [
                    invalid.wrong_signature(),
                    invalid.wrong_id(),
                    invalid.impossible_pubkey(),
                ]
            })
            .collect();
        Self {
            good: population(seed, 600),
            wrong,
        }
    }

    /// A batch in which events may be repeated and some are wrong, and how many are.
    fn batch(&self, rng: &mut StdRng) -> (Vec<Event>, u64) {
        let size = if rng.random() {
            rng.random_range(1..20)
        } else {
            rng.random_range(40..150)
        };
        let mut wrong = 0;
        let batch = (0..size)
            .map(|_| {
                let from = if rng.random_ratio(1, 10) {
                    wrong += 1;
                    &self.wrong
                } else {
                    &self.good
                };
                from.choose(rng).unwrap().clone()
            })
            .collect();
        (batch, wrong)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_processes_count_every_event_and_pair_once() {
    let (seed, _) = seed();
    for round in 0..4 {
        let seed = seed.wrapping_add(round);
        let archive = Archive::new().await;
        let relays = archive.relays(5).await;
        let supply = Arc::new(Supply::new(seed));
        let model = Arc::new(Mutex::new(Model::default()));
        let mut nodes = Vec::new();
        for _ in 0..PROCESSES {
            nodes.push(Arc::new(archive.node().await));
        }
        let mut submitters = JoinSet::new();
        for n in 0..PROCESSES * SUBMITTERS {
            let node = nodes[n % PROCESSES].clone();
            let (supply, model, relays) = (supply.clone(), model.clone(), relays.clone());
            submitters.spawn(async move {
                let mut rng = StdRng::seed_from_u64(seed ^ (n as u64) << 32);
                let (mut total, mut submitted, mut wrong) = (Ingested::default(), 0, 0);
                for _ in 0..BATCHES {
                    let (batch, wrong_here) = supply.batch(&mut rng);
                    let relay = rng
                        .random_ratio(9, 10)
                        .then(|| *relays.choose(&mut rng).unwrap());
                    for event in batch.iter().filter(|event| event.verify().is_ok()) {
                        model.lock().unwrap().add(event, relay);
                    }
                    submitted += batch.len() as u64;
                    wrong += wrong_here;
                    let ingested = node.submit(batch, relay).await.unwrap();
                    total.new += ingested.new;
                    total.known += ingested.known;
                    total.refused += ingested.refused;
                }
                assert_eq!(total.refused, wrong);
                assert_eq!(total.new + total.known + total.refused, submitted);
                total.new
            });
        }
        let new: u64 = submitters.join_all().await.into_iter().sum();
        let model = Arc::into_inner(model).unwrap().into_inner().unwrap();
        assert_eq!(new, model.events.len() as u64, "counted as new");
        let sum = |name: &str| nodes.iter().map(|node| node.metric(name)).sum::<u64>();
        assert_eq!(sum("bigbrotr_ingest_new_events_total"), new);
        assert_eq!(
            sum("bigbrotr_ingest_new_associations_total"),
            model.seen.len() as u64
        );
        assert_eq!(sum("bigbrotr_ingest_retries_total"), 0, "deadlocks");
        model.check(&archive.store, &archive.pool).await;
    }
}

/// Every process archives the same events at the same moment, each in another order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_events_from_all_sides_are_new_once() {
    let archive = Archive::new().await;
    let relays = archive.relays(PROCESSES).await;
    let mut model = Model::default();
    for round in 0..6 {
        let events = population(100 + round, 200);
        let mut submitters = JoinSet::new();
        for (n, relay) in relays.iter().enumerate() {
            model.add_all(&events, Some(*relay));
            let (node, relay) = (archive.node().await, *relay);
            let mut events = events.clone();
            let middle = n * events.len() / PROCESSES;
            events.rotate_left(middle);
            let batch = if n == 0 { 25 } else { events.len() };
            submitters.spawn(async move {
                let mut new = 0;
                for batch in events.chunks(batch) {
                    new += node.submit(batch.to_vec(), Some(relay)).await.unwrap().new;
                }
                assert_eq!(node.metric("bigbrotr_ingest_retries_total"), 0, "deadlocks");
                new
            });
        }
        let new: u64 = submitters.join_all().await.into_iter().sum();
        assert_eq!(new, events.len() as u64);
    }
    model.check(&archive.store, &archive.pool).await;
}
