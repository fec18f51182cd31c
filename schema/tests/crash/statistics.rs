//! The statistics after any history: equal to counting again, in SQL and without.

use std::collections::HashSet;
use std::time::Duration;

use bigbrotr_core::clock::Clock;
use bigbrotr_core::event::Event;
use bigbrotr_schema::store::RelayId;
use bigbrotr_testkit::population::{EventMaker, author_keys};
use bigbrotr_testkit::proxy::TcpProxy;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::time::timeout;

use crate::harness::{Archive, Node, seed};
use crate::model::Model;
use crate::network::{accident, node, proxied};

const ROUNDS: usize = 40;

/// Lengths of the windows, and shorter stretches around their edges.
const SPANS: [i64; 9] = [
    0, 1, 60, 3_600, 7_200, 86_400, 604_800, 2_592_000, 5_000_000,
];

/// Kinds on both sides of every border between the classes.
const KINDS: [u16; 16] = [
    0, 1, 2, 3, 4, 7, 9_999, 10_000, 19_999, 20_000, 29_999, 30_000, 39_999, 40_000, 65_534, 65_535,
];

/// Makes events at and around the edges of all windows, as the clock shows and will show.
fn events(rng: &mut StdRng, now: i64, count: usize) -> Vec<Event> {
    (0..count)
        .map(|_| {
            let edge = now - SPANS.choose(rng).unwrap() + rng.random_range(-2..=2);
            let created_at = match rng.random_range(0..20) {
                0 => 0,
                1 => (1 << 53) - 1,
                2 => now + rng.random_range(1..10_000),
                3 => rng.random_range(0..=now),
                _ => edge,
            };
            EventMaker::new(created_at)
                .kind(*KINDS.choose(rng).unwrap())
                .content(rng.random::<u64>().to_string())
                .sign(&author_keys(7, rng.random_range(0..6)))
        })
        .collect()
}

/// Steps of the rollup, some of them given up in the middle or two at a time, through connections
/// that may break.
async fn roll(node: &Node, rng: &mut StdRng) {
    for _ in 0..rng.random_range(0..3) {
        let patience = Duration::from_micros(rng.random_range(100..20_000));
        match rng.random_range(0..3) {
            0 => {
                timeout(patience, node.store.rollup_step()).await.ok();
            }
            1 => {
                // One of them may have to give way.
                let steps = (node.store.rollup_step(), node.store.rollup_step());
                let (one, two) = tokio::join!(Box::pin(steps.0), Box::pin(steps.1));
                one.ok();
                two.ok();
            }
            _ => {
                node.store.rollup_step().await.ok();
            }
        }
    }
}

/// A process that dies with submissions under way, while its connections break: nobody knows what
/// became of them.
async fn crash(node: Node, proxy: &TcpProxy, batch: Vec<Event>, relay: RelayId, rng: &mut StdRng) {
    let patience = Duration::from_millis(rng.random_range(0..30));
    let fate = timeout(patience, node.submit(batch, Some(relay)));
    let (fate, ()) = tokio::join!(fate, accident(proxy, rng));
    fate.ok();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_equal_counting_again_after_any_history() {
    let (_, mut rng) = seed();
    let archive = Archive::new().await;
    let relays = archive.relays(4).await;
    let (proxy, url) = proxied(&archive).await;
    let mut process = node(&archive, &url).await;
    let mut model = Model::default();
    let mut all: Vec<Event> = Vec::new();
    for round in 0..ROUNDS {
        let now = archive.clock.now();
        let size = *[1, 5, 30, 50, 90].choose(&mut rng).unwrap();
        let mut batch = events(&mut rng, now, size);
        batch.extend(all.choose_multiple(&mut rng, size / 2).cloned());
        all.extend(batch.clone());
        let from: HashSet<_> = (0..rng.random_range(1..4))
            .map(|_| *relays.choose(&mut rng).unwrap())
            .collect();
        let mut senders: Vec<_> = from.into_iter().map(Some).collect();
        if rng.random_ratio(1, 6) {
            senders.push(None);
        }
        if rng.random_ratio(1, 4) {
            // What the dead process was given is given again to the next.
            let relay = *relays.choose(&mut rng).unwrap();
            crash(process, &proxy, batch.clone(), relay, &mut rng).await;
            process = node(&archive, &url).await;
            senders.push(Some(relay));
        }
        for sender in senders {
            let (submitted, ()) = tokio::join!(process.submit(batch.clone(), sender), async {
                roll(&process, &mut rng).await;
                if rng.random_ratio(1, 8) {
                    accident(&proxy, &mut rng).await;
                }
            });
            submitted.unwrap();
            model.add_all(&batch, sender);
        }
        // Time passes, or is corrected.
        match rng.random_range(0..10) {
            0 => archive.clock.set(now - rng.random_range(1..5_000)),
            1..4 => {}
            _ => {
                let span = SPANS.choose(&mut rng).unwrap() + rng.random_range(0..3);
                archive.clock.advance(Duration::from_secs(span as u64));
            }
        }
        roll(&process, &mut rng).await;
        if round % 5 == 0 || round + 1 == ROUNDS {
            model.check(&archive.store, &archive.pool).await;
        }
    }
}
