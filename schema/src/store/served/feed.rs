//! Hearing of newly archived events, of whatever process archives them.
//!
//! A batch is announced by its lowest and highest number. What lies between may be of other
//! batches that are not there yet; those are announced when they are. So a range may be read
//! more than once, and whoever passes events on remembers which.

use std::collections::VecDeque;

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use sqlx::postgres::{PgListener, PgNotification};

use super::super::Store;
use super::super::relay_events::Part;
use super::{ScanBounds, ServedFrom, ServedPage};
use crate::error::StoreError;
use crate::limits::{ANNOUNCED_RANGES, ARCHIVE_OUT_OF_ORDER};

const CHANNEL: &str = "bigbrotr_archive";

/// Numbers of the archive, from the first to the second.
pub type NumberRange = (i64, i64);

/// The stream of announcements.
#[derive(Debug)]
pub struct ArchiveFeed {
    store: Store,
    listener: Option<PgListener>,
    announced: VecDeque<NumberRange>,
    top: i64,
}

impl Store {
    /// Listens for events that are archived from now on, by any process.
    pub async fn listen_archive(&self) -> Result<ArchiveFeed, StoreError> {
        let listener = self.subscribe_to(CHANNEL).await?;
        // Looked up after listening began: what is not here yet is announced later.
        let top = self.last_event_num().await?;
        Ok(ArchiveFeed {
            store: self.clone(),
            listener: Some(listener),
            announced: VecDeque::new(),
            top,
        })
    }

    /// Returns the page of the events of a range that are served, as [`Store::served_page`] does,
    /// of those made at or after `since`.
    ///
    /// # Errors
    /// Likewise.
    pub async fn newly_archived(
        &self,
        range: NumberRange,
        since: i64,
        after: Option<(i64, EventId)>,
        bounds: ScanBounds,
    ) -> Result<ServedPage, StoreError> {
        let filter = Filter {
            since: Some(since),
            ..Filter::default()
        };
        let mut scan = self.served_scan(
            ServedFrom::Archive,
            &filter,
            after,
            bounds.rows,
            Part::Whole,
        );
        scan.range = Some(range);
        self.read_page(&scan, bounds).await
    }
}

impl ArchiveFeed {
    /// Returns the highest number that was announced, or was there from the start.
    pub fn top(&self) -> i64 {
        self.top
    }

    /// Waits for the next numbers.
    ///
    /// Cancelling loses nothing.
    ///
    /// # Errors
    /// When the connection is lost. Calling again, after a pause, connects anew and first returns
    /// the range of what was missed.
    pub async fn next(&mut self) -> Result<NumberRange, StoreError> {
        loop {
            self.take_buffered();
            if let Some(range) = self.announced.pop_front() {
                return Ok(range);
            }
            let Some(listener) = self.listener.as_mut() else {
                self.reconnect().await?;
                continue;
            };
            match listener.try_recv().await {
                Ok(Some(notification)) => self.announce(&notification),
                Ok(None) => self.listener = None,
                Err(error) => {
                    self.listener = None;
                    return Err(error.into());
                }
            }
        }
    }

    /// Looks for events that nobody announced: for when it has been silent for long. A connection
    /// can die without a sign.
    ///
    /// Cancelling loses nothing.
    pub async fn check(&mut self) -> Result<(), StoreError> {
        if self.listener.is_none() {
            return self.reconnect().await;
        }
        let top = self.store.last_event_num().await?;
        self.take_buffered();
        if top > self.top {
            // Either it comes in a moment, and is then read twice, or the connection is dead.
            self.listener = None;
        }
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), StoreError> {
        let listener = self.store.subscribe_to(CHANNEL).await?;
        let top = self.store.last_event_num().await?;
        self.listener = Some(listener);
        // Numbers are taken before they can be seen: some below the last one may be new.
        let from = self.top - ARCHIVE_OUT_OF_ORDER;
        if top > from {
            self.push((from + 1, top));
        }
        Ok(())
    }

    fn take_buffered(&mut self) {
        while let Some(notification) = self.listener.as_mut().and_then(PgListener::next_buffered) {
            self.announce(&notification);
        }
    }

    fn announce(&mut self, notification: &PgNotification) {
        let range = notification.payload().split_once('-');
        if let Some((Ok(from), Ok(to))) = range.map(|(from, to)| (from.parse(), to.parse())) {
            self.push((from, to));
        }
    }

    fn push(&mut self, (from, to): NumberRange) {
        self.top = self.top.max(to);
        let full = self.announced.len() >= ANNOUNCED_RANGES;
        match self.announced.back_mut() {
            // Bounded: beyond that, ranges grow instead of their number.
            Some(last) if full || (last.0..=last.1 + 1).contains(&from) => {
                *last = (last.0.min(from), last.1.max(to));
            }
            _ => self.announced.push_back((from, to)),
        }
    }
}
