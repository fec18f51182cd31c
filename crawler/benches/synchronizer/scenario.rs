//! The scenarios, each with its figures.

mod tail;

use bigbrotr_testkit::bench::option;
use serde_json::{Value, json};

pub(crate) use self::tail::run as tail;
use crate::database::Server;
use crate::farm::{Farm, Plan, Traffic};
use crate::run::Run;

/// A second relay with the same events.
pub(crate) async fn second() -> Value {
    let mut farm = Farm::start(Plan {
        relays: 2,
        events: option("events", 100_000),
        overlap: 1.0,
    });
    let mut server = Server::start().await;
    eprintln!("the first relay");
    let (mut run, first) = Run::download(&mut server, &mut farm, &[0]).await;
    eprintln!("the second relay");
    let second = run.add(&mut farm, &[1]).await;
    run.assert_complete(&farm.relays).await;
    let bytes = second.traffic.bytes as f64 / first.traffic.bytes as f64;
    let time = second.seconds / first.seconds;
    println!(
        "first relay:  {:.1} s, {}",
        first.seconds,
        words(first.traffic)
    );
    println!(
        "second relay: {:.1} s, {}",
        second.seconds,
        words(second.traffic)
    );
    println!(
        "second over first: {:.2} % of the bytes (bar: 5 %), {:.2} of the time",
        bytes * 100.0,
        time
    );
    let (peak, _) = run.node.memory();
    run.node.stop();
    server.stop().await;
    json!({
        "scenario": "second", "events": farm.relays[0].events,
        "first_seconds": round(first.seconds), "second_seconds": round(second.seconds),
        "first_bytes": first.traffic.bytes, "second_bytes": second.traffic.bytes,
        "second_events_sent": second.traffic.events,
        "second_reconciliations": second.traffic.reconciliations,
        "bytes_ratio": bytes, "time_ratio": time, "vm_hwm_mb": round(peak),
    })
}

/// Relays that share most of their events, all at once.
pub(crate) async fn overlap() -> Value {
    let (relays, overlap) = (option("relays", 10_usize), option("overlap", 0.9_f64));
    let each: usize = option("events", 100_000);
    // An event is on its home, and on each other relay with a probability.
    let share = 1.0 / relays as f64 + (1.0 - 1.0 / relays as f64) * overlap;
    let mut farm = Farm::start(Plan {
        relays,
        events: (each as f64 / share) as usize,
        overlap,
    });
    let mut server = Server::start().await;
    let samples = option("samples", 2_usize).clamp(1, relays);
    let (mut seconds, mut bytes) = (0.0, 0.0);
    for n in 0..samples {
        eprintln!("relay {} of {samples} alone", n + 1);
        let (run, cost) = Run::download(&mut server, &mut farm, &[n]).await;
        run.node.stop();
        println!(
            "relay {n} alone: {:.1} s, {}",
            cost.seconds,
            words(cost.traffic)
        );
        seconds += cost.seconds;
        bytes += cost.traffic.bytes as f64;
    }
    let (seconds, bytes) = (
        seconds / samples as f64 * relays as f64,
        bytes / samples as f64 * relays as f64,
    );
    eprintln!("all {relays} at once");
    let all: Vec<usize> = (0..relays).collect();
    let (mut run, together) = Run::download(&mut server, &mut farm, &all).await;
    run.assert_complete(&farm.relays).await;
    let (peak, _) = run.node.memory();
    run.node.stop();
    println!(
        "all at once: {:.1} s, {}",
        together.seconds,
        words(together.traffic)
    );
    let (time_ratio, bytes_ratio) = (
        together.seconds / seconds,
        together.traffic.bytes as f64 / bytes,
    );
    println!(
        "over the sum of {relays} separate downloads (from {samples} of them): {time_ratio:.3} of the time, {bytes_ratio:.3} of the bytes"
    );
    server.stop().await;
    json!({
        "scenario": "overlap", "relays": relays, "overlap": overlap, "facts": farm.facts(),
        "samples": samples, "separate_seconds": round(seconds), "together_seconds": round(together.seconds),
        "separate_bytes": bytes as u64, "together_bytes": together.traffic.bytes,
        "time_ratio": time_ratio, "bytes_ratio": bytes_ratio, "vm_hwm_mb": round(peak),
    })
}

/// How much memory the node takes.
pub(crate) async fn memory() -> Value {
    let plan = Plan {
        relays: option("relays", 8),
        events: option("events", 1_000_000),
        overlap: option("overlap", 0.0),
    };
    let (name, mut result) = ("memory", alone(plan).await);
    let peak = result["vm_hwm_mb"].as_f64().unwrap_or_default();
    println!("memory of the node: {peak:.0} MB at most (VmHWM; bar: 300 MB)");
    result["scenario"] = name.into();
    result
}

/// One relay into an empty archive.
pub(crate) async fn strfry() -> Value {
    let plan = Plan {
        relays: 1,
        events: option("events", 93_500),
        overlap: 0.0,
    };
    let mut result = alone(plan).await;
    println!("strfry's own sync of 93,500 events took 25.6 s on a two-core machine");
    result["scenario"] = "strfry".into();
    result
}

/// Downloads everything at once, and says what it took.
async fn alone(plan: Plan) -> Value {
    let mut farm = Farm::start(plan);
    let mut server = Server::start().await;
    let all: Vec<usize> = (0..plan.relays).collect();
    let (mut run, cost) = Run::download(&mut server, &mut farm, &all).await;
    run.assert_complete(&farm.relays).await;
    let ((peak, resident), cpu) = (run.node.memory(), run.node.cpu());
    run.node.stop();
    server.stop().await;
    let (facts, seconds) = (farm.facts(), cost.seconds);
    println!(
        "{} events of {} relays archived and counted in {seconds:.1} s: {:.0}/s, {}",
        plan.events,
        plan.relays,
        facts as f64 / seconds,
        words(cost.traffic)
    );
    let json_bytes: u64 = farm.relays.iter().map(|relay| relay.bytes).sum();
    println!(
        "{:.3} of the bytes of the events as JSON; node: {cpu:.1} s of CPU, {resident:.0} MB at the end",
        cost.traffic.bytes as f64 / json_bytes as f64
    );
    json!({
        "events": plan.events, "relays": plan.relays, "facts": facts, "seconds": round(seconds),
        "bytes": cost.traffic.bytes, "node_cpu_seconds": round(cpu), "vm_hwm_mb": round(peak),
        "vm_rss_mb": round(resident),
    })
}

fn words(traffic: Traffic) -> String {
    format!(
        "{:.2} MB in both directions, {} events sent, {} REQ, {} NEG-OPEN",
        traffic.bytes as f64 / 1e6,
        traffic.events,
        traffic.requests,
        traffic.reconciliations
    )
}

/// To three decimals: more would be noise.
fn round(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}
