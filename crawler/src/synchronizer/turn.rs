//! One turn on one relay: the thin shell around [`Scan`](super::scan::Scan) and
//! [`Sweep`](super::sweep::Sweep).
//!
//! It connects, catches up with what is wanted (by reconciliation where the relay can, page by
//! page where it cannot), tries to close gaps, and then follows the relay live, for as long as
//! that lasts. Events are handed to the archive; what is proven is recorded once they are
//! durable. Nothing is decided here about completeness.

mod fetch;
mod gaps;
mod live;
mod paging;
mod reconcile;
mod trust;

use std::collections::BTreeMap;
use std::future::Future;

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::ingest::{IngestReport, Ingested};
use bigbrotr_schema::store::{Gap, GapCause, SyncProgress, SyncState, SyncTask};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Shared;
use super::error::TurnError;
use super::likeness::Likeness;
use super::rubbish::{Patience, Rubbish};
use super::scan::{Rules, Span};
use super::slices::Slices;
use super::wanted::Wanted;
use crate::limits;
use crate::session::{Page, PageLimits, Session, SessionConfig};

/// Kinds that nearly every relay with events has some of: for relays that do not answer filters
/// which name none.
const USUAL_KINDS: [u16; 12] = [0, 1, 3, 4, 5, 6, 7, 1_984, 9_735, 10_002, 30_023, 30_078];

/// The one of them that relays hide from those whom it is not for (NIP-04).
const DIRECT_MESSAGE: u16 = 4;

/// How a turn ended.
#[derive(Debug)]
pub(super) enum TurnEnd {
    /// Everything is archived.
    CaughtUp,
    /// The time is up; there is more to do.
    Yielded,
    /// The service has to stop.
    Stopped,
    /// The relay or the database made it impossible to go on.
    Failed(TurnError),
}

impl TurnEnd {
    /// Names the end from a closed set.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::CaughtUp => "caught_up",
            Self::Yielded => "yielded",
            Self::Stopped => "stopped",
            Self::Failed(error) => error.reason(),
        }
    }
}

/// What a turn came to, for the schedule.
#[derive(Debug, Clone, Default)]
pub(super) struct TurnSummary {
    /// Events that were new to the archive.
    pub(super) new_events: u64,
    /// Events that the archive had.
    pub(super) known_events: u64,
    /// Whether more is archived than before.
    pub(super) has_progressed: bool,
    /// Pages asked for.
    pub(super) pages: u64,
}

