//! The stored events of a REQ: those of all filters in one order, each once, a page at a time.

use std::collections::VecDeque;

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::store::StoredEvent;

use crate::limits::{PAGE_BYTES, PAGE_EVENTS};
use crate::shared::{QueryError, Shared};

/// Merges the filters' events: newest first, lowest id first on a tie.
///
/// What is in memory at a time is bounded, whatever the filters' limits and the events' sizes.
/// Pages are not one snapshot of the database: what is put there meanwhile comes live.
pub(super) struct StoredEvents<'a> {
    shared: &'a Shared,
    sources: Vec<Source<'a>>,
    last: Option<EventId>,
}

/// One filter's events.
struct Source<'a> {
    filter: &'a Filter,
    /// How many more the filter may return.
    remaining: usize,
    page: VecDeque<StoredEvent>,
    after: Option<(i64, EventId)>,
}

impl<'a> StoredEvents<'a> {
    /// Begins. The filters' limits are final.
    pub(super) fn new(shared: &'a Shared, filters: &'a [Filter]) -> Self {
        let sources = filters.iter().map(|filter| Source {
            filter,
            remaining: filter.limit.unwrap_or_default(),
            page: VecDeque::new(),
            after: None,
        });
        Self {
            shared,
            sources: sources.collect(),
            last: None,
        }
    }

    /// Returns the next event, asking the database where a page has come to its end.
    pub(super) async fn next(&mut self) -> Result<Option<StoredEvent>, QueryError> {
        let max_bytes = PAGE_BYTES / self.sources.len().max(1);
        loop {
            for source in &mut self.sources {
                source.fill(self.shared, max_bytes).await?;
            }
            let first = self
                .sources
                .iter_mut()
                .filter(|source| !source.page.is_empty())
                .min_by_key(|source| {
                    let head = source.page.front();
                    head.map(|event| (std::cmp::Reverse(event.created_at), event.id))
                });
            let Some(event) = first.and_then(|source| source.page.pop_front()) else {
                return Ok(None);
            };
            // What several filters match comes in a row.
            if self.last.replace(event.id) != Some(event.id) {
                return Ok(Some(event));
            }
        }
    }
}

impl Source<'_> {
    async fn fill(&mut self, shared: &Shared, max_bytes: usize) -> Result<(), QueryError> {
        while self.page.is_empty() && self.remaining > 0 {
            let most = self.remaining.min(PAGE_EVENTS);
            let page = shared
                .ask(
                    shared
                        .store
                        .relay_events_page(self.filter, self.after, most, max_bytes),
                )
                .await?;
            self.remaining = self.remaining.saturating_sub(page.events.len());
            self.page = page.events.into();
            match page.next {
                Some(position) => self.after = Some(position),
                None => self.remaining = 0,
            }
        }
        Ok(())
    }
}
