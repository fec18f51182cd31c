//! What is known of the node's work at one moment.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use anyhow::Context;
use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::store::{
    CandidateStatus, DatabaseStatus, RelayProgress, SyncOverview, SyncScope, SyncTotals,
};
use serde_json::{Value, json};

use super::relays;
use crate::database::Database;
use crate::output::harmless;
use crate::summary::{bytes, count, table};

/// All that `bigbrotr status` shows.
#[derive(Debug, Clone)]
pub(super) struct Report {
    /// Unix seconds.
    pub(super) as_of: i64,
    origin: String,
    database: DatabaseStatus,
    relays: RelayProgress,
    candidates: CandidateStatus,
    stats: Value,
    jobs: u64,
    totals: SyncTotals,
    /// As many relays as were asked for.
    pub(super) syncs: Vec<SyncOverview>,
}

impl Report {
    /// Asks the database, for up to `most` relays.
    pub(super) async fn gather(
        database: &Database,
        catalog: &Catalog,
        most: u16,
    ) -> anyhow::Result<Self> {
        let store = &database.store;
        let answer = catalog.run("events.stats", &BTreeMap::new()).await?;
        let stats: Value = serde_json::from_str(&answer.json).context("an answer is not JSON")?;
        Ok(Self {
            as_of: SystemClock.now(),
            origin: database.origin.clone(),
            database: store.status().await?,
            relays: store.count_progress().await?,
            candidates: store.count_candidates().await?,
            stats,
            jobs: store.count_queued_jobs().await?,
            totals: store.count_syncs(SyncScope::All).await?,
            syncs: store.list_syncs(most.into()).await?,
        })
    }

    fn stat(&self, name: &str) -> u64 {
        self.stats["data"][name].as_u64().unwrap_or_default()
    }

    /// For programs: one line. What relays say may hold characters that JSON allows and terminals
    /// obey: they are written as escapes.
    pub(super) fn to_json(&self) -> String {
        harmless(&self.document().to_string())
    }

    fn document(&self) -> Value {
        let statuses: BTreeMap<_, _> = self.totals.statuses.iter().copied().collect();
        json!({
            "as_of": self.as_of,
            "database": {
                "origin": self.origin,
                "server_version": self.database.server_version,
                "size_bytes": self.database.size_bytes,
            },
            "relays": self.relays,
            "candidates": self.candidates,
            "archive": {
                "events": self.stat("events"),
                "pubkeys": self.stat("pubkeys"),
                "kinds": self.stat("kinds"),
            },
            "statistics": {
                "lag_seconds": self.database.rollup_lag_seconds,
                "backlog": self.database.rollup_backlog,
            },
            "jobs": { "queued": self.jobs },
            "sync": {
                "statuses": statuses,
                "gaps": self.totals.gaps,
                "missing_events": self.totals.missing_events,
                "relays": self.syncs,
            },
        })
    }

    /// For people: the summary and the table of relays. `width` is that of the terminal, `every`
    /// how often this comes again.
    pub(super) fn to_text(&self, width: Option<usize>, every: Option<Duration>) -> String {
        let title = every.map_or("BigBrotr".to_owned(), |every| {
            let at = relays::moment(self.as_of);
            format!("BigBrotr at {at} UTC, every {} s", every.as_secs())
        });
        let mut text = table(&title, &self.rows());
        if !self.syncs.is_empty() {
            // Writing to a String cannot fail.
            writeln!(text, "\n{}", relays::table(&self.syncs, self.as_of, width))
                .unwrap_or_default();
        }
        text
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let (relays, candidates) = (&self.relays, &self.candidates);
        vec![
            ("database", self.origin.clone()),
            (
                "server",
                format!("PostgreSQL {}", self.database.server_version),
            ),
            ("size", bytes(self.database.size_bytes.unsigned_abs())),
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
                    count(self.stat("events")),
                    count(self.stat("pubkeys")),
                    count(self.stat("kinds"))
                ),
            ),
            (
                "coverage",
                format!(
                    "{} relays caught up, {} with gaps; {} gaps, {} promised events missing",
                    count(relays.covered),
                    count(relays.gapped),
                    count(self.totals.gaps),
                    count(self.totals.missing_events)
                ),
            ),
            ("archiving", self.statuses()),
            (
                "statistics",
                format!(
                    "{:.1} s behind, {} batches wait",
                    self.database.rollup_lag_seconds, self.database.rollup_backlog
                ),
            ),
            ("jobs", format!("{} wait", count(self.jobs))),
        ]
    }

    /// Relays by status; what there is none of is left out.
    fn statuses(&self) -> String {
        let counted: Vec<String> = self
            .totals
            .statuses
            .iter()
            .filter(|(_, relays)| *relays > 0)
            .map(|(status, relays)| format!("{} {}", count(*relays), status.replace('_', " ")))
            .collect();
        if counted.is_empty() {
            "no relays".to_owned()
        } else {
            counted.join(", ")
        }
    }
}
