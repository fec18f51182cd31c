//! One relay that is due: checked, then stored together with its report.

use std::error::Error;
use std::sync::Arc;

use bigbrotr_core::event::Event;
use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::store::{DueRelay, Snapshot};
use tokio::time::Instant;

use super::super::error::StepError;
use super::super::limits::OURS_PAUSE;
use super::super::metrics::Outcome;
use super::super::report::{REPORT_KIND, relay_report};
use super::super::result::{CheckResult, OpenFinding};
use super::super::schedule::{Checked, Schedule, is_report_due, next_check};
use super::super::service::MonitorService;
use crate::store_wait::{DATABASE_BACKOFF, bounded};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// What was found is in the database.
    Stored {
        /// The relay was online.
        online: bool,
        /// Reports published with it.
        reports: u64,
    },
    /// Nothing was found, or what was found cannot be stored. The lease runs out, soon or by
    /// itself, which keeps the relay from being tried again at once.
    Dropped,
    /// The service had to stop before the outcome was stored.
    Interrupted,
}

/// What is written after a check.
struct Record {
    snapshot: Snapshot,
    reports: Vec<Event>,
    schedule: Schedule,
}

pub(super) async fn check_and_store(
    service: Arc<MonitorService>,
    context: ServiceContext,
    due: DueRelay,
) -> Done {
    let (url, began) = (&due.relay.url, Instant::now());
    let check = service.checker.check(url, service.clock.now());
    let result = Box::pin(check).await;
    let took = began.elapsed();
    service.metrics.observe_check(took.as_secs_f64());
    match result.open {
        OpenFinding::Open(_) => service.reach.note_proof(url.network(), began),
        OpenFinding::Failed { reason, fault } => {
            if !Box::pin(service.reach.counts(url, fault, began)).await {
                tracing::debug!(relay.url = %url, reason, "cannot check a relay for reasons of ours");
                service.metrics.count_check(Outcome::Inconclusive);
                postpone(&service, &due).await;
                return Done::Dropped;
            }
        }
    }
    let record = match record(&service, &due, &result) {
        Ok(record) => record,
        Err(error) => return give_up(&service, &due, &error),
    };
    tracing::debug!(
        relay.url = %url,
        online = result.is_online(),
        duration_ms = took.as_millis() as u64,
        "relay checked",
    );
    drop(result);
    store(&service, &context, &due, &record).await
}

/// Has a relay tried again soon. Its lease is as long as the longest check, which is long for one
/// that could not even begin.
async fn postpone(service: &MonitorService, due: &DueRelay) {
    let pause = i64::try_from(OURS_PAUSE.as_secs()).unwrap_or(i64::MAX);
    let postponed = service.store.postpone_check(due.relay.id, pause);
    if let Err(error) = bounded(postponed).await {
        tracing::debug!(
            relay.url = %due.relay.url,
            error = &error as &dyn Error,
            "relay is not given back: its lease runs out by itself",
        );
    }
}

/// Concludes what follows from a check.
fn record(
    service: &MonitorService,
    due: &DueRelay,
    result: &CheckResult,
) -> Result<Record, StepError> {
    let (config, now) = (&service.config, service.clock.now());
    let checked = Checked {
        relay: due.relay.id,
        priority: due.priority,
        online: result.is_online(),
        failures: due.failures,
    };
    let mut reports = Vec::new();
    if is_report_due(config, now, due.priority, due.failures, due.published_at)
        && let Some(report) = relay_report(result)
    {
        reports.push(report.sign(&service.keys, now)?);
    }
    Ok(Record {
        snapshot: result.snapshot(),
        reports,
        schedule: next_check(config, now, checked, &mut rand::rng()),
    })
}

/// Stores a record, for as long as that takes.
async fn store(
    service: &MonitorService,
    context: &ServiceContext,
    due: &DueRelay,
    record: &Record,
) -> Done {
    let mut attempt = 0;
    loop {
        let stored = bounded(service.store.insert_snapshot(
            due.relay.id,
            &record.snapshot,
            &record.reports,
            record.schedule.next_at,
            record.schedule.failures,
        ));
        match stored.await {
            Ok(()) => return stored_now(service, due, record),
            Err(error) if error.is_retryable() => {
                tracing::debug!(
                    relay.url = %due.relay.url,
                    error = &error as &dyn Error,
                    "check is not stored yet",
                );
                context.degraded(&error);
                let pause = DATABASE_BACKOFF.delay(attempt, &mut rand::rng());
                attempt = attempt.saturating_add(1);
                if !context.sleep(pause).await {
                    return Done::Interrupted;
                }
            }
            Err(error) => return give_up(service, due, &error.into()),
        }
    }
}

fn stored_now(service: &MonitorService, due: &DueRelay, record: &Record) -> Done {
    let (metrics, online) = (&service.metrics, record.snapshot.openable);
    metrics.count_check(if online {
        Outcome::Online
    } else {
        Outcome::Offline
    });
    metrics.note_relay(due.relay.id, due.relay.url.network(), online);
    for _ in &record.reports {
        metrics.count_report(REPORT_KIND);
    }
    Done::Stored {
        online,
        reports: record.reports.len() as u64,
    }
}

fn give_up(service: &MonitorService, due: &DueRelay, error: &StepError) -> Done {
    tracing::error!(
        relay.url = %due.relay.url,
        error = error as &dyn Error,
        "what a check found cannot be stored",
    );
    service.metrics.count_check(Outcome::Unstored);
    Done::Dropped
}
