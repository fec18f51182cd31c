//! What can go wrong, and who it goes wrong for.

use std::time::Duration;

use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use bigbrotr_testkit::population::Generator;
use bigbrotr_testkit::relay::AuthPolicy;
use bigbrotr_testkit::relay::faults::{ConnectionFault, Fault, Order, ReadFault, ReconcileFault};
use bigbrotr_testkit::{Population, PopulationConfig, SimRelay, SimRelayConfig, TcpProxy};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::common::{Node, signal, sync};

/// Impatient: everything that is waited for happens within a second or two.
const SETTINGS: [(&str, &str); 8] = [
    ("BIGBROTR__SYNCHRONIZER__LEASE", "2s"),
    ("BIGBROTR__SYNCHRONIZER__INTERVAL", "1s"),
    ("BIGBROTR__SYNCHRONIZER__REQUEST_TIMEOUT", "700ms"),
    ("BIGBROTR__SYNCHRONIZER__PAGE_LIMIT", "50"),
    ("BIGBROTR__SYNCHRONIZER__RETRY__BASE", "200ms"),
    ("BIGBROTR__SYNCHRONIZER__RETRY__MAX", "500ms"),
    ("BIGBROTR__DATABASE__ACQUIRE_TIMEOUT", "2s"),
    ("BIGBROTR__DATABASE__MAX_CONNECTIONS", "8"),
];

/// Relays that become known in each round, so that there is always work to disturb.
const NEW_RELAYS: usize = 3;

/// Over how many relays the population is spread.
const SPREAD: usize = 6;

const NODES: usize = 2;

/// Things that happen in a round.
const STEPS: usize = 10;

pub(crate) struct World {
    pub(crate) relays: Vec<SimRelay>,
    pub(crate) folder: tempfile::TempDir,
    rng: StdRng,
    population: Population,
    source: Generator,
    server: EmbeddedPostgres,
    proxy: TcpProxy,
    nodes: Vec<Option<Node>>,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig::new(folder.path().join("postgres"));
        let server = EmbeddedPostgres::start(config).await.unwrap();
        let address = ([127, 0, 0, 1], server.port()).into();
        let proxy = TcpProxy::start(address).await.unwrap();
        let config = PopulationConfig::new(seed, 1_800, SystemClock.now() - 60);
        let population = Population::generate(&config);
        let mut nodes = Vec::new();
        nodes.resize_with(NODES, || None);
        Self {
            relays: Vec::new(),
            folder,
            rng: StdRng::seed_from_u64(seed),
            population,
            // Other events than the population's.
            source: Generator::new(&PopulationConfig::new(seed ^ 1, 1, SystemClock.now())),
            server,
            proxy,
            nodes,
        }
    }

    /// More relays are there, and on the list that nodes read when they start.
    pub(crate) async fn grow(&mut self) {
        for n in self.relays.len()..self.relays.len() + NEW_RELAYS {
            let mut config = SimRelayConfig {
                faults: habits(n),
                ..SimRelayConfig::default()
            };
            match n % SPREAD {
                0 => config.auth = AuthPolicy::Reads,
                1 | 2 => config.negentropy = None,
                _ => {}
            }
            let events = self.population.subset(n % SPREAD, SPREAD, 0.4);
            self.relays.push(sync::relay(n, events, config).await);
        }
        let list: String = self.relays.iter().map(|r| r.url() + "\n").collect();
        std::fs::write(self.folder.path().join("relays.txt"), list).unwrap();
    }

    /// The database as the test sees it, not through the proxy.
    pub(crate) fn direct_url(&self) -> String {
        self.server.connection_url()
    }

    /// Starts the nodes that do not run.
    pub(crate) fn start_nodes(&mut self) {
        let port = self.proxy.address().port();
        let url = self.direct_url();
        let url = url.replace(&format!(":{}/", self.server.port()), &format!(":{port}/"));
        let folder = self.folder.path();
        for (n, node) in self.nodes.iter_mut().enumerate() {
            let data = folder.join(format!("data-{n}"));
            // The first node makes the database and reads the list.
            let services = "initializer,rollup,synchronizer";
            node.get_or_insert_with(|| sync::node(&data, &url, services, &SETTINGS));
        }
    }

    /// One thing after the other goes wrong; at the end at least one node is killed, and the
    /// database is there.
    pub(crate) async fn trouble(&mut self, round: u64) {
        for n in 0..self.relays.len() {
            self.spoil(n);
        }
        for _ in 0..STEPS {
            let pause = self.rng.random_range(20..400);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let relay = self.rng.random_range(0..self.relays.len());
            match self.rng.random_range(0..13) {
                0..5 => self.publish(relay),
                5..7 => self.spoil(relay),
                7 => self.relays[relay].disconnect_all(),
                8..11 => self.cut_database().await,
                11 => self.kill_postgres().await,
                _ => self.kill_node(),
            }
        }
        // From the second round on no kill is left to chance.
        if round % 2 == 1 {
            self.kill_postgres().await;
        }
        self.kill_node();
    }

    /// Everything is well from now on.
    pub(crate) async fn heal(&mut self) {
        for (n, relay) in self.relays.iter().enumerate() {
            relay.set_faults(habits(n));
        }
        self.proxy.restore();
        self.server.ensure_running().await.unwrap();
    }

    /// New events, made just now.
    fn publish(&mut self, relay: usize) {
        let now = SystemClock.now();
        for _ in 0..self.rng.random_range(1..6) {
            let event = self.source.next_at(now - self.rng.random_range(0..60));
            self.relays[relay].add(event);
        }
    }

    /// Gives a relay up to two faults, or none.
    fn spoil(&mut self, relay: usize) {
        let mut faults = habits(relay);
        for _ in 0..self.rng.random_range(0..3) {
            faults.push(fault(&mut self.rng));
        }
        self.relays[relay].set_faults(faults);
    }

    /// The way to the database breaks: at once, after silence, or after answers were lost.
    async fn cut_database(&mut self) {
        let pause = Duration::from_millis(self.rng.random_range(20..500));
        match self.rng.random_range(0..4) {
            0 => {
                self.proxy.stall();
                tokio::time::sleep(pause).await;
                if self.rng.random_bool(0.5) {
                    self.proxy.cut();
                }
            }
            1 | 2 => {
                self.proxy.mute();
                tokio::time::sleep(pause).await;
                self.proxy.cut();
            }
            _ => {
                self.proxy.cut();
                tokio::time::sleep(pause).await;
            }
        }
        self.proxy.restore();
    }

    /// Postgres is killed, as when memory runs out, and somebody starts it again.
    async fn kill_postgres(&mut self) {
        let file = self.server.cluster().join("postmaster.pid");
        let pid = std::fs::read_to_string(file).unwrap();
        signal("KILL", pid.lines().next().unwrap().parse().unwrap());
        let port = self.server.port();
        self.server.ensure_running().await.unwrap();
        assert_eq!(
            self.server.port(),
            port,
            "somebody took the port of the database"
        );
    }

    fn kill_node(&mut self) {
        let running: Vec<usize> = (0..NODES).filter(|n| self.nodes[*n].is_some()).collect();
        if let Some(n) = running.choose(&mut self.rng) {
            self.nodes[*n].take().unwrap().kill();
        }
    }

    pub(crate) async fn stop(self) {
        for node in self.nodes.into_iter().flatten() {
            assert_eq!(node.terminate(), Some(0));
        }
        self.server.stop().await.unwrap();
    }
}

