//! Takes what the monitor publishes to other relays too, where that is configured.
//!
//! The queue is the database's: a report waits there from the transaction that published it, and a
//! newer one on the same relay takes its place. So the queue is bounded, survives crashes, and no
//! check ever waits for a target. Each target has its own loop here and its own backoff, and is
//! leased, so that of several monitors one at a time talks to it.

mod window;

use std::error::Error;
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::store::ReportTarget;
use tokio::time::Instant;

use self::window::send_window;
use super::error::StepError;
use super::limits::{
    BACKLOG_INTERVAL, FORWARD_IDLE, FORWARD_LEASE, FORWARD_POLL, FORWARD_WINDOW, MAX_SESSION_BYTES,
};
use super::report::REPORT_KIND;
use super::service::MonitorService;
use crate::session::{Session, SessionConfig};
use crate::store_wait::{DATABASE_BACKOFF, bounded};

/// Pauses after an attempt at a target that came to nothing.
const TARGET_BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(30),
    factor: 2.0,
    max: Duration::from_hours(1),
    jitter: 0.3,
};

/// Why a conversation with a target ended.
#[derive(Debug)]
enum End {
    /// Nothing waits for it, or we have to stop.
    Done,
    /// It is to be left alone for a while.
    Failed(String),
}

/// Takes events to every target until the service has to stop.
pub(super) async fn until_stopped(service: &MonitorService, context: &ServiceContext) {
    if service.targets.is_empty() {
        return;
    }
    let targets = service
        .targets
        .iter()
        .map(|url| Box::pin(serve(service, context, url)));
    tokio::join!(
        futures_util::future::join_all(targets),
        Box::pin(watch_backlog(service, context)),
    );
}

/// Takes events to one target for ever.
async fn serve(service: &MonitorService, context: &ServiceContext, url: &RelayUrl) {
    let mut failures = 0;
    loop {
        let pause = match turn(service, context, url).await {
            Ok(()) => {
                failures = 0;
                FORWARD_POLL
            }
            Err(error) => {
                // Health is the checks' to report: they use the same database.
                tracing::debug!(
                    relay.url = %url,
                    error = &error as &dyn Error,
                    "cannot find out what waits for a relay",
                );
                failures += 1;
                DATABASE_BACKOFF.delay(failures - 1, &mut rand::rng())
            }
        };
        if !context.sleep(pause).await {
            return;
        }
    }
}

/// Leases a target, if something waits for it, and serves it as long as that goes well.
async fn turn(
    service: &MonitorService,
    context: &ServiceContext,
    url: &RelayUrl,
) -> Result<(), StepError> {
    let lease = service.store.lease_report_target(url, lease_seconds());
    let Some(target) = bounded(lease).await? else {
        return Ok(());
    };
    let end = match open(service, context, url).await {
        Ok(mut session) => {
            let end = converse(service, context, target, &mut session).await;
            session.close().await;
            end?
        }
        Err(end) => end,
    };
    let now = service.clock.now();
    let (due_at, failures, error) = match &end {
        End::Done => (now, 0, None),
        End::Failed(reason) => {
            tracing::info!(relay.url = %url, reason, "cannot publish to a relay: trying again");
            service.metrics.count_forwarded("failed", 1);
            let pause = TARGET_BACKOFF.delay(target.failures, &mut rand::rng());
            let due_at = now.saturating_add_unsigned(pause.as_secs().max(1));
            (
                due_at,
                target.failures.saturating_add(1),
                Some(reason.as_str()),
            )
        }
    };
    let release = service
        .store
        .release_report_target(target, due_at, failures, error);
    Ok(bounded(release).await?)
}

/// Connects to a target, through the same guard as every check.
async fn open(
    service: &MonitorService,
    context: &ServiceContext,
    url: &RelayUrl,
) -> Result<Session, End> {
    let config = SessionConfig {
        max_bytes: Some(MAX_SESSION_BYTES),
        // Whoever publishes may be asked who they are.
        keys: Some(service.keys.clone()),
        ..SessionConfig::default()
    };
    tokio::select! {
        () = context.stop.cancelled() => Err(End::Done),
        opened = Session::connect(&service.dialer, url, &config) => {
            opened.map_err(|error| End::Failed(error.reason().to_owned()))
        }
    }
}

/// Sends what waits, and what comes while the connection is open.
async fn converse(
    service: &MonitorService,
    context: &ServiceContext,
    mut target: ReportTarget,
    session: &mut Session,
) -> Result<End, StepError> {
    let mut idle_since = Instant::now();
    let mut kept_at = Instant::now();
    loop {
        if context.stop.is_cancelled() {
            return Ok(End::Done);
        }
        let queued = service.store.next_reports(
            target,
            REPORT_KIND,
            service.clock.now() - stale_seconds(service),
            FORWARD_WINDOW,
        );
        let queued = bounded(queued).await?;
        let work = !queued.is_empty();
        let window = tokio::select! {
            // What was sent without an answer is sent again: it is a duplicate there then.
            () = context.stop.cancelled() => return Ok(End::Done),
            window = send_window(session, queued) => window,
        };
        // With nothing to settle, the lease is kept all the same.
        if work || kept_at.elapsed() >= FORWARD_LEASE / 4 {
            let settle = service.store.settle_reports(
                target,
                &window.taken,
                &window.refused,
                lease_seconds(),
            );
            bounded(settle).await?;
            kept_at = Instant::now();
        }
        let metrics = &service.metrics;
        metrics.count_forwarded("taken", window.taken.len());
        metrics.count_forwarded("refused", window.refused.len());
        if let Some(reason) = window.broken {
            return Ok(End::Failed(reason));
        }
        if work {
            if window.taken.is_empty() {
                let reason = "it takes none of our events".to_owned();
                return Ok(End::Failed(reason));
            }
            target.failures = 0;
            idle_since = Instant::now();
            continue;
        }
        if idle_since.elapsed() >= FORWARD_IDLE {
            return Ok(End::Done);
        }
        // Pings are answered meanwhile; anything else is not for us.
        tokio::select! {
            () = context.stop.cancelled() => return Ok(End::Done),
            heard = session.next(Instant::now() + FORWARD_POLL) => {
                if heard.is_err() {
                    // It hung up while nothing waited: no failure.
                    return Ok(End::Done);
                }
            }
        }
    }
}

/// Keeps the metric of what waits.
async fn watch_backlog(service: &MonitorService, context: &ServiceContext) {
    loop {
        if let Ok(waiting) = bounded(service.store.count_queued_reports()).await {
            service.metrics.set_forward_backlog(waiting);
        }
        if !context.sleep(BACKLOG_INTERVAL).await {
            return;
        }
    }
}

/// The age, in seconds, at which a report that waits is worth nothing any more: the relay may be
/// offline by now, and the next report is overdue.
fn stale_seconds(service: &MonitorService) -> i64 {
    let age = service.config.publish_interval * 2;
    i64::try_from(age.as_secs()).unwrap_or(i64::MAX)
}

fn lease_seconds() -> i64 {
    i64::try_from(FORWARD_LEASE.as_secs()).unwrap_or(i64::MAX)
}
