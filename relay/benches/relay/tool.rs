//! nostr-bench, where it was given.

use std::path::PathBuf;
use std::process::Command;

use bigbrotr_testkit::bench::{given, option};
use serde_json::Value;

use crate::program::Relay;

/// Lets it measure a relay: how many of its messages were answered in a second, from when all its
/// connections were there.
pub(crate) fn measure(relay: &Relay, arguments: &[&str]) -> Option<f64> {
    let program: PathBuf = given("nostr-bench")?;
    let connections = option("connections", 100_usize).to_string();
    let seconds: u64 = option("seconds", 8);
    let output = Command::new(program)
        .args(arguments)
        .args(["--json", "-c", &connections, "-r", &connections])
        .args(["-k", &(seconds + 2).to_string()])
        .arg(format!("ws://{}", relay.address))
        .output()
        .expect("nostr-bench");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let figures = lines.map(|line| {
        let stats = &line["message_stats"];
        let answered = stats["complete"].as_f64()? - stats["error"].as_f64()?;
        Some((line["elapsed"].as_f64()?, answered))
    });
    let figures: Vec<(f64, f64)> = figures.collect::<Option<_>>()?;
    let first = figures.iter().find(|(elapsed, _)| *elapsed > 3_000.0)?;
    let last = figures.iter().rev().nth(1)?;
    (last.0 > first.0).then(|| (last.1 - first.1) / (last.0 - first.0) * 1_000.0)
}