/// What a relay is always like.
fn habits(n: usize) -> Vec<Fault> {
    let cap = |order| vec![Fault::from(ReadFault::Cap { events: 40, order })];
    match n % SPREAD {
        2 => cap(Order::NewestFirst),
        3 => cap(Order::OldestFirst),
        4 => vec![ReadFault::Latency(Duration::from_millis(60)).into()],
        _ => Vec::new(),
    }
}

/// Draws something that a relay may do to us.
fn fault(rng: &mut StdRng) -> Fault {
    let after = rng.random_range(0..40);
    let short = Duration::from_millis(rng.random_range(20..300));
    let long = Duration::from_millis(rng.random_range(100..900));
    let text = "error: out of order".to_owned();
    match rng.random_range(0..19) {
        0 | 1 => ReadFault::CutMidMessage { after }.into(),
        2 => ReadFault::StallAfter(after).into(),
        3 => ReadFault::Closed(text).into(),
        4 => ReadFault::PartialThenClosed {
            events: after,
            message: text,
        }
        .into(),
        5 => ReadFault::Cap {
            events: 25 + after,
            order: Order::NewestFirst,
        }
        .into(),
        6 | 7 => ReadFault::Latency(short).into(),
        8 => ReadFault::NoEose.into(),
        9 => ReadFault::CloseFrame { after, code: 1011 }.into(),
        10 => ReadFault::Silence.into(),
        11 => ReadFault::Duplicates.into(),
        12 => ReadFault::rubbish().into(),
        13 => ConnectionFault::CutAfter(long).into(),
        14 => ConnectionFault::Status(503).into(),
        15 => ConnectionFault::HandshakeDelay(short).into(),
        16 => ReconcileFault::CloseMidway.into(),
        17 => ReconcileFault::Silence.into(),
        _ => ReconcileFault::Refuse("blocked: too much".to_owned()).into(),
    }
}
