//! How soon a new event is archived, with many relays followed at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_testkit::bench::option;
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::{EventMaker, TestClient};
use serde_json::{Value, json};

use super::round;
use crate::database::{Database, Server};
use crate::farm::{Farm, Listed, Plan};
use crate::run::Run;

/// How often the archive is looked at: the latencies are that much too long at most.
const LOOK: Duration = Duration::from_millis(3);

/// Events that a relay said OK to, and when, by id.
type Waiting = RefCell<HashMap<[u8; 32], Instant>>;

/// Publishes to relays that the node has read to the end, and waits until it is archived.
pub(crate) async fn run() -> Value {
    let relays: usize = option("relays", 1_000);
    let mut farm = Farm::start(Plan {
        relays,
        events: option("events", 20) * relays,
        overlap: 0.0,
    });
    let mut server = Server::start().await;
    let all: Vec<usize> = (0..relays).collect();
    eprintln!("what the relays have already");
    let (mut run, cost) = Run::download(&mut server, &mut farm, &all).await;
    println!(
        "{relays} relays read to the end after {:.1} s",
        cost.seconds
    );
    tokio::time::sleep(Duration::from_secs(option("settle", 10))).await;
    let followed: u64 = farm.traffic().iter().map(|relay| relay.open_sessions).sum();
    let (waiting, is_done) = (Waiting::default(), RefCell::new(false));
    let publishing = async {
        publish(&farm.relays, &waiting).await;
        *is_done.borrow_mut() = true;
    };
    let (mut latencies, ()) =
        tokio::join!(watch(&mut run.database, &waiting, &is_done), publishing);
    latencies.sort_unstable();
    let at = |share: f64| {
        let last = latencies.len().saturating_sub(1);
        let found = latencies.get((last as f64 * share).round() as usize);
        found.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1_000.0)
    };
    let lost = waiting.borrow().len();
    let (peak, resident) = run.node.memory();
    println!("{followed} connections of the node to {relays} relays were open");
    println!(
        "from OK to archived, {} events: p50 {:.0} ms, p90 {:.0} ms, p99 {:.0} ms, most {:.0} ms; {lost} never came",
        latencies.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    println!("memory of the node: {peak:.0} MB at most (VmHWM), {resident:.0} MB at the end");
    run.node.stop();
    server.stop().await;
    json!({
        "scenario": "tail", "relays": relays, "open_connections": followed,
        "published": latencies.len() + lost, "lost": lost, "p50_ms": round(at(0.5)),
        "p90_ms": round(at(0.9)), "p99_ms": round(at(0.99)), "max_ms": round(at(1.0)),
        "vm_hwm_mb": round(peak), "vm_rss_mb": round(resident),
    })
}

/// Publishes events to one relay after the other, at a rate.
async fn publish(relays: &[Listed], waiting: &Waiting) {
    let count: usize = option("publish", 1_000);
    let pause = Duration::from_secs_f64(1.0 / option("rate", 50.0));
    let author = author_keys(70, 0);
    let mut ticks = tokio::time::interval(pause);
    for n in 0..count {
        ticks.tick().await;
        // Steps that share no divisor with most numbers of relays.
        let url = relays[n * 7_919 % relays.len()].url.as_str();
        let event = EventMaker::new(SystemClock.now())
            .content(format!("new {n}"))
            .sign(&author);
        let mut client = TestClient::connect(url).await.expect("a connection");
        let (accepted, words) = client.publish(&event).await.expect("an answer");
        assert!(accepted, "{words}");
        waiting.borrow_mut().insert(event.id.0, Instant::now());
        if (n + 1) % 100 == 0 {
            eprintln!(
                "  {} published, {} on their way",
                n + 1,
                waiting.borrow().len()
            );
        }
    }
}

/// Takes off the list what is archived, until nothing is left or patience is.
async fn watch(
    database: &mut Database,
    waiting: &Waiting,
    is_done: &RefCell<bool>,
) -> Vec<Duration> {
    let patience = Duration::from_secs(option("patience", 600));
    let (mut latencies, mut last) = (Vec::new(), Instant::now());
    while !(*is_done.borrow() && waiting.borrow().is_empty()) {
        let ids: Vec<[u8; 32]> = waiting.borrow().keys().copied().collect();
        let found = if ids.is_empty() {
            Vec::new()
        } else {
            database.present(&ids).await
        };
        let now = Instant::now();
        for id in found {
            let published = waiting.borrow_mut().remove(&id);
            latencies.extend(published.map(|published| now.duration_since(published)));
            last = now;
        }
        if last.elapsed() > patience {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    latencies
}
