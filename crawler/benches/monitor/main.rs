//! What it costs to check thousands of relays: time, CPU, memory and bytes.
//!
//! `cargo bench -p bigbrotr-crawler --bench monitor -- [--relays N] [--concurrency N]
//! [--connections N] [--dials-per-second N]`
//!
//! `cargo bench -p bigbrotr-crawler --bench monitor -- --soak MINUTES [--relays N]
//! [--interval SECONDS]`
//!
//! The relays are simulated, on real sockets on loopback, in a process of their own; the node
//! under measure is the monitor with the node's own Postgres, its default configuration but for
//! loopback being allowed, and reports being published. All relays are due at once, and each is
//! asked everything: WebSocket, REQ, EVENT, NIP-11. Of a thousand relays, 500 are healthy (100 of
//! them 50 to an address, 50 without TLS), 150 slow (50 to 500 ms for each answer), 250 dead (80
//! names that do not exist, 70 addresses that refuse, 100 that never answer) and 100 hostile, in
//! 25 ways: see `mix`. Name servers are simulated, with 20 ms for each answer.
//!
//! At the end every finding is compared with what the relay is. `--soak` checks the relays again
//! and again for so long, and shows whether memory stays flat.

mod farm;
mod machine;
mod mix;
mod node;
mod soak;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bigbrotr_crawler::monitor::MonitorProgress;
use bigbrotr_testkit::bench::{option, raise_open_files};
use prometheus::Registry;

use self::farm::Farm;
use self::machine::{Cpu, Memory};
use self::node::{Database, Node};

/// The longest wait for the whole run.
const PATIENCE: Duration = Duration::from_mins(15);

#[tokio::main]
async fn main() {
    let open_files = raise_open_files();
    let soak: u64 = option("soak", 0);
    let relays: usize = option("relays", if soak > 0 { 500 } else { 5_000 });
    if std::env::args().any(|argument| argument == "--farm") {
        return farm::serve(relays).await;
    }
    assert!(
        open_files > relays as u64 * 2 + 2_000,
        "{open_files} open files are too few for {relays} relays: see `ulimit -Hn`"
    );
    let farm = Farm::start(relays);
    let database = Database::start().await;
    database.seed(&farm.relays).await;
    if soak > 0 {
        soak::run(&database, &farm, Duration::from_secs(soak * 60)).await;
    } else {
        measure(&database, &farm).await;
        compare(&database, &farm).await;
    }
    database.stop().await;
}

async fn measure(database: &Database, farm: &Farm) {
    let bytes_before = size(database).await;
    let memory_before = Memory::now();
    let cpu_before = Cpu::now(farm.pid());
    let node = Node::start(database, &farm.relays, farm.root.clone(), node::config());
    let begun = Instant::now();
    let (progress, marks) = watch(&node, farm.relays.len() as u64, begun).await;
    let took = begun.elapsed();
    let cpu = Cpu::now(farm.pid()).since(cpu_before);
    let memory = Memory::now();
    let seconds = took.as_secs_f64();
    println!(
        "{} relays checked and stored in {seconds:.1} s: {:.0}/s",
        farm.relays.len(),
        farm.relays.len() as f64 / seconds
    );
    for (share, at) in marks {
        println!("  {share:>3} %  after {:>5.1} s", at.as_secs_f64());
    }
    println!(
        "online {}, offline {}, reports {}",
        progress.online,
        progress.checked - progress.online,
        progress.reports
    );
    println!(
        "time of one check, from the histogram: p50 {:.2} s, p95 {:.2} s",
        quantile(&node.registry, 0.5),
        quantile(&node.registry, 0.95)
    );
    println!(
        "memory of the node: {:.0} MB at most (VmHWM), {:.0} MB at the end (VmRSS), {:.0} MB \
         before the first check",
        memory.peak, memory.resident, memory_before.resident
    );
    println!(
        "cpu: node {:.1} s, its Postgres {:.1} s, simulated relays {:.1} s, others {:.1} s",
        cpu.node.as_secs_f64(),
        cpu.postgres.as_secs_f64(),
        cpu.relays.as_secs_f64(),
        cpu.others().as_secs_f64()
    );
    println!(
        "database: {:.1} MB more",
        (size(database).await - bytes_before) as f64 / 1e6
    );
    node.stop().await;
}

