//! One look at the node: what it uses, what it has in its tables, what it says about itself.

use std::time::{Duration, Instant};

use bigbrotr_testkit::client::http_get;

use crate::database::{COUNTED, Database};
use crate::load::Tally;
use crate::node::Node;
use crate::process;

/// What is noted beside the tables, in the order of [`Sample::values`].
const USED: [&str; 10] = [
    "memory of the node, MB",
    "memory of Postgres, MB",
    "open files",
    "threads",
    "TCP connections",
    "tokio tasks",
    "tokio tasks queued",
    "events archived",
    "jobs sent",
    "jobs answered",
];

/// The numbers of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Since the load began.
    pub(crate) at: Duration,
    /// In the order of [`names`]; not a number where it could not be had.
    pub(crate) values: Vec<f64>,
}

impl Sample {
    /// Looks.
    pub(crate) async fn take(
        begun: Instant,
        node: &Node,
        database: &Database,
        tally: &Tally,
    ) -> Self {
        let at = begun.elapsed();
        let usage = process::usage(node.pid(), database.port());
        let metrics = metrics(node).await;
        let mut values = vec![
            usage.resident_mb,
            usage.children_mb,
            usage.files,
            usage.threads,
            usage.connections,
            metric(&metrics, "bigbrotr_tokio_alive_tasks"),
            metric(&metrics, "bigbrotr_tokio_queued_tasks"),
            database.events().await as f64,
            tally.jobs_sent.get() as f64,
            tally.jobs_answered.get() as f64,
        ];
        values.extend(database.counted().await);
        Self { at, values }
    }

    pub(crate) fn value(&self, name: &str) -> f64 {
        let position = names().position(|other| other == name);
        self.values[position.unwrap_or_else(|| panic!("nothing is called {name}"))]
    }
}

/// What the numbers are.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    USED.into_iter()
        .chain(COUNTED.iter().map(|(name, _)| *name))
}

/// The metrics page of the node; empty where it does not come.
async fn metrics(node: &Node) -> String {
    let url = format!("http://{}/metrics", node.metrics);
    let answer = http_get(&url, &[("Connection", "close")], Duration::from_secs(30)).await;
    answer.map(|answer| answer.text()).unwrap_or_default()
}

fn metric(page: &str, name: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
        .unwrap_or(f64::NAN)
}
