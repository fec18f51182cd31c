//! Archiving events that a relay named by their ids: those that the archive has are linked, the
//! others fetched, and those that do not come are noted.

use std::collections::HashSet;
use std::time::Duration;

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::ingest::IngestReport;
use bigbrotr_schema::store::{MissingCause, SyncProgress};

use tokio::time::Instant;

use super::{Sorted, Turn, TurnError};
use crate::limits;
use crate::session::{PageEnd, PageLimit, Session};
use crate::synchronizer::sweep::Window;

/// 2^32 over the golden ratio: multiples of it are spread evenly.
const GOLDEN_RATIO: u32 = 0x9E37_79B9;

/// What became of events that a relay named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obtained {
    /// What the relay gives of them is archived.
    All,
    /// The turn's time is up. What came is archived, and is not named again.
    OutOfTime,
    /// The service has to stop.
    Stopped,
}

/// Ids that will not be archived now, by why.
#[derive(Default)]
struct Missing {
    not_given: Vec<EventId>,
    refused: Vec<EventId>,
    too_large: Vec<EventId>,
    unwanted: Vec<EventId>,
}

/// Events by ids that are not durable yet, of some pages.
struct Fetched {
    ids: Vec<EventId>,
    sorted: Sorted,
    since: Instant,
}

impl Fetched {
    fn of(sorted: Sorted) -> Self {
        Self {
            ids: sorted.wanted.iter().map(|event| event.id).collect(),
            sorted,
            since: Instant::now(),
        }
    }

    /// Adds another page. Few large submissions cost the archive less than many small ones.
    fn add(mut self, more: Self) -> Self {
        self.ids.extend(more.ids);
        self.sorted.add(more.sorted);
        self
    }

    /// Says whether it is time to archive what was gathered.
    fn is_enough(&self, patience: Duration) -> bool {
        self.ids.len() >= limits::SYNC_GATHERED_EVENTS
            || self.sorted.bytes >= limits::SYNC_PAGE_BYTES / 2
            || self.since.elapsed() >= patience
    }
}

