//! The events on our own relay: publishing, asking, and hearing of new ones.
//!
//! Publishing is one path for every service: insert by the rules of NIP-01 and notify, in the
//! transaction of whatever the event reports. Every relay process listens.

mod feed;
mod publish;
mod query;
mod scan;
mod together;
mod upkeep;

use std::time::Duration;

use bigbrotr_core::event::{Event, EventId};

pub use self::feed::RelayEventFeed;
pub use self::publish::PublishOutcome;
pub(super) use self::publish::{address, publish};
use self::scan::stored_event;
pub(super) use self::scan::{EventScan, Part, hidden};
pub(super) use self::together::Publishing;
pub use self::upkeep::RelayEventStatus;
use super::Store;
use super::served::Planning;
use crate::error::StoreError;

/// Where an event is stored, and its number there: in the order of arrival, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventNumber {
    /// Among the relay's own events.
    Relay(i64),
    /// In the archive.
    Archive(i64),
}

/// An event that our relay serves, as its JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Where it is.
    pub number: EventNumber,
    /// Its id.
    pub id: EventId,
    /// Unix seconds.
    pub created_at: i64,
    /// Its JSON.
    pub json: String,
}

impl StoredEvent {
    /// Parses the event.
    pub fn event(&self) -> Result<Event, StoreError> {
        Event::from_json(&self.json).map_err(|error| StoreError::Corrupt {
            what: "relay event",
            reason: error.to_string(),
        })
    }
}

/// A part of the stored events that match a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayEventPage {
    /// Newest first, lowest id first on a tie.
    pub events: Vec<StoredEvent>,
    /// Where the next page begins: after this `created_at` and id. `None`: there is no more.
    pub next: Option<(i64, EventId)>,
}

impl Store {
    /// Returns the events with these sequence numbers.
    async fn relay_events_by_seq(&self, seqs: &[i64]) -> Result<Vec<StoredEvent>, StoreError> {
        let rows = sqlx::query(
            "select seq, id, created_at, event::text as event from relay_events
             where seq = any ($1) order by seq",
        )
        .bind(seqs)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(stored_event).collect()
    }

    /// Returns the numbers above `seq` of the events that are there now, at most `most`.
    ///
    /// # Errors
    /// [`StoreError::is_timeout`] when it would take longer than `within`.
    pub async fn relay_event_seqs_after(
        &self,
        seq: i64,
        most: usize,
        within: Duration,
    ) -> Result<Vec<i64>, StoreError> {
        loop {
            let mut reader = self.reader(Planning::Once, within).await?;
            let seqs = sqlx::query_scalar(
                "select seq from relay_events where seq > $1 order by seq desc limit $2",
            )
            .bind(seq)
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_all(reader.connection())
            .await;
            if let Some(seqs) = self.answered(reader, seqs.map_err(StoreError::from)) {
                return seqs;
            }
        }
    }
}
