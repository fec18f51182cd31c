//! `bigbrotr status`: what the node has done.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::catalog::Catalog;
use serde_json::Value;

use crate::cli::Options;
use crate::database::Database;
use crate::summary::{bytes, count, table};

/// Prints the state of the database and of the work on relays.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let database = Database::open_for_command(&settings, Arc::new(SystemClock)).await?;
    let outcome = rows(&database).await;
    database.close().await?;
    print!("{}", table("BigBrotr", &outcome?));
    Ok(ExitCode::SUCCESS)
}

async fn rows(database: &Database) -> anyhow::Result<Vec<(&'static str, String)>> {
    let store = &database.store;
    let status = store.status().await?;
    let relays = store.count_progress().await?;
    let candidates = store.count_candidates().await?;
    let catalog = Catalog::load(store.clone(), &[]).await?;
    let answer = catalog.run("events.stats", &BTreeMap::new()).await?;
    let stats: Value = serde_json::from_str(&answer.json).context("an answer is not JSON")?;
    let stat = |name: &str| count(stats["data"][name].as_u64().unwrap_or_default());
    Ok(vec![
        ("database", database.origin.clone()),
        ("server", format!("PostgreSQL {}", status.server_version)),
        ("size", bytes(status.size_bytes.unsigned_abs())),
        (
            "relays",
            format!(
                "{}; checked {}, online {}",
                count(relays.known),
                count(relays.checked),
                count(relays.online)
            ),
        ),
        (
            "candidates",
            format!(
                "{} wait, {} of them have failed before; {} given up, {} became relays",
                count(candidates.waiting),
                count(candidates.retried),
                count(candidates.given_up),
                count(candidates.promoted)
            ),
        ),
        (
            "archive",
            format!(
                "{} events of {} pubkeys and {} kinds",
                stat("events"),
                stat("pubkeys"),
                stat("kinds")
            ),
        ),
        (
            "coverage",
            format!(
                "{} relays caught up, {} with gaps",
                count(relays.covered),
                count(relays.gapped)
            ),
        ),
        (
            "statistics",
            format!(
                "{:.1} s behind, {} batches wait",
                status.rollup_lag_seconds, status.rollup_backlog
            ),
        ),
        (
            "jobs",
            format!("{} wait", count(store.count_queued_jobs().await?)),
        ),
    ])
}
