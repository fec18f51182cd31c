//! Pages of events, and the ids that a reconciliation compares.

use std::time::Duration;

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;

use super::super::Link;
use super::super::Store;
use super::super::relay_events::{EventScan, Part, StoredEvent, hidden};
use super::ServedFrom;
use crate::error::StoreError;

/// How much one question reads and returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanBounds {
    /// Events that it returns at most.
    pub events: usize,
    /// Rows that it reads at most: some may not be served.
    pub rows: usize,
    /// Bytes of JSON with which it ends.
    pub bytes: usize,
    /// How long it may take.
    pub within: Duration,
}

/// A part of the events that match a filter and may be served; also an empty one may have a next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedPage {
    /// Newest first, lowest id first on a tie.
    pub events: Vec<StoredEvent>,
    /// Where the next page begins: after this `created_at` and id. `None`: there is no more.
    pub next: Option<(i64, EventId)>,
    /// Rows that were read for it.
    pub rows: usize,
}

impl Store {
    /// Returns the page of events that match a filter and come after `after`. The filter's own
    /// limit is the caller's.
    ///
    /// # Errors
    /// [`StoreError::is_timeout`] when it would take too long.
    pub async fn served_page(
        &self,
        from: ServedFrom,
        filter: &Filter,
        after: Option<(i64, EventId)>,
        bounds: ScanBounds,
    ) -> Result<ServedPage, StoreError> {
        let scan = self.served_scan(from, filter, after, bounds.rows, Part::Whole);
        self.read_page(&scan, bounds).await
    }

    /// As [`Store::served_page`], of times and ids: the texts are empty.
    ///
    /// # Errors
    /// Likewise.
    pub async fn served_ids(
        &self,
        from: ServedFrom,
        filter: &Filter,
        after: Option<(i64, EventId)>,
        bounds: ScanBounds,
    ) -> Result<ServedPage, StoreError> {
        let scan = self.served_scan(from, filter, after, bounds.rows, Part::Id);
        self.read_page(&scan, bounds).await
    }

    /// Explains the statement of a page, planned as it would be.
    #[cfg(feature = "testing")]
    pub(crate) async fn explain_served(
        &self,
        from: ServedFrom,
        filter: &Filter,
        rows: usize,
    ) -> Result<String, StoreError> {
        let scan = self.served_scan(from, filter, None, rows, Part::Whole);
        let mut reader = self
            .reader(scan.planning(), Duration::from_secs(10))
            .await?;
        scan.explain(reader.connection()).await
    }

    pub(super) async fn read_page(
        &self,
        scan: &EventScan<'_>,
        bounds: ScanBounds,
    ) -> Result<ServedPage, StoreError> {
        loop {
            let mut reader = self.reader(scan.planning(), bounds.within).await?;
            let page = page_on(reader.connection(), scan, bounds).await;
            if let Some(page) = self.answered(reader, page) {
                return page;
            }
        }
    }

    pub(super) fn served_scan<'a>(
        &self,
        from: ServedFrom,
        filter: &'a Filter,
        after: Option<(i64, EventId)>,
        most: usize,
        part: Part,
    ) -> EventScan<'a> {
        EventScan {
            from,
            filter,
            after,
            most,
            part,
            range: None,
            now: self.now(),
        }
    }
}

async fn page_on(
    connection: &mut Link,
    scan: &EventScan<'_>,
    bounds: ScanBounds,
) -> Result<ServedPage, StoreError> {
    let mut page = ServedPage::default();
    let mut bytes = 0_usize;
    let next = scan.run(connection, |stored, matches| {
        page.rows += 1;
        if matches {
            bytes = bytes.saturating_add(stored.json.len());
            page.events.push(stored);
        }
        bytes < bounds.bytes && page.events.len() < bounds.events
    });
    page.next = next.await?;
    let hidden = hidden(connection, scan.from, &page.events).await?;
    page.events.retain(|event| !hidden.contains(&event.number));
    Ok(page)
}
