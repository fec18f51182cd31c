//! What monitoring many relays costs: checks, connections and traffic, in virtual time.
//!
//! `cargo run -p bigbrotr-crawler --example scale -- [relays] [share that is dead]`
//!
//! The bytes of a check are measured first, at a simulated relay with TLS; then days of schedules
//! are run through the monitor's own `next_check`, with a seeded random number generator and no
//! clock. `docs/scale.md` has the result and what is assumed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for whoever plans a node"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::time::Duration;

use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_crawler::dial::{Dialer, NetworkConfig, NetworksConfig};
use bigbrotr_crawler::monitor::{Checked, MonitorConfig, check_relay, next_check};
use bigbrotr_schema::store::RelayId;
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::{Information, SimRelayConfig, TestAuthority, TlsConfig, TlsKind};
use nostr::Keys;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// Days of each scenario.
const DAYS: i64 = 3;
/// Checks that are under way at once at most: the default of `monitor.concurrency`.
const CONCURRENCY: usize = 200;
/// Relays on the priority list.
const PRIORITIES: usize = 50;
/// What an attempt at a dead relay sends: a few SYN packets, or half a handshake.
const DEAD_BYTES: f64 = 300.0;

/// When relays are due again.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// What the monitor does.
    Phases,
    /// An interval less a tenth, by chance: what it would do without phases.
    JitterOnly,
}

struct Relay {
    dead: bool,
    /// Seconds at which it goes down for some hours, if it does.
    down_from: i64,
    down_until: i64,
    failures: u32,
}

/// What happened in one second.
#[derive(Clone, Copy, Default)]
struct Second {
    begun: u32,
    dead: u32,
    in_flight: u32,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let relays: usize = arguments
        .next()
        .map_or(20_000, |text| text.parse().unwrap());
    let dead: f64 = arguments.next().map_or(0.4, |text| text.parse().unwrap());
    let (up, down) = bytes_of_a_check().await;
    println!("a check of a living relay: {up:.0} bytes up, {down:.0} bytes down");
    println!(
        "{relays} relays, {:.0} % of them dead, {PRIORITIES} priorities\n",
        dead * 100.0
    );
    println!(
        "| scenario | when | checks/s mean | most in 1 s | most in 1 min, per s | of dead relays | in flight mean | most | MB up | MB down |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, rule, begin) in [
        ("all seeded at once", Rule::Phases, 0),
        ("down for a day", Rule::Phases, 2 * DAY),
        ("all seeded at once, without phases", Rule::JitterOnly, 0),
    ] {
        let seconds = simulate(relays, dead, rule, begin);
        for (when, from, to) in [
            ("first hour", 0, HOUR),
            ("second hour", HOUR, 2 * HOUR),
            ("first day", 0, DAY),
            ("third day", 2 * DAY, 3 * DAY),
        ] {
            let from = begin + from;
            let part = &seconds[from as usize..(begin + to) as usize];
            row(name, when, part, up, down);
        }
    }
}

fn row(name: &str, when: &str, part: &[Second], up: f64, down: f64) {
    let length = part.len() as f64;
    let begun: f64 = part.iter().map(|second| f64::from(second.begun)).sum();
    let dead: f64 = part.iter().map(|second| f64::from(second.dead)).sum();
    let in_flight: f64 = part.iter().map(|second| f64::from(second.in_flight)).sum();
    let minute = part
        .chunks(60)
        .map(|minute| minute.iter().map(|second| second.begun).sum::<u32>())
        .max();
    println!(
        "| {name} | {when} | {:.1} | {} | {:.1} | {:.1} | {:.0} | {} | {:.0} | {:.0} |",
        begun / length,
        part.iter().map(|second| second.begun).max().unwrap(),
        f64::from(minute.unwrap()) / 60.0,
        dead / length,
        in_flight / length,
        part.iter().map(|second| second.in_flight).max().unwrap(),
        ((begun - dead) * up + dead * DEAD_BYTES) / 1e6,
        (begun - dead) * down / 1e6,
    );
}