/// The work on one leased relay.
pub(super) struct Turn<'a> {
    shared: &'a Shared,
    task: &'a SyncTask,
    wanted: Wanted,
    slices: Slices,
    /// What is recorded beside the slices.
    state: SyncState,
    limits: PageLimits,
    /// One of the places among those who catch up; given up while following live.
    place: Option<OwnedSemaphorePermit>,
    deadline: Instant,
    summary: TurnSummary,
    rubbish: Rubbish,
    /// Whether promises of the relay were broken before.
    has_missing: bool,
    /// Ids promised in this turn, and those of them that were not given.
    promises: (u64, u64),
    /// Whether the relay's word is not enough for this turn.
    is_doubted: bool,
    /// What a relay that is new has in common with the archive.
    likeness: Likeness,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        task: &'a SyncTask,
        wanted: Wanted,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let config = &shared.config;
        let limits = PageLimits {
            max_bytes: limits::SYNC_PAGE_BYTES.max(2 * wanted.max_event_bytes as u64),
            max_event_bytes: wanted.max_event_bytes,
            // The lease must outlive the page.
            timeout: limits::PAGE_TIMEOUT.min(config.lease / 2),
            idle_timeout: config.request_timeout,
            ..PageLimits::default()
        };
        let stored = task.state.slices.clone();
        Self {
            slices: Slices::plan(stored, task.state.summary, &wanted.selection),
            state: task.state.clone(),
            shared,
            task,
            wanted,
            limits,
            place: Some(place),
            deadline: Instant::now() + config.turn_timeout,
            summary: TurnSummary::default(),
            rubbish: Rubbish::default(),
            has_missing: false,
            promises: (0, 0),
            is_doubted: false,
            likeness: Likeness::default(),
        }
    }

    /// Works until something ends the turn.
    pub(super) async fn run(&mut self) -> TurnEnd {
        match self.work().await {
            Ok(end) => end,
            Err(TurnError::Store(StoreError::Stopped))
                if self.shared.context.stop.is_cancelled() =>
            {
                TurnEnd::Stopped
            }
            Err(error) => {
                if !matches!(error, TurnError::LeaseLost | TurnError::Store(_)) {
                    // What was learnt of the relay on the way outlives the failure.
                    drop(self.record(SyncProgress::default()).await);
                    if self.rubbish.is_most() {
                        tracing::debug!(
                            relay.url = %self.task.relay.url,
                            error = &error as &dyn std::error::Error,
                            "relay sends mostly rubbish",
                        );
                        return TurnEnd::Failed(TurnError::Rubbish);
                    }
                }
                TurnEnd::Failed(error)
            }
        }
    }

    /// Tells what the turn came to.
    pub(super) fn summary(&self) -> TurnSummary {
        self.summary.clone()
    }

    async fn work(&mut self) -> Result<TurnEnd, TurnError> {
        let config = SessionConfig {
            keys: Some(self.shared.keys.clone()),
            ..SessionConfig::default()
        };
        let connect = Session::connect(&self.shared.dialer, &self.task.relay.url, &config);
        let Some(session) = self.unless_stopped(Box::pin(connect)).await else {
            return Ok(TurnEnd::Stopped);
        };
        let mut session = session.map_err(TurnError::Connect)?;
        let end = self.converse(&mut session).await;
        session.close().await;
        end
    }

    async fn converse(&mut self, session: &mut Session) -> Result<TurnEnd, TurnError> {
        self.recall().await?;
        let end = Box::pin(self.catch_up(session, false)).await?;
        if !matches!(end, TurnEnd::CaughtUp) {
            return Ok(end);
        }
        Box::pin(self.close_gaps(session)).await?;
        Box::pin(self.follow(session)).await
    }

    /// Lets events be asked for again that were not wanted before.
    async fn recall(&mut self) -> Result<(), TurnError> {
        let (store, relay) = (&self.shared.store, self.task.relay.id);
        self.has_missing = self.shared.durably(|| store.count_missing(relay)).await? > 0;
        if self.has_missing && self.slices.is_wider {
            let causes = [bigbrotr_schema::store::MissingCause::Unwanted];
            self.shared
                .durably(|| store.recall_missing(relay, &causes))
                .await?;
        }
        Ok(())
    }

    /// Archives everything that the relay has of what is wanted, as of now. What came within the
    /// second where the last scan ended is looked for only if `is_hole` says so.
    async fn catch_up(
        &mut self,
        session: &mut Session,
        is_hole: bool,
    ) -> Result<TurnEnd, TurnError> {
        let mut now = self.shared.clock.now();
        self.limits.new_from = Some(now - limits::NEW_EVENT_SECONDS);
        if is_hole && let Some(covered) = self.slices.summary().covered_to {
            now = now.max(covered.saturating_add(1));
        }
        for n in 0..self.slices.active.len() {
            while let Some(span) = self.next_span(n, now) {
                if Instant::now() >= self.deadline {
                    return Ok(TurnEnd::Yielded);
                }
                self.state.scan_began_at.get_or_insert(now);
                let end = if self.may_reconcile(n, now) {
                    Box::pin(self.sweep(session, n, span)).await?
                } else {
                    Box::pin(self.page_through(session, n, span)).await?
                };
                if let Some(end) = end {
                    return Ok(end);
                }
                // What was refused goes on page by page.
            }
        }
        self.slices.join(&self.wanted);
        self.state.caught_up_at = Some(now);
        self.state.scan_began_at = None;
        self.record(SyncProgress::default()).await?;
        self.shared.metrics.caught_up(self.task.relay.id, true);
        Ok(TurnEnd::CaughtUp)
    }

    /// Returns what of a slice is to be scanned next.
    fn next_span(&self, n: usize, now: i64) -> Option<Span> {
        let slice = &self.slices.active[n];
        let config = &self.shared.config;
        let interval = if self.may_reconcile(n, now) {
            config.negentropy.full_interval
        } else {
            config.rescan_interval
        };
        let is_full = slice
            .full_at
            .is_some_and(|at| at.saturating_add(interval.as_secs() as i64) <= now);
        Span::next(&slice.coverage, &self.rules(), now, is_full)
    }

    fn rules(&self) -> Rules {
        Rules {
            since: self.wanted.since,
            until: self.wanted.until,
            overlap: self.shared.config.overlap.as_secs() as i64,
            page_limit: self.wanted.page_limit,
        }
    }

    /// Returns the filter for a stretch of a slice.
    fn filter(&self, n: usize, since: Option<i64>, until: Option<i64>) -> Filter {
        Filter {
            // Never left out: some relays answer nothing to a filter without any condition.
            since: since.or(Some(0)),
            until,
            ..self.slices.active[n]
                .selection
                .filter(limits::SYNC_MAX_KINDS)
        }
    }

    /// Takes what a page brought apart: the events that are wanted, what else there was, and
    /// whether it is time to wait.
    fn sort(&mut self, page: &mut Page) -> Sorted {
        self.count(page);
        let (wanted, unwanted) = std::mem::take(&mut page.events)
            .into_iter()
            .partition(|event| self.wanted.selection.matches(event));
        let mut refused: BTreeMap<&'static str, u64> =
            page.refused.by_reason().into_iter().collect();
        refused.retain(|_, count| *count > 0);
        Sorted {
            wanted,
            unwanted,
            refused,
            bytes: page.bytes,
        }
    }

    /// Judges what came by how much of it was good, and waits where there is reason to.
    async fn bear(&mut self, good: u64, bad: u64) -> Result<(), TurnError> {
        match self.rubbish.note(good, bad) {
            Patience::Fine => Ok(()),
            Patience::Over => Err(TurnError::Rubbish),
            Patience::Wait(pause) => {
                tracing::debug!(
                    relay.url = %self.task.relay.url, pause_ms = pause.as_millis() as u64,
                    "relay sends rubbish: waiting before the next question",
                );
                self.record(SyncProgress::default()).await?;
                self.shared
                    .context
                    .sleep(pause.min(self.shared.config.lease / 2))
                    .await;
                Ok(())
            }
        }
    }

    /// Submits events and waits until they are durable, keeping the lease meanwhile.
    async fn archive(&self, events: Vec<Event>) -> Result<IngestReport, TurnError> {
        let relay = Some(self.task.relay.id);
        let mut submission = Box::pin(self.shared.ingest.submit_reporting(events, relay));
        let stopped = async {
            self.shared.context.stop.cancelled().await;
            tokio::time::sleep(limits::SYNC_STOP_GRACE).await;
        };
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                report = &mut submission => return Ok(report?),
                () = &mut stopped => return Err(StoreError::Stopped.into()),
                () = tokio::time::sleep(limits::SYNC_ARCHIVE_TICK.min(self.limits.timeout)) => {}
            }
            // A failure has been reported; the events are waited for all the same.
            drop(self.shared.attempt(self.extend()).await);
        }
    }

    /// Keeps the lease.
    async fn extend(&self) -> Result<(), StoreError> {
        let lease = [(self.task.relay.id, self.task.lease)];
        let seconds = self.shared.lease_seconds();
        drop(self.shared.store.extend_syncs(&lease, seconds).await?);
        Ok(())
    }

    /// Records what is proven and what came, and keeps the lease.
    async fn record(&mut self, progress: SyncProgress) -> Result<(), TurnError> {
        self.summary.new_events += progress.new_events;
        self.summary.known_events += progress.known_events;
        self.shared.metrics.progress(&progress);
        self.state.slices = self.slices.all();
        let summary = self.slices.summary();
        self.summary.has_progressed |= summary != self.task.state.summary;
        self.state.summary = summary;
        let (relay, lease) = (self.task.relay.id, self.task.lease);
        let seconds = self.shared.lease_seconds();
        let update = || {
            self.shared
                .store
                .update_sync(relay, lease, &self.state, &progress, seconds)
        };
        if self.shared.durably(update).await? {
            Ok(())
        } else {
            Err(TurnError::LeaseLost)
        }
    }

    /// Records that a stretch is not archived whole.
    async fn note_gap(&self, since: i64, until: i64, cause: GapCause) -> Result<(), TurnError> {
        let gap = Gap {
            since,
            until,
            cause,
            limit_bytes: self.wanted.max_event_bytes as i64,
            tries: 0,
        };
        self.shared.metrics.gaps.inc();
        tracing::warn!(
            relay.url = %self.task.relay.url, since, until, reason = cause.reason(),
            "relay has a stretch that cannot be archived whole",
        );
        let (store, relay) = (&self.shared.store, self.task.relay.id);
        // Other means may do at once what paging could not.
        let retry_at = match cause {
            GapCause::Crowded => self.shared.clock.now(),
            GapCause::Invalid | GapCause::TooLarge => gaps::retry_at(self.shared.clock.now(), 0),
        };
        self.shared
            .durably(|| store.insert_gap(relay, &gap, retry_at))
            .await?;
        Ok(())
    }

    fn count(&mut self, page: &Page) {
        let metrics = &self.shared.metrics;
        self.summary.pages += 1;
        metrics.page(page.end.as_str());
        for (reason, count) in page.refused.by_reason() {
            metrics.refuse(reason, count);
        }
        tracing::trace!(
            relay.url = %self.task.relay.url, end = page.end.as_str(), events = page.events.len(),
            refused = page.refused.total(), notices = ?page.notices,
            duration_ms = page.took.as_millis() as u64, "page",
        );
    }

    /// Awaits, or returns `None` as soon as the service has to stop.
    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.shared.context.stop.run_until_cancelled(future).await
    }
}

/// A page taken apart.
struct Sorted {
    /// Events to be archived.
    wanted: Vec<Event>,
    /// Events that match the question and are not wanted: it could not be put more exactly.
    unwanted: Vec<Event>,
    /// What was dropped, by reason.
    refused: BTreeMap<&'static str, u64>,
    bytes: u64,
}

impl Sorted {
    /// Adds what another page brought.
    fn add(&mut self, more: Self) {
        self.wanted.extend(more.wanted);
        self.unwanted.extend(more.unwanted);
        self.bytes += more.bytes;
        for (reason, count) in more.refused {
            *self.refused.entry(reason).or_default() += count;
        }
    }

    /// Says what came, now that it is known what became of the events.
    fn progress(mut self, ingested: Ingested) -> SyncProgress {
        let mut refuse = |reason, count| {
            if count > 0 {
                *self.refused.entry(reason).or_default() += count;
            }
        };
        refuse("invalid", ingested.refused);
        refuse("unwanted", ingested.unkept + self.unwanted.len() as u64);
        SyncProgress {
            new_events: ingested.new,
            known_events: ingested.known,
            linked_events: 0,
            received_bytes: self.bytes,
            refused: self.refused,
        }
    }
}
