//! The events on our own relay: publishing, asking, and hearing of new ones.
//!
//! Publishing is one path for every service: insert by the rules of NIP-01 and notify, in the
//! transaction of whatever the event reports. Every relay process listens.

mod feed;

use bigbrotr_core::event::{Event, EventId, KindClass};
use bigbrotr_core::filter::Filter;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

pub use self::feed::RelayEventFeed;
use super::{Store, bytes32};
use crate::error::StoreError;
use crate::filter_sql::{RELAY_EVENTS, push_conditions, tag_hash};
use crate::limits::QUERY_MAX_EVENTS;

/// What became of an event given to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It is there now and subscribers are told.
    Stored,
    /// It was there already.
    Duplicate,
    /// A newer version of the same replaceable or addressable event is there.
    Older,
    /// Its author has deleted it.
    Deleted,
}

/// An event on our relay, as its JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// In the order of arrival.
    pub seq: i64,
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
    /// Publishes an event on our relay. The caller has verified it.
    pub async fn publish(&self, event: &Event) -> Result<PublishOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        let outcome = publish(&mut tx, event, self.now()).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    /// Returns stored events that match a filter: newest first, lowest id first on a tie,
    /// expired ones left out, at most `most` of them.
    pub async fn query_relay_events(
        &self,
        filter: &Filter,
        most: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let limit = filter.limit.unwrap_or(most).min(most).min(QUERY_MAX_EVENTS);
        if filter.is_void() || limit == 0 {
            return Ok(Vec::new());
        }
        let mut query = sqlx::QueryBuilder::new(
            "select seq, id, created_at, event::text as event from relay_events where ",
        );
        push_conditions(&mut query, &RELAY_EVENTS, filter, self.now());
        query
            .push(" order by created_at desc, id limit ")
            .push_bind(limit as i64);
        let rows = query.build().fetch_all(&self.pool).await?;
        let mut events = rows
            .iter()
            .map(stored_event)
            .collect::<Result<Vec<_>, _>>()?;
        if !filter.tags.is_empty() {
            // Tags are found by hash: look again.
            let mut kept = Vec::with_capacity(events.len());
            for stored in events {
                if filter.matches(&stored.event()?) {
                    kept.push(stored);
                }
            }
            events = kept;
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
        let mut page = RelayEventPage::default();
        if filter.is_void() || most == 0 {
            return Ok(page);
        }
        let most = most.min(QUERY_MAX_EVENTS);
        let mut query = sqlx::QueryBuilder::new(
            "select seq, id, created_at, event::text as event from relay_events where ",
        );
        push_conditions(&mut query, &RELAY_EVENTS, filter, self.now());
        if let Some((created_at, id)) = after {
            query
                .push(" and created_at <= ")
                .push_bind(created_at)
                .push(" and (created_at < ")
                .push_bind(created_at)
                .push(" or id > ")
                .push_bind(id.0.to_vec())
                .push(")");
        }
        query
            .push(" order by created_at desc, id limit ")
            .push_bind(most as i64);
        let mut rows = query.build().fetch(&self.pool);
        let (mut read, mut bytes) = (0, 0);
        while let Some(row) = rows.try_next().await? {
            let stored = stored_event(&row)?;
            read += 1;
            bytes += stored.json.len();
            let position = (stored.created_at, stored.id);
            // Tags are found by hash: look again.
            if filter.tags.is_empty() || filter.matches(&stored.event()?) {
                page.events.push(stored);
            }
            if read == most || bytes >= max_bytes {
                page.next = Some(position);
                break;
            }
        }
        Ok(page)
    }

    /// Returns time and id of the newest stored events that match a filter, at most `most`: what
    /// a reconciliation compares (NIP-77). The filter's own limit is the caller's.
    pub async fn relay_event_ids(
        &self,
        filter: &Filter,
        most: usize,
    ) -> Result<Vec<(i64, EventId)>, StoreError> {
        if filter.is_void() || most == 0 {
            return Ok(Vec::new());
        }
        // Tags are found by hash; where they have to be looked at again, so does the event.
        let event = if filter.tags.is_empty() {
            "null"
        } else {
            "event::text"
        };
        let mut query = sqlx::QueryBuilder::new("select seq, id, created_at, ");
        query.push(event).push(" as event from relay_events where ");
        push_conditions(&mut query, &RELAY_EVENTS, filter, self.now());
        query
            .push(" order by created_at desc, id limit ")
            .push_bind(i64::try_from(most).unwrap_or(i64::MAX));
        let mut rows = query.build().fetch(&self.pool);
        let mut ids = Vec::new();
        while let Some(row) = rows.try_next().await? {
            if !filter.tags.is_empty() && !filter.matches(&stored_event(&row)?.event()?) {
                continue;
            }
            let id = EventId(bytes32(row.try_get("id")?, "event id")?);
            ids.push((row.try_get("created_at")?, id));
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

    /// Removes expired events (NIP-40), at most `most`; returns how many.
    pub async fn delete_expired_relay_events(&self, most: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "delete from relay_events where seq in (
                select seq from relay_events where expires_at <= $1 limit $2)",
        )
        .bind(self.now())
        .bind(most)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// Returns the numbers above `seq` of the events that are there now, at most `most`.
    pub async fn relay_event_seqs_after(
        &self,
        seq: i64,
        most: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let seqs = sqlx::query_scalar(
            "select seq from relay_events where seq > $1 order by seq desc limit $2",
        )
        .bind(seq)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        Ok(seqs)
    }
}

/// Publishes within a transaction of the caller's.
pub(super) async fn publish(
    connection: &mut PgConnection,
    event: &Event,
    now: i64,
) -> Result<PublishOutcome, StoreError> {
    let (delete_ids, delete_addresses) = deletions(event);
    let outcome: String =
        sqlx::query_scalar("select publish_event($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
            .bind(event.id.0.as_slice())
            .bind(event.pubkey.0.as_slice())
            .bind(event.created_at)
            .bind(i32::from(event.kind))
            .bind(address(event).map(|hash| hash.to_vec()))
            .bind(event.expiration())
            .bind(tag_hashes(event))
            .bind(event.to_json())
            .bind(now)
            .bind(delete_ids)
            .bind(delete_addresses)
            .fetch_one(connection)
            .await?;
    match outcome.as_str() {
        "stored" => Ok(PublishOutcome::Stored),
        "duplicate" => Ok(PublishOutcome::Duplicate),
        "older" => Ok(PublishOutcome::Older),
        "deleted" => Ok(PublishOutcome::Deleted),
        other => Err(StoreError::Corrupt {
            what: "publish outcome",
            reason: other.to_owned(),
        }),
    }
}

fn stored_event(row: &PgRow) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        seq: row.try_get("seq")?,
        id: EventId(bytes32(row.try_get("id")?, "event id")?),
        created_at: row.try_get("created_at")?,
        json: row.try_get("event")?,
    })
}