/// Runs the schedules of a monitor. With `begin`, it is stopped for the day before that, after
/// which everything that was due meanwhile is due at once.
fn simulate(relays: usize, dead: f64, rule: Rule, begin: i64) -> Vec<Second> {
    let (config, mut rng) = (MonitorConfig::default(), StdRng::seed_from_u64(8));
    let end = begin + DAYS * DAY;
    let mut population: Vec<Relay> = (0..relays)
        .map(|_| {
            // One in twenty of the others is away for up to half a day.
            let down_from = if rng.random_bool(0.05) {
                rng.random_range(0..end)
            } else {
                end
            };
            Relay {
                dead: rng.random_bool(dead),
                down_from,
                down_until: down_from + rng.random_range(HOUR / 4..12 * HOUR),
                failures: 0,
            }
        })
        .collect();
    // Due at, and relay: all at once, as after a bulk of seeds.
    let mut due: BinaryHeap<Reverse<(i64, usize)>> = (0..relays).map(|n| Reverse((0, n))).collect();
    // Ends at (milliseconds), relay, and whether it was online.
    let mut under_way: BinaryHeap<Reverse<(i64, usize, bool)>> = BinaryHeap::new();
    let mut seconds = vec![Second::default(); end as usize];
    for now in 0..end {
        let second = &mut seconds[now as usize];
        while under_way
            .peek()
            .is_some_and(|Reverse((ends, ..))| *ends <= now * 1_000)
        {
            let Reverse((_, n, online)) = under_way.pop().unwrap();
            let relay = &mut population[n];
            let schedule = next_check(
                &config,
                now,
                Checked {
                    relay: RelayId(n as i32 + 1),
                    priority: n < PRIORITIES,
                    online,
                    failures: relay.failures,
                },
                &mut rng,
            );
            relay.failures = schedule.failures;
            let next_at = if online && rule == Rule::JitterOnly {
                now + HOUR - rng.random_range(0..HOUR / 10)
            } else {
                schedule.next_at
            };
            due.push(Reverse((next_at, n)));
        }
        let stopped = (begin - DAY..begin).contains(&now) && begin > 0;
        while !stopped
            && under_way.len() < CONCURRENCY
            && due.peek().is_some_and(|Reverse((at, _))| *at <= now)
        {
            let Reverse((_, n)) = due.pop().unwrap();
            let relay = &population[n];
            let online = !relay.dead && !(relay.down_from..relay.down_until).contains(&now);
            under_way.push(Reverse((
                now * 1_000 + duration_ms(online, &mut rng),
                n,
                online,
            )));
            second.begun += 1;
            second.dead += u32::from(!online);
        }
        second.in_flight = under_way.len() as u32;
    }
    seconds
}

/// How long a check takes: a living relay a second or two, a dead one nothing (no such name, or
/// refused) or the whole time-out.
fn duration_ms(online: bool, rng: &mut StdRng) -> i64 {
    if online {
        (400.0 - 1_200.0 * (1.0 - rng.random::<f64>()).ln()).min(20_000.0) as i64
    } else if rng.random_bool(0.5) {
        200
    } else {
        10_000
    }
}

/// Checks a simulated relay with TLS and a document of ordinary length, ten times.
async fn bytes_of_a_check() -> (f64, f64) {
    const CHECKS: u32 = 10;
    let authority = TestAuthority::generate().unwrap();
    let nips: Vec<u32> = (1..30).collect();
    let document = serde_json::json!({
        "name": "An ordinary relay", "description": "x".repeat(800), "supported_nips": nips,
        "software": "https://example.com/software", "version": "1.2.3",
        "limitation": {"max_message_length": 131_072, "auth_required": false},
    });
    let relay = SimRelay::start(SimRelayConfig {
        information: Information::Raw(document.to_string()),
        tls: Some(TlsConfig::new(&authority, TlsKind::SelfSigned)),
        ..SimRelayConfig::default()
    });
    let relay = relay.await.unwrap();
    let networks = NetworksConfig {
        allow_private: true,
        clearnet: NetworkConfig {
            accept_invalid_certs: true,
            max_connections_per_ip: NonZeroU32::new(100).unwrap(),
            connect_timeout: Duration::from_secs(5),
            ..NetworkConfig::default_of(Network::Clearnet)
        },
        ..NetworksConfig::default()
    };
    let dialer = Dialer::new(networks).unwrap();
    let policy = UrlPolicy {
        allow_private: true,
        ..UrlPolicy::default()
    };
    let url = RelayUrl::parse(&relay.url(), &policy).unwrap();
    let (config, keys) = (MonitorConfig::default(), Keys::generate());
    for _ in 0..CHECKS {
        let result = check_relay(&dialer, &url, &config, &keys, 0).await;
        assert!(result.is_online() && result.information().is_some());
    }
    let stats = relay.stats();
    let a_check = |bytes: u64| bytes as f64 / f64::from(CHECKS);
    (a_check(stats.bytes_in), a_check(stats.bytes_out))
}
