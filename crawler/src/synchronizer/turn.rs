//! One turn on one relay: the thin shell around [`Scan`].
//!
//! It connects, asks what the scan wants to know, hands events to the archive, waits until they
//! are durable, and records what the scan says is proven. Nothing is decided here about
//! completeness.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::ingest::Ingested;
use bigbrotr_schema::store::{Gap, SyncProgress, SyncTask};
use tokio::time::Instant;

use super::Shared;
use super::error::TurnError;
use super::scan::{Answer, Question, Rules, Scan};
use crate::limits;
use crate::session::{Page, PageEnd, PageLimit, PageLimits, Session, SessionConfig};

/// Why a second is a gap.
const TOO_MANY: &str = "more events in one second than the relay returns";

/// Why a stretch is a gap.
const INVALID: &str = "the relay returns events with wrong ids or signatures";

/// Kinds that nearly every relay with events has some of: for relays that do not answer filters
/// which name none.
const USUAL_KINDS: [u16; 12] = [0, 1, 3, 4, 5, 6, 7, 1_984, 9_735, 10_002, 30_023, 30_078];

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

/// The work on one leased relay.
pub(super) struct Turn<'a> {
    shared: &'a Shared,
    task: &'a SyncTask,
    scan: Scan,
    limits: PageLimits,
    deadline: Instant,
    pages: u64,
}

impl<'a> Turn<'a> {
    pub(super) fn new(shared: &'a Shared, task: &'a SyncTask) -> Self {
        let config = &shared.config;
        let rules = Rules {
            since: config.since.unwrap_or(0),
            until: config.until,
            overlap: config.overlap.as_secs() as i64,
            page_limit: config.page_limit as usize,
        };
        let max_event_bytes = config.max_event_bytes.as_usize();
        let limits = PageLimits {
            max_bytes: limits::SYNC_PAGE_BYTES.max(2 * max_event_bytes as u64),
            max_event_bytes,
            // The lease must outlive the page.
            timeout: limits::PAGE_TIMEOUT.min(config.lease / 2),
            idle_timeout: config.request_timeout,
            ..PageLimits::default()
        };
        Self {
            shared,
            task,
            scan: Scan::new(task.coverage, &rules, shared.clock.now()),
            limits,
            deadline: Instant::now() + config.turn_timeout,
            pages: 0,
        }
    }

    /// Works until everything is archived or something ends the turn.
    pub(super) async fn run(&mut self) -> TurnEnd {
        match self.work().await {
            Ok(end) => end,
            Err(TurnError::Store(StoreError::Stopped))
                if self.shared.context.stop.is_cancelled() =>
            {
                TurnEnd::Stopped
            }
            Err(error) => TurnEnd::Failed(error),
        }
    }

    /// Says whether the turn brought the scan further.
    pub(super) fn has_progressed(&self) -> bool {
        *self.scan.coverage() != self.task.coverage
    }

    /// Counts the pages that were asked for.
    pub(super) fn pages(&self) -> u64 {
        self.pages
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
        let end = self.page_through(&mut session).await;
        session.close().await;
        end
    }

    async fn page_through(&mut self, session: &mut Session) -> Result<TurnEnd, TurnError> {
        while let Some(question) = self.scan.question() {
            if Instant::now() >= self.deadline {
                return Ok(TurnEnd::Yielded);
            }
            let filter = self.filter(&question);
            let fetch = session.fetch_page(&filter, &self.limits);
            let Some(page) = self.unless_stopped(Box::pin(fetch)).await else {
                return Ok(TurnEnd::Stopped);
            };
            self.take(page).await?;
        }
        Ok(TurnEnd::CaughtUp)
    }

    fn filter(&self, question: &Question) -> Filter {
        let kinds = self.shared.config.kinds.as_deref();
        let kinds = kinds.or(question.names_kinds.then_some(USUAL_KINDS.as_slice()));
        Filter {
            kinds: kinds.map(|kinds| kinds.iter().copied().collect::<BTreeSet<u16>>()),
            // Never left out: some relays answer nothing to a filter without any condition.
            since: question.since.or(Some(0)),
            until: question.until,
            limit: Some(question.limit),
            ..Filter::default()
        }
    }

