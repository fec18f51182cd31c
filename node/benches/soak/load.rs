//! Load on the node's faces: what clients do, and what they should not.
//!
//! | file | who |
//! |---|---|
//! | `client` | a WebSocket from an address of its own |
//! | `subscribers` | who reads from the relay, slowly or never too |
//! | `rubbish` | who sends the relay what is none of its business |
//! | `jobs` | customers of the data vending machine |
//! | `rest` | clients of the REST mirror |
//!
//! Each client is at an address of its own on loopback, because the faces count by address.

mod client;
mod jobs;
mod rest;
mod rubbish;
mod subscribers;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bigbrotr_testkit::SimRelay;
use nostr::PublicKey;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::node::Node;
use crate::verdict::Verdict;

/// Clients of each sort.
const SUBSCRIBERS: usize = 20;
const RUBBISH: usize = 5;
const CUSTOMERS: usize = 10;
const READERS: usize = 8;

/// The pause of a client between two deeds, at most, so that none spins where it is refused.
const PAUSE_MS: u64 = 2_000;

/// What clients did and got.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) connections: Count,
    pub(crate) events_read: Count,
    pub(crate) rubbish_sent: Count,
    pub(crate) jobs_sent: Count,
    pub(crate) jobs_answered: Count,
    pub(crate) jobs_refused: Count,
    pub(crate) jobs_without_answer: Count,
    pub(crate) requests_answered: Count,
    pub(crate) requests_refused: Count,
    pub(crate) requests_without_answer: Count,
}

impl Tally {
    /// Says whether every sort of load had an answer.
    pub(crate) fn verdict(&self) -> Verdict {
        let counts = [
            &self.connections,
            &self.events_read,
            &self.rubbish_sent,
            &self.jobs_answered,
            &self.jobs_refused,
            &self.requests_answered,
            &self.requests_refused,
        ];
        let is_good = counts.iter().all(|count| count.get() > 0);
        Verdict::new("every face was used and answered", is_good, "see above")
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "clients: {} connections, {} events read, {} times rubbish\n\
             jobs: {} sent, {} answered, {} refused, {} without an answer\n\
             HTTP: {} answered, {} refused, {} without an answer",
            self.connections.get(),
            self.events_read.get(),
            self.rubbish_sent.get(),
            self.jobs_sent.get(),
            self.jobs_answered.get(),
            self.jobs_refused.get(),
            self.jobs_without_answer.get(),
            self.requests_answered.get(),
            self.requests_refused.get(),
            self.requests_without_answer.get(),
        )
    }
}

/// A number that many count.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What clients know.
#[derive(Clone)]
struct World {
    relay: SocketAddr,
    api: SocketAddr,
    provider: PublicKey,
    tally: Arc<Tally>,
    /// Another relay on which the node listens for jobs.
    abroad: Arc<SimRelay>,
    /// Relays that jobs may name for their answers: good ones and others.
    elsewhere: Arc<Vec<String>>,
}

/// The clients at work.
pub(crate) struct Load {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Load {
    /// Starts all clients.
    pub(crate) fn start(
        node: &Node,
        tally: Arc<Tally>,
        abroad: Arc<SimRelay>,
        elsewhere: Vec<String>,
    ) -> Self {
        let load = Self {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let world = World {
            relay: node.relay,
            api: node.api,
            provider: node.key,
            tally,
            abroad,
            elsewhere: Arc::new(elsewhere),
        };
        load.spawn(SUBSCRIBERS, 1, &world, subscribers::act);
        load.spawn(RUBBISH, 2, &world, rubbish::act);
        load.spawn(CUSTOMERS, 3, &world, jobs::act);
        load.spawn(READERS, 4, &world, rest::act);
        load
    }

    /// Starts clients that do one thing after the other until the load stops.
    fn spawn<F, A>(&self, count: usize, sort: u8, world: &World, act: F)
    where
        F: Fn(World, Ipv4Addr) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        for n in 0..count {
            let (world, stop) = (world.clone(), self.stop.clone());
            self.tasks.spawn(async move {
                let mut turn = 0_usize;
                let acting = async {
                    loop {
                        // Some come from a few addresses only, and meet the limits for each.
                        let host = if n.is_multiple_of(4) {
                            1
                        } else {
                            turn % 250 + 1
                        };
                        let from = Ipv4Addr::new(127, 50 + sort, n as u8, host as u8);
                        Box::pin(act(world.clone(), from)).await;
                        turn += 1;
                        let pause = rand::random_range(1..=PAUSE_MS);
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                    }
                };
                stop.run_until_cancelled(acting).await;
            });
        }
    }

    /// Ends all clients, wherever they are.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
