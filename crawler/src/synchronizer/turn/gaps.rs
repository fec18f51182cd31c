//! Closing gaps by other means than those that found them.
//!
//! A second with more events than the relay gives at once is reconciled where the relay can do
//! that, else asked for kind by kind, and it is closed only when the relay's own count says that
//! everything has come. Stretches with invalid or too large events are asked for again: the relay
//! may have got well, and what is too large may have been redefined.

use std::collections::HashSet;
use std::time::Duration;

use bigbrotr_core::filter::Filter;
use bigbrotr_schema::store::{Coverage, Gap, GapCause, KnownEvents};
use tokio::time::Instant;

use super::{Turn, TurnError, USUAL_KINDS};
use crate::limits;
use crate::session::{Page, PageEnd, Session};
use crate::synchronizer::scan::{Answer, Scan, Span};
use crate::synchronizer::sweep::Window;

/// When a gap is tried again that was tried so often (Unix seconds).
pub(super) fn retry_at(now: i64, tries: u32) -> i64 {
    let (first, longest) = limits::GAP_RETRY;
    let factor = 2_u32.saturating_pow(tries.min(16));
    let pause: Duration = first.saturating_mul(factor).min(longest);
    now.saturating_add(pause.as_secs() as i64)
}

impl Turn<'_> {
    /// Tries to close the gaps that are due, a few at a time.
    pub(super) async fn close_gaps(&mut self, session: &mut Session) -> Result<(), TurnError> {
        let (store, relay) = (&self.shared.store, self.task.relay.id);
        let largest = self.wanted.max_event_bytes as i64;
        let due = self
            .shared
            .durably(|| store.list_due_gaps(relay, largest, limits::GAPS_PER_TURN))
            .await?;
        for gap in due {
            if Instant::now() >= self.deadline || self.shared.context.stop.is_cancelled() {
                break;
            }
            let next = retry_at(self.shared.clock.now(), gap.tries);
            let postpone = || store.postpone_gap(relay, &gap, next, largest);
            // What waits for its time is put off before the try: one at which the relay hangs up
            // would be made again in every turn.
            let waits = gap.cause != GapCause::TooLarge;
            if waits {
                self.shared.durably(postpone).await?;
            }
            if self.close(session, &gap).await? {
                self.shared.metrics.gaps_closed.inc();
                self.shared
                    .durably(|| store.delete_gap(relay, &gap))
                    .await?;
            } else if !waits {
                self.shared.durably(postpone).await?;
            }
        }
        Ok(())
    }

    async fn close(&mut self, session: &mut Session, gap: &Gap) -> Result<bool, TurnError> {
        for n in 0..self.slices.active.len() {
            let is_closed = match gap.cause {
                GapCause::Crowded => self.close_crowded(session, n, gap).await?,
                GapCause::Invalid | GapCause::TooLarge => self.page_again(session, n, gap).await?,
            };
            if !is_closed {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks for a stretch once more; says whether everything that came could be taken.
    async fn page_again(
        &mut self,
        session: &mut Session,
        n: usize,
        gap: &Gap,
    ) -> Result<bool, TurnError> {
        let span = Span {
            floor: gap.since,
            until: Some(gap.until),
            goal: gap.until,
            resumed: None,
        };
        let mut scan = Scan::new(Coverage::default(), span, self.wanted.page_limit);
        while let Some(question) = scan.question() {
            if Instant::now() >= self.deadline {
                return Ok(false);
            }
            let mut filter = self.filter(n, question.since, question.until);
            filter.limit = Some(question.limit);
            let Some(page) = self.whole_page(session, &filter).await? else {
                return Ok(false);
            };
            let answer = Answer {
                times: page.events.iter().map(|event| event.created_at).collect(),
                ..Answer::default()
            };
            let is_clean = page.refused.total() == 0;
            if self.keep(page).await? > 0 || !is_clean {
                return Ok(false);
            }
            match scan.accept(&answer) {
                Ok(crowded) if crowded.is_empty() => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn close_crowded(
        &mut self,
        session: &mut Session,
        n: usize,
        gap: &Gap,
    ) -> Result<bool, TurnError> {
        let window = Window {
            since: gap.since,
            until: Some(gap.until),
        };
        if self.may_reconcile(n, self.shared.clock.now()) {
            return self.reconcile_gap(session, n, window).await;
        }
        let whole = self.filter(n, Some(gap.since), Some(gap.until));
        for kind in self.likely_kinds(n).await? {
            if Instant::now() >= self.deadline {
                return Ok(false);
            }
            let filter = Filter {
                kinds: Some([kind].into()),
                limit: Some(limits::MAX_PAGE_EVENTS),
                ..whole.clone()
            };
            match self.whole_page(session, &filter).await? {
                Some(page) => drop(self.keep(page).await?),
                None => return Ok(false),
            }
        }
        let deadline = Instant::now() + self.limits.idle_timeout;
        let count = session
            .count(&whole, deadline)
            .await
            .map_err(TurnError::Disconnected)?;
        let Some(count) = count else { return Ok(false) };
        let (store, relay) = (&self.shared.store, self.task.relay.id);
        let most = limits::MAX_PAGE_EVENTS * limits::SYNC_MAX_KINDS;
        let known = self
            .shared
            .durably(|| store.known_events(relay, &whole, most, true))
            .await?;
        Ok(match known {
            KnownEvents::All(events) => events.len() as u64 >= count,
            KnownEvents::TooMany => false,
        })
    }

    async fn reconcile_gap(
        &mut self,
        session: &mut Session,
        n: usize,
        window: Window,
    ) -> Result<bool, TurnError> {
        let nothing = HashSet::new();
        let outcome = self
            .reconcile(session, n, window, (&nothing, &mut 0))
            .await?;
        Ok(matches!(outcome, super::reconcile::Outcome::Done(_)))
    }

    /// The kinds that the relay may have in a second: those that it has elsewhere, and the usual
    /// ones.
    async fn likely_kinds(&self, n: usize) -> Result<Vec<u16>, TurnError> {
        let kinds = &self.slices.active[n].selection.kinds;
        if let Some(few) = kinds.list(limits::SYNC_MAX_KINDS) {
            return Ok(few.into_iter().collect());
        }
        let (store, relay) = (&self.shared.store, self.task.relay.id);
        let most = limits::SYNC_MAX_KINDS as i64;
        let mut likely = self
            .shared
            .durably(|| store.list_relay_kinds(relay, most))
            .await?;
        likely.extend(USUAL_KINDS);
        likely.sort_unstable();
        likely.dedup();
        likely.retain(|kind| kinds.contains(*kind));
        Ok(likely)
    }

    /// Fetches a page; `None` when it did not end as a whole.
    async fn whole_page(
        &mut self,
        session: &mut Session,
        filter: &Filter,
    ) -> Result<Option<Page>, TurnError> {
        let fetch = session.fetch_page(filter, &self.limits);
        let Some(page) = self.unless_stopped(Box::pin(fetch)).await else {
            return Ok(None);
        };
        match page.end {
            PageEnd::Eose => Ok(Some(page)),
            PageEnd::Disconnected(error) => Err(TurnError::Disconnected(error)),
            _ => {
                self.keep(page).await?;
                Ok(None)
            }
        }
    }

    /// Archives a page's events; returns how many were refused.
    async fn keep(&mut self, mut page: Page) -> Result<u64, TurnError> {
        let mut sorted = self.sort(&mut page);
        let ingested = self
            .archive(std::mem::take(&mut sorted.wanted))
            .await?
            .ingested;
        self.record(sorted.progress(ingested)).await?;
        Ok(ingested.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_grow_to_a_bound() {
        let (first, longest) = limits::GAP_RETRY;
        assert_eq!(retry_at(100, 0), 100 + first.as_secs() as i64);
        assert_eq!(retry_at(0, 1), 2 * first.as_secs() as i64);
        assert_eq!(retry_at(0, 1_000), longest.as_secs() as i64);
    }
}
