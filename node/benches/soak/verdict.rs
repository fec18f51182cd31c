//! What must be so in the end.

use std::fmt;

use crate::report::{later_half, mean, slope};
use crate::sample::Sample;

/// What memory may grow by in the later half of a run, of its size, to count as flat.
const FLAT: f64 = 0.05;

/// What a table that comes to rest may grow by in the later half: of its size, or rows.
const TABLE_FLAT: f64 = 0.1;
const TABLE_ROWS: f64 = 100.0;

/// Files, connections and tasks that may come and go at rest.
const PLAY: f64 = 12.0;

/// Seconds of load below which nothing is said about growth: caches fill, and jobs take their
/// twenty minutes to be given up.
const SHORTEST: f64 = 40.0 * 60.0;

/// Database connections: both pools, the readers, those that listen, and those whose client has just
/// gone.
const DATABASE_CONNECTIONS: f64 = 16.0 + 8.0 + 8.0 + 8.0 + 8.0;

/// Relays that lie about what they have, each with as many ids noted as are noted of one.
const PROMISED: f64 = 10.0 * 20_000.0;

/// How a number may move.
enum Rule {
    /// Never above this.
    AtMost(f64),
    /// It stops growing.
    Settles,
}

/// What was found of one demand.
pub(crate) struct Verdict {
    what: String,
    /// `None`: the run was too short to tell.
    pub(crate) is_good: Option<bool>,
    said: String,
}

impl Verdict {
    pub(crate) fn new(what: impl Into<String>, is_good: bool, said: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            is_good: Some(is_good),
            said: said.into(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.is_good {
            Some(true) => "good",
            Some(false) => "BAD",
            None => "too short",
        };
        write!(f, "{word:<10}{}: {}", self.what, self.said)
    }
}

/// Memory while it was under load.
pub(crate) fn memory(samples: &[Sample]) -> Verdict {
    let name = "memory of the node, MB";
    let (growth, mean) = (growth(samples, name), mean(samples, name));
    Verdict {
        what: "flat memory".to_owned(),
        is_good: is_long(samples).then_some(growth < mean * FLAT),
        said: format!("{growth:+.1} MB in the later half, {mean:.1} MB on average"),
    }
}

/// What is left when the load has been stopped, beside what there was before it.
pub(crate) fn leaks(rest: &Sample, settled: &Sample) -> Vec<Verdict> {
    ["open files", "TCP connections", "tokio tasks", "threads"]
        .into_iter()
        .map(|name| {
            let (before, after) = (rest.value(name), settled.value(name));
            // Threads for blocking work end when they have been idle for a while, or do not.
            let play = if name == "threads" { 64.0 } else { PLAY };
            let said = format!("{before} before, {after} after");
            Verdict::new(
                format!("no {name} left behind"),
                after <= before + play,
                said,
            )
        })
        .collect()
}

/// Rows and connections of the database. What is archived of relays and their checks grows for as
/// long as it runs, and has no rule.
pub(crate) fn rows(samples: &[Sample], settled: &Sample, relays: usize) -> Vec<Verdict> {
    // The node's own relay is found too, by its announcement.
    let relays = relays as f64 + 5.0;
    let jobs = settled.value("jobs sent");
    let rules = [
        ("database connections", Rule::AtMost(DATABASE_CONNECTIONS)),
        // One to check each relay, one to archive it, and those of candidates.
        ("leases", Rule::AtMost(relays * 2.0 + 50.0)),
        ("rollup_queue", Rule::Settles),
        ("relays", Rule::AtMost(relays)),
        ("monitor_state", Rule::AtMost(relays)),
        ("sync_state", Rule::AtMost(relays)),
        ("relay_latest", Rule::AtMost(relays)),
        ("candidates", Rule::AtMost(1_000.0)),
        ("finder_sources", Rule::AtMost(20.0)),
        ("sync_gaps", Rule::Settles),
        ("sync_missing", Rule::AtMost(PROMISED)),
        ("sync_refusals", Rule::AtMost(relays * 20.0)),
        ("refused_events", Rule::AtMost(1_000.0)),
        ("report_targets", Rule::AtMost(3.0)),
        ("report_outbox", Rule::AtMost(3.0 * (relays + 10.0))),
        ("relay_nip_sets", Rule::AtMost(relays)),
        ("dvm_listening", Rule::AtMost(1.0)),
        ("dvm_deliveries", Rule::Settles),
        ("dvm jobs waiting", Rule::AtMost(1_000.0)),
        // Remembered for a week, so that none is answered twice: one for each request.
        ("dvm_jobs", Rule::AtMost(jobs)),
        ("dvm_origins", Rule::AtMost(jobs)),
        ("relay_events", Rule::Settles),
        ("relay_tombstones", Rule::AtMost(jobs)),
    ];
    rules
        .into_iter()
        .map(|(name, rule)| judge(samples, settled, name, &rule))
        .collect()
}

fn judge(samples: &[Sample], settled: &Sample, name: &str, rule: &Rule) -> Verdict {
    let all = samples.iter().chain([settled]);
    let most = all.map(|sample| sample.value(name)).fold(0.0, f64::max);
    match rule {
        Rule::AtMost(bound) => {
            let said = format!("{most} at most, {bound} allowed");
            Verdict::new(format!("{name} bounded"), most <= *bound, said)
        }
        Rule::Settles => {
            let growth = growth(samples, name);
            let allowed = (mean(samples, name) * TABLE_FLAT).max(TABLE_ROWS);
            Verdict {
                what: format!("{name} come to rest"),
                is_good: is_long(samples).then_some(growth <= allowed),
                said: format!("{growth:+.0} in the later half, {most} at most"),
            }
        }
    }
}

/// By how much a number grew in the later half, by its line.
fn growth(samples: &[Sample], name: &str) -> f64 {
    let half = later_half(samples);
    let span = match (half.first(), half.last()) {
        (Some(first), Some(last)) => last.at.saturating_sub(first.at).as_secs_f64(),
        _ => 0.0,
    };
    slope(samples, name) * span / 3_600.0
}

fn is_long(samples: &[Sample]) -> bool {
    let lasted = samples.last().map(|sample| sample.at.as_secs_f64());
    lasted.is_some_and(|seconds| seconds >= SHORTEST)
}
