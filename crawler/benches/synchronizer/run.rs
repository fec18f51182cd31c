//! One run: a node on an empty database, until everything is archived and counted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::database::{Database, Server};
use crate::farm::{Farm, Listed, Traffic};
use crate::node::Node;

/// The longest wait for a run.
const PATIENCE: Duration = Duration::from_hours(2);

/// How often the benchmark looks how far the node is.
const LOOK: Duration = Duration::from_millis(100);

/// How often it says so.
const TELL: Duration = Duration::from_secs(5);

/// How things stood when a run, or a part of it, began.
struct Begin {
    at: Instant,
    before: Traffic,
}

impl Begin {
    fn now(farm: &mut Farm, relays: &[usize]) -> Self {
        Self {
            before: total(&farm.traffic(), relays),
            at: Instant::now(),
        }
    }
}

/// What a run, or a part of it, took: from the start of the node's process, or from when the
/// relays became known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) traffic: Traffic,
}

pub(crate) struct Run {
    pub(crate) database: Database,
    pub(crate) node: Node,
    counted: u64,
}

impl Run {
    /// Starts a node for these relays, and waits until their events are archived and counted.
    pub(crate) async fn download(
        server: &mut Server,
        farm: &mut Farm,
        relays: &[usize],
    ) -> (Self, Cost) {
        let urls: Vec<_> = relays.iter().map(|n| farm.relays[*n].url.clone()).collect();
        let database = server.database().await;
        let begin = Begin::now(farm, relays);
        let node = Node::start(&database.folder, &database.url, &urls);
        let mut run = Self {
            database,
            node,
            counted: 0,
        };
        let cost = run.wait(farm, relays, begin).await;
        (run, cost)
    }

    /// Makes more relays known, and waits until their events are archived and counted too.
    pub(crate) async fn add(&mut self, farm: &mut Farm, relays: &[usize]) -> Cost {
        let urls: Vec<_> = relays.iter().map(|n| farm.relays[*n].url.clone()).collect();
        let begin = Begin::now(farm, relays);
        self.database.insert(&urls).await;
        self.wait(farm, relays, begin).await
    }

    async fn wait(&mut self, farm: &mut Farm, relays: &[usize], begin: Begin) -> Cost {
        let Begin { at: begun, before } = begin;
        let goal = self.counted + relays.iter().map(|n| farm.relays[*n].events).sum::<u64>();
        let mut told = Instant::now();
        loop {
            let counted = self.database.counted().await;
            if counted >= goal {
                self.counted = counted;
                break;
            }
            self.node.check();
            assert!(begun.elapsed() < PATIENCE, "only {counted} of {goal}");
            if told.elapsed() >= TELL {
                told = Instant::now();
                let (peak, resident) = self.node.memory();
                eprintln!(
                    "  {:>4.0} s: {counted} of {goal}, {resident:.0} MB, at most {peak:.0} MB",
                    begun.elapsed().as_secs_f64()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        // What is still under way belongs to it.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = total(&farm.traffic(), relays);
        Cost {
            seconds,
            traffic: Traffic {
                bytes: after.bytes - before.bytes,
                events: after.events - before.events,
                requests: after.requests - before.requests,
                reconciliations: after.reconciliations - before.reconciliations,
                open_sessions: after.open_sessions,
            },
        }
    }

    /// Compares the archive with what these relays hold.
    pub(crate) async fn assert_complete(&mut self, relays: &[Listed]) {
        let (_, archived) = self.database.archived().await;
        let archived: HashMap<String, u64> = archived.into_iter().collect();
        for relay in relays {
            let found = archived.get(relay.url.as_str()).copied();
            assert_eq!(found, Some(relay.events), "events of {}", relay.url);
        }
    }
}

fn total(traffic: &[Traffic], relays: &[usize]) -> Traffic {
    relays
        .iter()
        .map(|n| traffic[*n])
        .fold(Traffic::default(), |sum, relay| Traffic {
            bytes: sum.bytes + relay.bytes,
            events: sum.events + relay.events,
            requests: sum.requests + relay.requests,
            reconciliations: sum.reconciliations + relay.reconciliations,
            open_sessions: sum.open_sessions + relay.open_sessions,
        })
}
