//! The simulated relays: honest ones that get new events all the time, hostile ones, and some that
//! come and go.

mod mix;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_core::event::EventId;
use bigbrotr_testkit::bench::option;
use bigbrotr_testkit::population::{Corpus, EventMaker, Generator, author_keys};
use bigbrotr_testkit::relay::TestAuthority;
use bigbrotr_testkit::relay::TlsConfig;
use bigbrotr_testkit::relay::faults::ConnectionFault;
use bigbrotr_testkit::{BlackHole, PopulationConfig, SimEvent, SimRelay};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::mix::Role;

/// Seed of everything.
const SEED: u64 = 8;

/// Relays that events mention and that do not exist: nothing listens on port 9.
const INVENTED: usize = 200;

/// Events that each hostile relay begins with.
const HOSTILE_EVENTS: usize = 300;

/// How often new events are made.
const TICK: Duration = Duration::from_millis(50);

/// One event in so many is large.
const LARGE_EVERY: u64 = 3_000;

/// One large event in so many is larger than events may be.
const TOO_LARGE_EVERY: u64 = 10;

/// How long relays that come and go stay as they are.
const COMING_AND_GOING: Duration = Duration::from_secs(40);

/// A relay and what it is there for.
struct Member {
    role: Role,
    about: &'static str,
    relay: Arc<SimRelay>,
}