impl Turn<'_> {
    /// Archives events by the ids that the relay named.
    pub(super) async fn obtain(
        &mut self,
        session: &mut Session,
        window: Window,
        ids: &[EventId],
    ) -> Result<Obtained, TurnError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        // Relays that are caught up with at the same time have much in common: each begins
        // elsewhere, and finds archived what the others have fetched meanwhile.
        let share = (self.task.relay.id.0 as u32).wrapping_mul(GOLDEN_RATIO);
        let first = (u64::from(share) * ids.len() as u64) >> 32;
        ids.rotate_left(first as usize);
        self.fetch(session, window, &ids).await
    }

    /// Links what of these events is archived, and returns the others, but for those that the
    /// relay has promised in vain.
    async fn unknown(
        &mut self,
        window: Window,
        ids: &[EventId],
    ) -> Result<Vec<EventId>, TurnError> {
        let archived = self.link(window, ids).await?;
        let mut unknown: Vec<EventId> = ids
            .iter()
            .filter(|id| !archived.contains(*id))
            .copied()
            .collect();
        if self.has_missing && !unknown.is_empty() {
            let (store, relay) = (&self.shared.store, self.task.relay.id);
            let largest = self.wanted.max_event_bytes as i64;
            let hopeless = self
                .shared
                .durably(|| store.list_missing(relay, &unknown, largest))
                .await?;
            unknown.retain(|id| !hopeless.contains(id));
        }
        self.promises.0 += unknown.len() as u64;
        Ok(unknown)
    }

    /// Records that the relay has those of these events that are archived, and returns them.
    pub(super) async fn link(
        &mut self,
        window: Window,
        ids: &[EventId],
    ) -> Result<HashSet<EventId>, TurnError> {
        let (relay, stop) = (self.task.relay.id, self.shared.context.stop.clone());
        let link = || {
            self.shared
                .ingest
                .link(relay, ids, window.since, window.until, &stop)
        };
        let links = self.shared.durably(link).await?;
        let linked = links.archived.len() as u64;
        let progress = SyncProgress {
            known_events: linked,
            linked_events: linked,
            ..SyncProgress::default()
        };
        self.record(progress).await?;
        Ok(links.archived)
    }

    async fn fetch(
        &mut self,
        session: &mut Session,
        window: Window,
        ids: &[EventId],
    ) -> Result<Obtained, TurnError> {
        let mut chunks = ids.chunks(limits::SYNC_LINKED_AT_ONCE);
        let cap = self.state.page_cap.map_or(usize::MAX, |cap| cap as usize);
        let mut size = limits::SYNC_IDS_PER_PAGE.min(cap).max(1);
        let mut missing = Missing::default();
        let mut queue = Vec::new();
        let mut pending: Option<Fetched> = None;
        // The lease is kept by archiving.
        let patience = self.shared.config.lease / 8;
        let mut obtained = Obtained::All;
        loop {
            if queue.is_empty() {
                let Some(chunk) = chunks.next() else { break };
                queue = self.unknown(window, chunk).await?;
                continue;
            }
            let batch = queue.split_off(queue.len().saturating_sub(size));
            let filter = Filter {
                ids: Some(batch.iter().copied().collect()),
                limit: Some(batch.len()),
                ..Filter::default()
            };
            let limits = self.limits.clone();
            let stop = self.shared.context.stop.clone();
            let fetch = stop.run_until_cancelled(session.fetch_page(&filter, &limits));
            let due = pending.take_if(|fetched| fetched.is_enough(patience));
            let settle = self.settle_fetched(due, &mut missing);
            let (page, settled) = tokio::join!(Box::pin(fetch), settle);
            settled?;
            let Some(mut page) = page else {
                return Ok(Obtained::Stopped);
            };
            missing
                .too_large
                .extend(page.too_large.iter().map(|(id, _)| *id));
            let came: HashSet<EventId> = page
                .events
                .iter()
                .map(|event| event.id)
                .chain(page.too_large.iter().map(|(id, _)| *id))
                .collect();
            let rest: Vec<EventId> = batch.into_iter().filter(|id| !came.contains(id)).collect();
            let sorted = self.sort(&mut page);
            let fetched = Fetched::of(sorted);
            let fetched = match pending.take() {
                Some(before) => before.add(fetched),
                None => fetched,
            };
            match page.end {
                PageEnd::Eose if came.is_empty() => missing.not_given.extend(rest),
                PageEnd::Eose => {
                    if !rest.is_empty() {
                        // Fewer than asked for: that may be all it gives at once.
                        size = came.len().min(size);
                    }
                    queue.extend(rest);
                }
                PageEnd::LimitExceeded(PageLimit::Bytes) if size > 1 => {
                    size = (size / 2).max(1);
                    queue.extend(rest);
                }
                end => {
                    self.settle_fetched(Some(fetched), &mut missing).await?;
                    self.note_missing(missing).await?;
                    return match TurnError::of_page(end) {
                        Some(error) => Err(error),
                        None => Ok(Obtained::All),
                    };
                }
            }
            pending = Some(fetched);
            // Not before: every turn comes on.
            let is_more = !queue.is_empty() || chunks.len() > 0;
            if is_more && Instant::now() >= self.deadline {
                obtained = Obtained::OutOfTime;
                break;
            }
        }
        self.settle_fetched(pending, &mut missing).await?;
        self.note_missing(missing).await?;
        Ok(obtained)
    }

    /// Waits until fetched events are durable.
    async fn settle_fetched(
        &mut self,
        fetched: Option<Fetched>,
        missing: &mut Missing,
    ) -> Result<(), TurnError> {
        let Some(Fetched {
            ids, mut sorted, ..
        }) = fetched
        else {
            return Ok(());
        };
        let events: Vec<Event> = std::mem::take(&mut sorted.wanted);
        let IngestReport {
            ingested,
            refused,
            unkept,
        } = self.archive(events).await?;
        missing
            .refused
            .extend(refused.iter().map(|r| ids[r.position]));
        missing.unwanted.extend(unkept.iter().map(|n| ids[*n]));
        missing
            .unwanted
            .extend(sorted.unwanted.iter().map(|event| event.id));
        if self.has_missing {
            let (store, relay) = (&self.shared.store, self.task.relay.id);
            self.shared
                .durably(|| store.delete_missing(relay, &ids))
                .await?;
        }
        let bad = sorted.refused.values().sum::<u64>() + ingested.refused;
        self.record(sorted.progress(ingested)).await?;
        self.bear(ingested.new + ingested.known, bad).await
    }

    async fn note_missing(&mut self, missing: Missing) -> Result<(), TurnError> {
        self.promises.1 += (missing.not_given.len() + missing.refused.len()) as u64;
        let (store, relay) = (&self.shared.store, self.task.relay.id);
        let retry_at = self.shared.clock.now() + limits::MISSING_RETRY.as_secs() as i64;
        let largest = self.wanted.max_event_bytes as i64;
        for (ids, cause, retry_at) in [
            (missing.not_given, MissingCause::NotGiven, retry_at),
            (missing.refused, MissingCause::Refused, retry_at),
            (missing.too_large, MissingCause::TooLarge, i64::MAX),
            (missing.unwanted, MissingCause::Unwanted, i64::MAX),
        ] {
            if ids.is_empty() {
                continue;
            }
            self.has_missing = true;
            self.shared.metrics.missing.inc_by(ids.len() as u64);
            self.shared
                .durably(|| store.insert_missing(relay, &ids, cause, retry_at, largest))
                .await?;
        }
        Ok(())
    }

    /// Says whether the relay has broken as many promises as it kept.
    pub(super) fn is_in_doubt(&self) -> bool {
        let (promised, broken) = self.promises;
        broken > 0 && broken * 2 >= promised
    }
}
