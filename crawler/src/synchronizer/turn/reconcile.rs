//! Catching up by reconciliation (NIP-77): the shell around [`Sweep`].
//!
//! A relay's word that it has nothing else is worth something only where it does not contradict
//! what it gives: before everything is reconciled, its newest page is asked for, and events of it
//! that the relay then says it has not are the end of its credit.

use std::collections::HashSet;

use bigbrotr_core::event::EventId;
use bigbrotr_schema::store::{KnownEvents, SyncMethod, SyncProgress};
use tokio::time::Instant;

use super::{Turn, TurnEnd, TurnError};
use crate::limits;
use crate::session::{ReconcileLimits, ReconcileRefusal, Session};
use crate::synchronizer::scan::Span;
use crate::synchronizer::sweep::{Sweep, Window};

/// What became of a window.
pub(super) enum Outcome {
    /// It is reconciled; so many events are in it.
    Done(usize),
    /// It holds too much.
    TooMany,
    /// The relay will not, or cannot be believed: why.
    Refused(String),
    /// What it promised did not come.
    Doubtful,
    /// The relay broke off, after it had told something: the rest is there for the asking.
    Again,
    Stopped,
}

impl Turn<'_> {
    /// Says whether a slice may be reconciled now.
    pub(super) fn may_reconcile(&self, n: usize, now: i64) -> bool {
        // What the archive knows of tags is not indexed.
        self.wanted.negentropy
            && !self.is_doubted
            && self.state.negentropy_retry_at <= now
            && self.slices.active[n].selection.tags.is_empty()
    }

    /// Reconciles a stretch of a slice. Returns how the turn ended, if it did. Where the relay
    /// refuses, that is remembered, and what is left has to be paged.
    pub(super) async fn sweep(
        &mut self,
        session: &mut Session,
        n: usize,
        span: Span,
    ) -> Result<Option<TurnEnd>, TurnError> {
        let is_whole = span.floor <= self.wanted.since;
        let sample = if is_whole && span.resumed.is_none() {
            match self.sample(session, n, span).await? {
                Some(sample) => sample,
                None => return Ok(Some(TurnEnd::Stopped)),
            }
        } else {
            HashSet::new()
        };
        let target = self.shared.config.negentropy.window_events as usize;
        let mut sweep = Sweep::new(self.slices.active[n].coverage, span, target);
        let mut denied = 0;
        while let Some(window) = sweep.window() {
            if Instant::now() >= self.deadline {
                return Ok(Some(TurnEnd::Yielded));
            }
            let reconciled = self
                .reconcile(session, n, window, (&sample, &mut denied))
                .await?;
            match reconciled {
                Outcome::Done(events) => {
                    self.state.method = Some(SyncMethod::Negentropy);
                    self.state.negentropy_refusal = None;
                    sweep.accept(events);
                    let slice = &mut self.slices.active[n];
                    slice.coverage = *sweep.coverage();
                    if sweep.window().is_none() && (is_whole || slice.full_at.is_none()) {
                        slice.full_at = Some(self.shared.clock.now());
                    }
                    self.record(SyncProgress::default()).await?;
                }
                Outcome::TooMany if sweep.split() => {}
                Outcome::TooMany => {
                    self.refused("too many events in one second");
                    break;
                }
                Outcome::Refused(why) => {
                    self.refused(&why);
                    break;
                }
                Outcome::Again => {}
                Outcome::Doubtful => {
                    if self.promises.1 >= limits::BROKEN_PROMISES {
                        self.refused("promises what it does not give");
                    }
                    self.is_doubted = true;
                    break;
                }
                Outcome::Stopped => return Ok(Some(TurnEnd::Stopped)),
            }
        }
        Ok(None)
    }

    /// Archives the newest page and returns what was in it. `None` when the service has to stop.
    async fn sample(
        &mut self,
        session: &mut Session,
        n: usize,
        span: Span,
    ) -> Result<Option<HashSet<EventId>>, TurnError> {
        let mut filter = self.filter(n, Some(span.floor), span.until.or(Some(span.goal)));
        filter.limit = Some(self.wanted.page_limit.min(limits::RECONCILE_SAMPLE));
        let fetch = session.fetch_page(&filter, &self.limits);
        let Some(mut page) = self.unless_stopped(Box::pin(fetch)).await else {
            return Ok(None);
        };
        let mut sorted = self.sort(&mut page);
        let events = std::mem::take(&mut sorted.wanted);
        let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
        let report = self.archive(events).await?;
        let bad = sorted.refused.values().sum::<u64>() + report.ingested.refused;
        let good = report.ingested.new + report.ingested.known;
        self.record(sorted.progress(report.ingested)).await?;
        if let Some(error) = TurnError::of_page(page.end) {
            return Err(error);
        }
        self.bear(good, bad).await?;
        let refused: HashSet<usize> = report.refused.iter().map(|r| r.position).collect();
        let sample = ids.into_iter().enumerate();
        let sample = sample.filter(|(n, _)| !refused.contains(n) && !report.unkept.contains(n));
        Ok(Some(sample.map(|(_, id)| id).collect()))
    }

    pub(super) async fn reconcile(
        &mut self,
        session: &mut Session,
        n: usize,
        window: Window,
        (sample, denied): (&HashSet<EventId>, &mut usize),
    ) -> Result<Outcome, TurnError> {
        let filter = self.filter(n, Some(window.since), window.until);
        let most = self.shared.config.negentropy.window_events as usize * 4;
        let is_sure =
            self.task.has_events || self.summary.new_events + self.summary.known_events > 0;
        let (store, relay) = (&self.shared.store, self.task.relay.id);
        let known = self
            .shared
            .durably(|| store.known_events(relay, &filter, most, is_sure))
            .await;
        let items = match known {
            Ok(KnownEvents::All(items)) => items,
            Ok(KnownEvents::TooMany) => return Ok(Outcome::TooMany),
            Err(error) => return Err(error.into()),
        };
        let mut events = items.len();
        let lease = self.shared.config.lease;
        let limits = ReconcileLimits::default();
        let limits = ReconcileLimits {
            // The lease must outlive the wait.
            round_timeout: limits.round_timeout.min(lease / 2),
            silence: limits.silence.min(lease / 4),
            ..limits
        };
        let open = session.open_reconciliation(&filter, items, limits);
        let Some(open) = self.unless_stopped(Box::pin(open)).await else {
            return Ok(Outcome::Stopped);
        };
        let mut open = match open {
            Ok(open) => open,
            Err(refusal) => return self.judge(refusal, true),
        };
        let (mut bytes, mut has_told) = (0, false);
        loop {
            let next = session.next_differences(&mut open);
            let Some(next) = self.unless_stopped(Box::pin(next)).await else {
                return Ok(Outcome::Stopped);
            };
            let received = open.bytes() - bytes;
            bytes = open.bytes();
            self.shared.metrics.rounds.inc();
            let progress = SyncProgress {
                received_bytes: received,
                ..SyncProgress::default()
            };
            let differences = match next {
                Ok(Some(differences)) => differences,
                Ok(None) => {
                    self.record(progress).await?;
                    if self.is_in_doubt() {
                        return Ok(Outcome::Doubtful);
                    }
                    return Ok(Outcome::Done(events));
                }
                Err(ReconcileRefusal::Closed(_)) if has_told => {
                    self.record(progress).await?;
                    return Ok(Outcome::Again);
                }
                Err(refusal) => {
                    self.record(progress).await?;
                    return self.judge(refusal, false);
                }
            };
            self.record(progress).await?;
            *denied += differences
                .have
                .iter()
                .filter(|id| sample.contains(id))
                .count();
            if *denied > 2.max(sample.len() / 10) {
                session.close_reconciliation(open).await;
                return Ok(Outcome::Refused("says it has not what it gives".to_owned()));
            }
            events += differences.need.len();
            let had = self.summary.new_events + self.summary.known_events;
            let obtained = self.obtain(session, window, &differences.need).await?;
            if obtained.is_none() {
                return Ok(Outcome::Stopped);
            }
            has_told |= self.summary.new_events + self.summary.known_events > had;
            if self.promises.1 >= limits::BROKEN_PROMISES && self.is_in_doubt() {
                session.close_reconciliation(open).await;
                return Ok(Outcome::Doubtful);
            }
        }
    }

    /// Decides what follows from a refusal. At the opening, a relay that hangs up or does not
    /// answer in time is not asked again for a while: it may be its only word for no.
    fn judge(&mut self, refusal: ReconcileRefusal, is_opening: bool) -> Result<Outcome, TurnError> {
        self.shared
            .metrics
            .refusals
            .with_label_values(&[refusal.reason()])
            .inc();
        if refusal.is_too_many() {
            return Ok(Outcome::TooMany);
        }
        if refusal.is_permanent_for_now() {
            return Ok(Outcome::Refused(refusal.to_string()));
        }
        let is_no = is_opening
            && matches!(
                refusal,
                ReconcileRefusal::Disconnected(_)
                    | ReconcileRefusal::TimedOut
                    | ReconcileRefusal::Closed(_)
            );
        if is_no {
            self.refused(&refusal.to_string());
        }
        Err(TurnError::Reconcile(refusal))
    }

    /// Remembers that the relay does not reconcile.
    fn refused(&mut self, why: &str) {
        tracing::debug!(
            relay.url = %self.task.relay.url, reason = why,
            "relay is not reconciled with: paging",
        );
        let pause = self.shared.config.negentropy.refusal.as_secs() as i64;
        self.state.negentropy_retry_at = self.shared.clock.now() + pause;
        let why = why.chars().take(limits::KEPT_TEXT_CHARS).collect();
        self.state.negentropy_refusal = Some(why);
    }
}