    /// Archives what a page brought; then, if it was complete, lets the scan conclude from it.
    async fn take(&mut self, page: Page) -> Result<(), TurnError> {
        self.count(&page);
        let answer = answer(&page);
        let suspicious = Stretch::of(&page.events);
        let ingested = self.archive(page.events).await?;
        let progress = SyncProgress {
            new_events: ingested.new,
            known_events: ingested.known,
            refused_events: ingested.refused + page.refused.total(),
            received_bytes: page.bytes,
        };
        let is_too_large = match &page.end {
            PageEnd::LimitExceeded(PageLimit::Bytes) => true,
            PageEnd::TimedOut => !answer.times.is_empty() && page.took >= self.limits.timeout,
            _ => false,
        };
        let mut outcome = match TurnError::of_page(page.end) {
            Some(_) if is_too_large && self.scan.shrink() => Ok(Vec::new()),
            Some(error) => Err(error),
            None => {
                let excused = ingested.refused > 0 && self.is_excused(suspicious).await?;
                let refused = if excused { 0 } else { ingested.refused };
                self.conclude(&answer, suspicious, refused)
            }
        };
        if let Ok(gaps) = &mut outcome {
            for gap in gaps {
                self.shared.metrics.gaps.inc();
                tracing::warn!(
                    relay.url = %self.task.relay.url, since = gap.since, until = gap.until,
                    reason = gap.reason, "relay has a stretch that cannot be paged through",
                );
                self.shared
                    .durably(|| self.shared.store.insert_gap(self.task.relay.id, gap))
                    .await?;
            }
        }
        self.record(progress).await?;
        outcome.map(drop)
    }

    /// Says whether it is on record that this stretch has events that are not true: then they
    /// are no news, and no reason to fail again.
    async fn is_excused(&self, stretch: Option<Stretch>) -> Result<bool, TurnError> {
        let Some(Stretch { since, until }) = stretch else {
            return Ok(false);
        };
        let relay = self.task.relay.id;
        let recorded = self
            .shared
            .durably(|| self.shared.store.has_gap(relay, since, until))
            .await?;
        Ok(recorded)
    }

    fn conclude(
        &mut self,
        answer: &Answer,
        suspicious: Option<Stretch>,
        refused: u64,
    ) -> Result<Vec<Gap>, TurnError> {
        let mut gaps = Vec::new();
        if refused > 0 {
            if self.task.failures < limits::MAX_INVALID_TURNS {
                return Err(TurnError::Invalid { count: refused });
            }
            gaps.extend(suspicious.map(|Stretch { since, until }| Gap {
                since,
                until,
                reason: INVALID.to_owned(),
            }));
        }
        let seconds = self.scan.accept(answer)?;
        gaps.extend(seconds.into_iter().map(|second| Gap {
            since: second,
            until: second,
            reason: TOO_MANY.to_owned(),
        }));
        Ok(gaps)
    }

    /// Submits events and waits until they are durable, keeping the lease meanwhile.
    async fn archive(&self, events: Vec<Event>) -> Result<Ingested, TurnError> {
        let mut submission = Box::pin(self.shared.ingest.submit(events, Some(self.task.relay.id)));
        let stopped = async {
            self.shared.context.stop.cancelled().await;
            tokio::time::sleep(limits::SYNC_STOP_GRACE).await;
        };
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                ingested = &mut submission => return Ok(ingested?),
                () = &mut stopped => return Err(StoreError::Stopped.into()),
                () = tokio::time::sleep(limits::SYNC_ARCHIVE_TICK.min(self.limits.timeout)) => {}
            }
            // A failure has been reported; the page is waited for all the same.
            let nothing = SyncProgress::default();
            drop(self.shared.attempt(self.update(nothing)).await);
        }
    }

    /// Records what is proven, and keeps the lease.
    async fn record(&self, progress: SyncProgress) -> Result<(), TurnError> {
        self.shared.durably(|| self.update(progress)).await?;
        Ok(())
    }

    async fn update(&self, progress: SyncProgress) -> Result<(), StoreError> {
        let (coverage, lease) = (self.scan.coverage(), self.shared.lease_seconds());
        self.shared
            .store
            .update_sync(self.task.relay.id, coverage, progress, lease)
            .await
    }

    fn count(&mut self, page: &Page) {
        let metrics = &self.shared.metrics;
        self.pages += 1;
        metrics.pages.with_label_values(&[page.end.as_str()]).inc();
        metrics.received_bytes.inc_by(page.bytes);
        for (reason, count) in page.refused.by_reason() {
            metrics.refused.with_label_values(&[reason]).inc_by(count);
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

/// The time that a page's events span.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    since: i64,
    until: i64,
}

impl Stretch {
    fn of(events: &[Event]) -> Option<Self> {
        let times = || events.iter().map(|event| event.created_at);
        Some(Self {
            since: times().min()?,
            until: times().max()?,
        })
    }
}

fn answer(page: &Page) -> Answer {
    let refused = &page.refused;
    Answer {
        times: page.events.iter().map(|event| event.created_at).collect(),
        bad: (refused.unreadable + refused.too_large + refused.malformed) as usize,
        foreign: (refused.wrong_subscription + refused.no_match) as usize,
        late: page.late as usize,
    }
}

/// How long to wait before a relay is asked again.
pub(super) fn pause(shared: &Shared, end: &TurnEnd, failures: u32) -> Duration {
    match end {
        TurnEnd::CaughtUp => shared.config.interval,
        TurnEnd::Yielded | TurnEnd::Stopped => Duration::ZERO,
        TurnEnd::Failed(_) => {
            let attempt = failures.saturating_sub(1);
            shared.config.retry.delay(attempt, &mut rand::rng())
        }
    }
}
