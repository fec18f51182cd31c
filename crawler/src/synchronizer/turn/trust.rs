//! What a relay's word is worth in a reconciliation.
//!
//! That it has nothing else counts only where it does not contradict what it gives: before
//! everything is reconciled its newest events are asked for, and events of them that it then says
//! it has not are the end of its credit. That it has what was named to it counts only where it
//! gives some of that.

use std::collections::HashSet;

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::ingest::Ingested;
use bigbrotr_schema::store::KnownEvents;

use super::{Turn, TurnError};
use crate::limits;
use crate::session::Session;
use crate::synchronizer::scan::Span;

impl Turn<'_> {
    /// Archives the newest page and returns what was in it. `None` when the service has to stop.
    pub(super) async fn sample(
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
        let oldest = events.iter().map(|event| event.created_at).min();
        let report = self.archive(events).await?;
        let bad = sorted.refused.values().sum::<u64>() + report.ingested.refused;
        let good = report.ingested.new + report.ingested.known;
        self.record(sorted.progress(report.ingested)).await?;
        if let Some(error) = TurnError::of_page(page.end) {
            return Err(error);
        }
        self.bear(good, bad).await?;
        if let Some(oldest) = oldest {
            self.weigh(n, oldest, report.ingested).await?;
        }
        let refused: HashSet<usize> = report.refused.iter().map(|r| r.position).collect();
        let sample = ids.into_iter().enumerate();
        let sample = sample.filter(|(n, _)| !refused.contains(n) && !report.unkept.contains(n));
        Ok(Some(sample.map(|(_, id)| id).collect()))
    }

    /// Compares the newest events of a relay with what the archive has of that time.
    async fn weigh(&mut self, n: usize, oldest: i64, newest: Ingested) -> Result<(), TurnError> {
        let filter = self.filter(n, Some(oldest), None);
        let most = 10 * limits::RECONCILE_SAMPLE;
        let store = &self.shared.store;
        let archived = self
            .shared
            .durably(|| store.archived_events(&filter, most))
            .await?;
        if let KnownEvents::All(archived) = archived {
            let before = archived.len().saturating_sub(newest.new as usize);
            let relay = (newest.new + newest.known) as usize;
            self.likeness.note(before, relay, newest.known as usize);
        }
        Ok(())
    }

    /// Asks for a few of these events, spread evenly, and says whether the relay gives them. `None`
    /// when the service has to stop.
    pub(super) async fn gives(
        &mut self,
        session: &mut Session,
        ids: &[EventId],
    ) -> Result<Option<bool>, TurnError> {
        if ids.is_empty() {
            return Ok(Some(true));
        }
        let step = ids.len().div_ceil(limits::RECONCILE_PROOFS);
        let asked: HashSet<EventId> = ids.iter().step_by(step).copied().collect();
        let filter = Filter {
            limit: Some(asked.len()),
            ids: Some(asked.iter().copied().collect()),
            ..Filter::default()
        };
        let fetch = session.fetch_page(&filter, &self.limits);
        let Some(mut page) = self.unless_stopped(Box::pin(fetch)).await else {
            return Ok(None);
        };
        let mut sorted = self.sort(&mut page);
        let events = std::mem::take(&mut sorted.wanted);
        let report = self.archive(events).await?;
        let given = (report.ingested.new + report.ingested.known) as usize
            + sorted.unwanted.len()
            + page.too_large.len();
        self.record(sorted.progress(report.ingested)).await?;
        match TurnError::of_page(page.end) {
            Some(error) => Err(error),
            // Some may have been replaced or deleted since.
            None => Ok(Some(given * 10 >= asked.len() * 9)),
        }
    }
}
