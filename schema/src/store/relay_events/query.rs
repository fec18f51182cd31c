//! Asking for stored events: the one place that reads them by filter.
//!
//! Tags are found by hash, and hashes collide: whatever is read by tags is looked at again, and
//! reading goes on until there is as much as was asked for.

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;

use super::super::{ServedFrom, Store};
use super::{EventScan, Part, RelayEventPage, StoredEvent};
use crate::error::StoreError;
use crate::filter_sql::{RELAY_EVENTS, push_conditions};
use crate::limits::QUERY_MAX_EVENTS;

impl Store {
    /// Returns stored events that match a filter: newest first, lowest id first on a tie,
    /// expired ones left out, at most `most` of them.
    pub async fn query_relay_events(
        &self,
        filter: &Filter,
        most: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let limit = filter.limit.unwrap_or(most).min(most).min(QUERY_MAX_EVENTS);
        let mut events = Vec::new();
        let mut after = None;
        while events.len() < limit {
            let left = limit - events.len();
            let page = self.relay_events_page(filter, after, left, usize::MAX);
            let mut page = page.await?;
            events.append(&mut page.events);
            match page.next {
                Some(position) => after = Some(position),
                None => break,
            }
        }
        Ok(events)
    }

    /// Returns the page of stored events that match a filter and come after `after`: newest first,
    /// lowest id first on a tie, expired ones left out. The filter's own limit is the caller's.
    ///
    /// A page ends after `most` events, or with the event that makes `max_bytes` of JSON full:
    /// that is what it holds in memory, however large the events are.
    pub async fn relay_events_page(
        &self,
        filter: &Filter,
        after: Option<(i64, EventId)>,
        most: usize,
        max_bytes: usize,
    ) -> Result<RelayEventPage, StoreError> {
        let mut events = Vec::new();
        let mut bytes = 0_usize;
        let most = most.min(QUERY_MAX_EVENTS);
        let scan = self.own_scan(filter, after, most, Part::Whole);
        let mut connection = self.pool.acquire().await?;
        let next = scan
            .run(&mut connection, |stored, matches| {
                bytes = bytes.saturating_add(stored.json.len());
                if matches {
                    events.push(stored);
                }
                bytes < max_bytes
            })
            .await?;
        Ok(RelayEventPage { events, next })
    }

    /// Returns time and id of the newest stored events that match a filter, at most `most`: what
    /// a reconciliation compares (NIP-77). The filter's own limit is the caller's.
    pub async fn relay_event_ids(
        &self,
        filter: &Filter,
        most: usize,
    ) -> Result<Vec<(i64, EventId)>, StoreError> {
        let mut ids = Vec::new();
        let mut after = None;
        let mut connection = self.pool.acquire().await?;
        while ids.len() < most {
            let scan = self.own_scan(filter, after, most - ids.len(), Part::Id);
            let next = scan
                .run(&mut connection, |stored, matches| {
                    if matches {
                        ids.push((stored.created_at, stored.id));
                    }
                    true
                })
                .await?;
            match next {
                Some(position) => after = Some(position),
                None => break,
            }
        }
        Ok(ids)
    }

    /// Counts stored events that match any of the filters.
    pub async fn count_relay_events(&self, filters: &[Filter]) -> Result<u64, StoreError> {
        let filters: Vec<&Filter> = filters.iter().filter(|filter| !filter.is_void()).collect();
        if filters.is_empty() {
            return Ok(0);
        }
        let mut query = sqlx::QueryBuilder::new("select count(*) from relay_events where (");
        for (n, filter) in filters.iter().enumerate() {
            if n > 0 {
                query.push(") or (");
            }
            push_conditions(&mut query, &RELAY_EVENTS, filter, self.now());
        }
        query.push(")");
        let count: i64 = query.build_query_scalar().fetch_one(&self.pool).await?;
        Ok(count as u64)
    }

    /// Returns the stored event with this id, unless it has expired.
    pub async fn get_relay_event(&self, id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        let filter = Filter {
            ids: Some([*id].into()),
            ..Filter::default()
        };
        let mut events = self.query_relay_events(&filter, 1).await?;
        Ok(events.pop())
    }

    fn own_scan<'a>(
        &self,
        filter: &'a Filter,
        after: Option<(i64, EventId)>,
        most: usize,
        part: Part,
    ) -> EventScan<'a> {
        EventScan {
            from: ServedFrom::Relay,
            filter,
            after,
            most,
            part,
            range: None,
            now: self.now(),
        }
    }
}