pub(crate) struct Farm {
    members: Vec<Member>,
    /// Addresses that answer nothing.
    holes: Vec<BlackHole>,
    count: usize,
    config: PopulationConfig,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Farm {
    /// Starts the relays; they have `events` events in all.
    pub(crate) async fn start(events: usize) -> Self {
        let authority = TestAuthority::generate().expect("an authority");
        let mut members = Vec::new();
        for character in mix::characters() {
            for n in 0..character.count {
                let mut config = (character.config)(n);
                config.ip = address(members.len());
                config.seed = members.len() as u64;
                config.tls = character
                    .tls
                    .map(|kind| TlsConfig::new(&authority, kind).for_host(config.ip.to_string()));
                members.push(Member {
                    role: character.role,
                    about: character.about,
                    relay: Arc::new(SimRelay::start(config).await.expect("a relay")),
                });
            }
        }
        let mut holes = Vec::new();
        for n in 0..4 {
            let place = SocketAddr::from((Ipv4Addr::new(127, 40, 0, 1 + n), 0));
            holes.push(BlackHole::open(place).await.expect("a black hole"));
        }
        let mut config = Corpus::config(SEED, events, SystemClock.now() - 60);
        config.relay_urls = members.iter().map(|member| member.relay.url()).collect();
        config.relay_urls.extend((0..INVENTED).map(|n| {
            let address = Ipv4Addr::new(127, 41, (n / 250) as u8, 1 + (n % 250) as u8);
            format!("ws://{address}:9")
        }));
        let farm = Self {
            count: members.len() + holes.len(),
            members,
            holes,
            config: config.clone(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let relays = farm.loadable();
        let filling = tokio::task::spawn_blocking(move || fill(&relays, config));
        filling.await.expect("events");
        farm
    }

    /// Who gets which events to begin with.
    fn loadable(&self) -> Vec<(Role, Arc<SimRelay>)> {
        let members = self.members.iter();
        members
            .map(|member| (member.role, member.relay.clone()))
            .collect()
    }

    /// The relays as a list for the node.
    pub(crate) fn list(&self) -> String {
        let mut list = String::new();
        for member in &self.members {
            writeln!(list, "{}  # {}", member.relay.url(), member.about).expect("text");
        }
        for hole in &self.holes {
            writeln!(list, "ws://{}  # answers nothing", hole.address()).expect("text");
        }
        list
    }

    /// The list for the priority synchronizer: some of each role.
    pub(crate) fn priorities(&self) -> String {
        let mut list = String::new();
        for member in self.members.iter().step_by(25) {
            writeln!(list, "{}", member.relay.url()).expect("text");
        }
        list
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Relays of a role, at most so many.
    pub(crate) fn of(&self, role: Role, most: usize) -> Vec<Arc<SimRelay>> {
        let members = self.members.iter().filter(|member| member.role == role);
        members
            .take(most)
            .map(|member| member.relay.clone())
            .collect()
    }

    /// Makes so many new events a second, and lets relays come and go.
    pub(crate) fn live(&self, rate: u64) {
        let honest = self.of(Role::Honest, usize::MAX);
        let others: Vec<Arc<SimRelay>> = [Role::Hostile, Role::ComesAndGoes]
            .iter()
            .flat_map(|role| self.of(*role, usize::MAX))
            .collect();
        let (config, stop) = (self.config.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            // Not the events that the relays began with once more.
            let config = PopulationConfig {
                seed: SEED + 1,
                authors: 2_000,
                ..config
            };
            let mut generator = Generator::new(&config);
            let (mut ticks, mut made, mut due) = (interval(TICK), 0_u64, 0.0);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                due += rate as f64 * TICK.as_secs_f64();
                while due >= 1.0 {
                    due -= 1.0;
                    let event = new_event(&mut generator, made);
                    let home = made as usize % honest.len();
                    honest[home].add(&event);
                    honest[(home * 7 + 3) % honest.len()].add(&event);
                    if made.is_multiple_of(5) {
                        others[made as usize / 5 % others.len()].add(&event);
                    }
                    made += 1;
                }
            }
        });
        let (moving, stop) = (self.of(Role::ComesAndGoes, usize::MAX), self.stop.clone());
        self.tasks.spawn(async move {
            let (mut ticks, mut turn) = (interval(COMING_AND_GOING), 0);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                turn += 1;
                for (n, relay) in moving.iter().enumerate() {
                    if (n + turn).is_multiple_of(2) {
                        relay.set_faults([ConnectionFault::Refuse]);
                        relay.disconnect_all();
                    } else {
                        relay.clear_faults();
                    }
                }
            }
        });
    }

    /// Makes no more events; relays stay as they are.
    pub(crate) async fn rest(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Events that the node has to archive: what honest relays hold and what is not too large.
    pub(crate) fn honest_events(&self) -> Vec<EventId> {
        let mut ids = HashSet::new();
        for relay in self.of(Role::Honest, usize::MAX) {
            let events = relay.events();
            let events = events.iter().filter(|event| event.json().len() < 2 << 20);
            ids.extend(events.map(SimEvent::id));
        }
        ids.into_iter().collect()
    }

    /// Ends all relays.
    pub(crate) async fn stop(&mut self) {
        self.rest().await;
        self.holes.clear();
        for member in self.members.drain(..) {
            if let Some(relay) = Arc::into_inner(member.relay) {
                relay.stop().await;
            }
        }
    }
}

/// Address of relay number `n`: each has its own.
fn address(n: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 30, (n / 250) as u8, 1 + (n % 250) as u8)
}

fn new_event(generator: &mut Generator, number: u64) -> SimEvent {
    let now = SystemClock.now();
    if !(number + 1).is_multiple_of(LARGE_EVERY) {
        return SimEvent::from(generator.next_at(now));
    }
    let is_too_large = (number / LARGE_EVERY + 1).is_multiple_of(TOO_LARGE_EVERY);
    let bytes = if is_too_large { 3 << 20 } else { 400_000 };
    let maker = EventMaker::new(now).content("x".repeat(bytes));
    SimEvent::from(maker.sign(&author_keys(SEED, number)))
}

/// Gives each event to two honest relays, and some to every other relay.
fn fill(relays: &[(Role, Arc<SimRelay>)], config: PopulationConfig) {
    let honest: Vec<&Arc<SimRelay>> = relays
        .iter()
        .filter(|(role, _)| *role == Role::Honest)
        .map(|(_, relay)| relay)
        .collect();
    let mut corpus = Corpus::new(config);
    let mut is_first = true;
    loop {
        let chunk = corpus.next_chunk();
        if chunk.is_empty() {
            return;
        }
        let mut held = vec![Vec::new(); honest.len()];
        for (n, event) in chunk.iter().enumerate() {
            // Neighbours in time have different homes.
            held[n % honest.len()].push(event.clone());
            held[(n * 7 + 3) % honest.len()].push(event.clone());
        }
        for (relay, events) in honest.iter().zip(held) {
            relay.load(events);
        }
        if std::mem::take(&mut is_first) {
            let others = relays.iter().filter(|(role, _)| *role != Role::Honest);
            for (n, (_, relay)) in others.enumerate() {
                relay.load(chunk.iter().cycle().skip(n * 50).take(HOSTILE_EVENTS));
            }
        }
    }
}

/// How many events the relays begin with.
pub(crate) fn events(minutes: u64) -> usize {
    option("events", minutes as usize * 5_000)
}