/// Hashes what a replaceable or addressable event replaces; `None` for other events.
fn address(event: &Event) -> Option<[u8; 32]> {
    match event.class() {
        KindClass::Replaceable => Some(hash_address(&format!("{}:{}:", event.kind, event.pubkey))),
        KindClass::Addressable => Some(hash_address(&format!(
            "{}:{}:{}",
            event.kind,
            event.pubkey,
            event.d_tag()
        ))),
        KindClass::Regular | KindClass::Ephemeral => None,
    }
}

fn hash_address(coordinate: &str) -> [u8; 32] {
    Sha256::digest(coordinate.as_bytes()).into()
}

fn tag_hashes(event: &Event) -> Vec<i64> {
    let mut hashes: Vec<i64> = event
        .tags
        .iter()
        .filter_map(|tag| {
            let mut name = tag.first()?.chars();
            match (name.next(), name.next()) {
                (Some(letter), None) if letter.is_ascii_alphabetic() => {
                    Some(tag_hash(letter, tag.get(1)?))
                }
                _ => None,
            }
        })
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// What a kind 5 asks to delete: event ids, and hashed addresses of its own author.
fn deletions(event: &Event) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    if event.kind != 5 {
        return (Vec::new(), Vec::new());
    }
    let ids = event
        .tag_values("e")
        .filter_map(|id| EventId::from_hex(id).ok())
        .map(|id| id.0.to_vec());
    let own = format!(":{}:", event.pubkey);
    let addresses = event
        .tag_values("a")
        .filter(|address| address.contains(&own))
        .map(|address| hash_address(address).to_vec());
    (ids.collect(), addresses.collect())
}
