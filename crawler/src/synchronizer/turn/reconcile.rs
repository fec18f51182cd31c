//! Catching up by reconciliation (NIP-77): the shell around [`Sweep`].
//!
//! A relay that is new and has much the same as the archive is reconciled against all of that, so
//! that differences alone are named; any other against what it is known to have. What its word is
//! worth is found out in `trust`.

use std::collections::HashSet;

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::store::{KnownEvents, SyncMethod, SyncProgress};
use tokio::time::Instant;

use super::fetch::Obtained;
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
    /// The turn's time is up.
    OutOfTime,
    Stopped,
}

/// What a relay told in a window.
#[derive(Default)]
struct Told {
    /// Events that it has and that we did not name.
    needed: usize,
    /// Of them, those that were archived, by it or before.
    gained: usize,
    /// Events that we named and that it does not have.
    lacking: HashSet<EventId>,
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
                Outcome::OutOfTime => return Ok(Some(TurnEnd::Yielded)),
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
        let is_first = self.slices.active[n].coverage.covered_to.is_none();
        let is_alike = is_first && self.likeness.is_alike();
        let (store, relay) = (&self.shared.store, self.task.relay.id);
        let known = if is_alike {
            let archived = || store.archived_events(&filter, most);
            self.shared.durably(archived).await
        } else {
            let known = || store.known_events(relay, &filter, most, is_sure);
            self.shared.durably(known).await
        };
        let items = match known {
            Ok(KnownEvents::All(items)) => items,
            Ok(KnownEvents::TooMany) => return Ok(Outcome::TooMany),
            Err(error) => return Err(error.into()),
        };
        let named: Vec<EventId> = items.iter().map(|(_, id)| *id).collect();
        let mut told = Told::default();
        let limits = self.bounds();
        let open = session.open_reconciliation(&filter, items, limits);
        let Some(open) = self.unless_stopped(Box::pin(open)).await else {
            return Ok(Outcome::Stopped);
        };
        let mut open = match open {
            Ok(open) => open,
            Err(refusal) => return self.judge(refusal, true),
        };
        let mut bytes = 0;
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
                    if is_alike {
                        return self.link_alike(session, window, named, told).await;
                    }
                    if is_first {
                        self.compare(&filter, most, &told).await?;
                    }
                    return Ok(Outcome::Done(named.len() + told.needed));
                }
                Err(ReconcileRefusal::Closed(_)) if told.gained > 0 => {
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
            told.needed += differences.need.len();
            if is_alike {
                told.lacking.extend(differences.have);
            }
            let had = self.summary.new_events + self.summary.known_events;
            let obtained = self.obtain(session, window, &differences.need).await?;
            if obtained == Obtained::Stopped {
                return Ok(Outcome::Stopped);
            }
            if obtained == Obtained::OutOfTime {
                session.close_reconciliation(open).await;
                return Ok(Outcome::OutOfTime);
            }
            let gained = self.summary.new_events + self.summary.known_events - had;
            told.gained += gained as usize;
            if self.promises.1 >= limits::BROKEN_PROMISES && self.is_in_doubt() {
                session.close_reconciliation(open).await;
                return Ok(Outcome::Doubtful);
            }
        }
    }

    /// The bounds of one reconciliation: the lease must outlive the waits.
    fn bounds(&self) -> ReconcileLimits {
        let lease = self.shared.config.lease;
        let limits = ReconcileLimits::default();
        ReconcileLimits {
            round_timeout: limits.round_timeout.min(lease / 2),
            silence: limits.silence.min(lease / 4),
            ..limits
        }
    }

    /// Links what a relay has of all that was named to it, once it has given some of that.
    async fn link_alike(
        &mut self,
        session: &mut Session,
        window: Window,
        named: Vec<EventId>,
        told: Told,
    ) -> Result<Outcome, TurnError> {
        let archived = named.len();
        let mut has = named;
        has.retain(|id| !told.lacking.contains(id));
        match self.gives(session, &has).await? {
            None => return Ok(Outcome::Stopped),
            Some(false) => return Ok(Outcome::Refused("has not what it says it has".to_owned())),
            Some(true) => {}
        }
        self.link(window, &has).await?;
        let relay = has.len() + told.needed;
        self.likeness.note(archived, relay, has.len());
        Ok(Outcome::Done(relay))
    }

    /// Compares what a relay that is new has of a window with what the archive has.
    async fn compare(
        &mut self,
        filter: &Filter,
        most: usize,
        told: &Told,
    ) -> Result<(), TurnError> {
        // What was fetched is archived by now: counting is worth it only where that was little.
        if told.gained == 0 {
            return Ok(());
        }
        let store = &self.shared.store;
        let archived = self
            .shared
            .durably(|| store.archived_events(filter, most))
            .await?;
        if let KnownEvents::All(archived) = archived {
            self.likeness.note(archived.len(), told.needed, told.gained);
        }
        Ok(())
    }

    /// Decides what follows from a refusal. At the opening, a relay that hangs up or does not
    /// answer in time is not asked again for a while: it may be its only word for no.
    fn judge(&mut self, refusal: ReconcileRefusal, is_opening: bool) -> Result<Outcome, TurnError> {
        let reason = refusal.reason();
        self.shared.metrics.refuse_reconciliation(reason);
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
