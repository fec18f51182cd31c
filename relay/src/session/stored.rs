//! The stored events of a REQ: those of all filters in one order, each once, a page at a time.

use std::cmp::Reverse;
use std::collections::VecDeque;

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::store::{ScanBounds, ServedFrom, StoredEvent};

use super::budget::Budget;
use crate::limits::{PAGE_BYTES, PAGE_EVENTS, SCAN_ROWS};
use crate::shared::{QueryError, Shared};

/// Merges the filters' events: newest first, lowest id first on a tie.
///
/// What is in memory at a time is bounded, whatever the filters' limits and the events' sizes.
/// Pages are not one snapshot of the database: what is put there meanwhile comes live.
pub(super) struct StoredEvents<'a> {
    shared: &'a Shared,
    sources: Vec<Source<'a>>,
    max_bytes: usize,
    budget: Budget,
}

/// One filter's events, from wherever they are served.
struct Source<'a> {
    filter: &'a Filter,
    /// How many more the filter may return.
    remaining: usize,
    streams: Vec<Stream>,
}

/// One filter's events from one place.
struct Stream {
    from: ServedFrom,
    page: VecDeque<StoredEvent>,
    after: Option<(i64, EventId)>,
    /// Rows that the next question looks at.
    rows: usize,
    /// Rows that the first one looked at.
    usual: usize,
    is_over: bool,
}

impl<'a> StoredEvents<'a> {
    /// Begins. The filters' limits are final.
    pub(super) fn new(shared: &'a Shared, filters: &'a [Filter]) -> Self {
        let served = shared.served();
        let sources = filters.iter().map(|filter| {
            let remaining = filter.limit.unwrap_or_default();
            Source {
                filter,
                remaining,
                streams: served
                    .iter()
                    .map(|from| Stream::new(*from, remaining))
                    .collect(),
            }
        });
        Self {
            sources: sources.collect(),
            max_bytes: PAGE_BYTES / (filters.len() * served.len()).max(1),
            budget: Budget::new(shared, shared.config.limits.max_scanned_events),
            shared,
        }
    }

    /// Returns the next event, asking the database where a page has come to its end.
    pub(super) async fn next(&mut self) -> Result<Option<StoredEvent>, QueryError> {
        for source in &mut self.sources {
            source
                .fill(self.shared, self.max_bytes, &mut self.budget)
                .await?;
        }
        let heads = self.sources.iter().filter_map(Source::head);
        let Some((_, id)) = heads.min() else {
            return Ok(None);
        };
        // What several filters match, or is in several places, is at the head of each.
        let mut first = None;
        for source in &mut self.sources {
            if let Some(event) = source.take(id) {
                first.get_or_insert(event);
            }
        }
        Ok(first)
    }
}

impl Source<'_> {
    async fn fill(
        &mut self,
        shared: &Shared,
        max_bytes: usize,
        budget: &mut Budget,
    ) -> Result<(), QueryError> {
        for stream in &mut self.streams {
            while self.remaining > 0 && stream.page.is_empty() && !stream.is_over {
                let bounds = ScanBounds {
                    events: self.remaining.min(PAGE_EVENTS),
                    rows: budget.rows(stream.rows)?,
                    bytes: max_bytes,
                    within: budget.time(),
                };
                stream.fill(shared, self.filter, bounds, budget).await?;
            }
        }
        Ok(())
    }

    fn head(&self) -> Option<(Reverse<i64>, EventId)> {
        if self.remaining == 0 {
            return None;
        }
        let heads = self.streams.iter().filter_map(|stream| stream.page.front());
        heads
            .map(|event| (Reverse(event.created_at), event.id))
            .min()
    }

    fn take(&mut self, id: EventId) -> Option<StoredEvent> {
        let mut taken = None;
        if self.remaining == 0 {
            return None;
        }
        for stream in &mut self.streams {
            if stream.page.front().is_some_and(|event| event.id == id)
                && let Some(event) = stream.page.pop_front()
            {
                taken.get_or_insert(event);
            }
        }
        self.remaining -= usize::from(taken.is_some());
        taken
    }
}

impl Stream {
    fn new(from: ServedFrom, wanted: usize) -> Self {
        let usual = wanted.clamp(1, PAGE_EVENTS);
        Self {
            from,
            page: VecDeque::new(),
            after: None,
            rows: usual,
            usual,
            is_over: false,
        }
    }

    async fn fill(
        &mut self,
        shared: &Shared,
        filter: &Filter,
        bounds: ScanBounds,
        budget: &mut Budget,
    ) -> Result<(), QueryError> {
        let page = shared
            .store
            .served_page(self.from, filter, self.after, bounds);
        let page = budget.ask(shared, page).await?;
        budget.spend(page.rows);
        let is_full = page.events.len() >= bounds.events;
        if page.rows < bounds.rows && page.next.is_some() && !is_full {
            // It ended by its bytes: the database need not send what does not fit.
            self.rows = (page.rows * 2).clamp(1, PAGE_EVENTS);
        } else if page.events.len() < page.rows / 2 {
            self.rows = (self.rows * 2).min(SCAN_ROWS);
        } else if self.rows < self.usual {
            self.rows = (self.rows * 2).min(self.usual);
        }
        self.page = page.events.into();
        match page.next {
            Some(position) => self.after = Some(position),
            None => self.is_over = true,
        }
        Ok(())
    }
}