/// Waits until every relay is checked, and notes when parts of them were.
async fn watch(
    node: &Node,
    relays: u64,
    begun: Instant,
) -> (MonitorProgress, Vec<(u64, Duration)>) {
    let mut progress = node.monitor.progress();
    let mut marks = Vec::new();
    let mut shares = [25, 50, 75, 90, 95, 99].into_iter().peekable();
    let watched = async {
        loop {
            let now = *progress.borrow_and_update();
            while let Some(share) = shares.next_if(|share| now.checked * 100 >= relays * share) {
                marks.push((share, begun.elapsed()));
            }
            if now.checked >= relays {
                return now;
            }
            progress.changed().await.expect("a monitor");
        }
    };
    let watched = tokio::time::timeout(PATIENCE, watched).await;
    let last = watched.unwrap_or_else(|_| {
        panic!("not done: {:?}", *node.monitor.progress().borrow());
    });
    (last, marks)
}

async fn size(database: &Database) -> i64 {
    database.store.status().await.expect("a status").size_bytes
}

/// Estimates a quantile of the times of checks as Prometheus does, by a line within the bucket.
fn quantile(registry: &Registry, share: f64) -> f64 {
    let families = registry.gather();
    let family = families
        .iter()
        .find(|family| family.name() == "bigbrotr_monitor_check_seconds")
        .expect("the histogram");
    let histogram = family.get_metric()[0].get_histogram();
    let rank = histogram.get_sample_count() as f64 * share;
    let (mut below, mut from) = (0.0, 0.0);
    for bucket in histogram.get_bucket() {
        let (up_to, count) = (bucket.upper_bound(), bucket.cumulative_count() as f64);
        if count >= rank && count > below {
            return from + (up_to - from) * (rank - below) / (count - below);
        }
        (below, from) = (count, up_to);
    }
    f64::INFINITY
}

/// Compares what was found with what the relays are, and says where they differ.
async fn compare(database: &Database, farm: &Farm) {
    let (characters, findings) = (mix::characters(), database.findings().await);
    let mut wrong = vec![Vec::new(); characters.len()];
    let mut count = vec![0_u64; characters.len()];
    for relay in &farm.relays {
        count[relay.character] += 1;
        let expected = characters[relay.character].found;
        match findings.get(&relay.url) {
            Some((found, _)) if *found == expected => {}
            Some((found, document)) => wrong[relay.character].push(format!("{found:?} {document}")),
            None => wrong[relay.character].push("nothing".to_owned()),
        }
    }
    println!("reports on our relay: {}", database.reports().await);
    let healthy: HashSet<&str> = farm
        .relays
        .iter()
        .filter(|relay| characters[relay.character].is_quick())
        .map(|relay| relay.url.as_str())
        .collect();
    let mut times = database.open_times().await;
    times.retain(|(url, _)| healthy.contains(url.as_str()));
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .map_or(0, |(_, ms)| *ms)
    };
    println!(
        "time to open a healthy relay, as stored, with 20 ms of DNS: p50 {} ms, p95 {} ms, p99 {} ms",
        at(50),
        at(95),
        at(99)
    );
    let differ: usize = wrong.iter().map(Vec::len).sum();
    println!(
        "found other than they are: {differ} of {}",
        farm.relays.len()
    );
    for (n, character) in characters.iter().enumerate() {
        println!("  {:>5}  {}", count[n], character.name);
        if let Some(example) = wrong[n].first() {
            println!("         {} of them found so: {example}", wrong[n].len());
        }
    }
}
