//! Relays checked again and again: whether memory stays flat.

use std::time::{Duration, Instant};

use bigbrotr_crawler::monitor::MonitorConfig;
use bigbrotr_testkit::bench::option;

use crate::farm::Farm;
use crate::machine::Memory;
use crate::node::{self, Database, Node};

/// What memory may grow by between the second quarter of a run and the last, of its size, to
/// count as flat.
const FLAT: f64 = 0.03;

/// Checks the relays every `--interval` seconds (60), prints the memory each minute, and judges.
pub(crate) async fn run(database: &Database, farm: &Farm, duration: Duration) {
    let interval = Duration::from_secs(option("interval", 60));
    let config = MonitorConfig {
        interval,
        retry_interval: interval,
        max_retry_interval: interval,
        publish_interval: interval,
        ..node::config()
    };
    let node = Node::start(database, &farm.relays, farm.root.clone(), config);
    let begun = Instant::now();
    println!("minute    VmRSS    checked    reports   database");
    let mut samples = Vec::new();
    while begun.elapsed() < duration {
        tokio::time::sleep(Duration::from_mins(1)).await;
        let progress = *node.monitor.progress().borrow();
        let status = database.store.status().await.expect("a status");
        let memory = Memory::now();
        samples.push(memory.resident);
        println!(
            "{:>6} {:>5.1} MB {:>10} {:>10} {:>7.1} MB",
            samples.len(),
            memory.resident,
            progress.checked,
            progress.reports,
            status.size_bytes as f64 / 1e6
        );
    }
    println!("{}", verdict(&samples));
    node.stop().await;
}

fn verdict(samples: &[f64]) -> String {
    let quarter = samples.len() / 4;
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return "no minute is over: nothing to judge".to_owned();
    };
    let (least, most) = samples
        .iter()
        .fold((f64::MAX, 0.0_f64), |(least, most), sample| {
            (least.min(*sample), most.max(*sample))
        });
    let figures =
        format!("first {first:.1} MB, last {last:.1} MB, least {least:.1} MB, most {most:.1} MB");
    if quarter == 0 {
        return format!("{figures}; too short to judge");
    }
    let early = median(&samples[quarter..quarter * 2]);
    let late = median(&samples[samples.len() - quarter..]);
    let judged = if late <= early * (1.0 + FLAT) {
        "flat"
    } else {
        "growing"
    };
    format!(
        "{figures}; second quarter {early:.1} MB, last quarter {late:.1} MB (medians): {judged}"
    )
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
