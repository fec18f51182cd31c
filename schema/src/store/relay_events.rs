//! The events on our own relay: publishing, asking, and hearing of new ones.
//!
//! Publishing is one path for every service: insert by the rules of NIP-01 and notify, in the
//! transaction of whatever the event reports. Every relay process listens.

use std::collections::{HashSet, VecDeque};

use bigbrotr_core::event::{Event, EventId, KindClass};
use bigbrotr_core::filter::Filter;
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgListener, PgRow};
use sqlx::{PgConnection, Row};

use super::{Store, bytes32};
use crate::error::StoreError;
use crate::filter_sql::{RELAY_EVENTS, push_conditions, tag_hash};
use crate::limits::{LISTEN_REREAD_EVENTS, QUERY_MAX_EVENTS};

const CHANNEL: &str = "bigbrotr_relay_events";

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

    /// Listens for events that are put on our relay from now on, by any process.
    pub async fn listen_relay_events(&self) -> Result<RelayEventFeed, StoreError> {
        let listener = self.subscribe().await?;
        let last_seq: Option<i64> = sqlx::query_scalar("select max(seq) from relay_events")
            .fetch_one(&self.pool)
            .await?;
        Ok(RelayEventFeed {
            store: self.clone(),
            listener: Some(listener),
            last_seq: last_seq.unwrap_or_default(),
            announced: Vec::new(),
            delivered: RecentSeqs::default(),
        })
    }

    async fn subscribe(&self) -> Result<PgListener, StoreError> {
        let mut listener = self.listener().await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }
}

/// The stream of events that are put on our relay. Each is delivered once; after a lost
/// connection the hole is read again before new ones are.
#[derive(Debug)]
pub struct RelayEventFeed {
    store: Store,
    listener: Option<PgListener>,
    last_seq: i64,
    announced: Vec<i64>,
    delivered: RecentSeqs,
}

impl RelayEventFeed {
    /// Waits for the next events.
    ///
    /// Cancelling loses nothing: what was announced is remembered until it is returned.
    ///
    /// # Errors
    /// When the connection is lost. Calling again, after a pause, connects anew and first returns
    /// what was missed.
    pub async fn next(&mut self) -> Result<Vec<StoredEvent>, StoreError> {
        loop {
            let Some(listener) = self.listener.as_mut() else {
                self.listener = Some(self.store.subscribe().await?);
                let missed = self.missed().await?;
                if missed.is_empty() {
                    continue;
                }
                return Ok(missed);
            };
            if self.announced.is_empty() {
                match listener.try_recv().await {
                    Ok(Some(notification)) => {
                        self.announced.extend(notification.payload().parse::<i64>());
                    }
                    Ok(None) => {
                        self.listener = None;
                        continue;
                    }
                    Err(error) => {
                        self.listener = None;
                        return Err(error.into());
                    }
                }
            }
            while let Some(notification) = listener.next_buffered() {
                self.announced.extend(notification.payload().parse::<i64>());
            }
            self.announced.retain(|seq| !self.delivered.contains(*seq));
            if self.announced.is_empty() {
                continue;
            }
            match self.store.relay_events_by_seq(&self.announced).await {
                Ok(events) => {
                    self.announced.clear();
                    return Ok(self.deliver(events));
                }
                Err(error) => {
                    // Read them again by number once the database is back.
                    self.listener = None;
                    return Err(error);
                }
            }
        }
    }

    /// Reads what was put there while nobody listened. Numbers are handed out before they become
    /// visible, so the search starts below the last one seen and skips what was delivered.
    async fn missed(&mut self) -> Result<Vec<StoredEvent>, StoreError> {
        let floor = self.last_seq - LISTEN_REREAD_EVENTS;
        let rows = sqlx::query(
            "select seq, id, created_at, event::text as event from relay_events
             where seq > $1 and (seq > $2 or received_at > $3) order by seq",
        )
        .bind(floor)
        .bind(self.last_seq)
        .bind(self.store.now() - 600)
        .fetch_all(&self.store.pool)
        .await?;
        let events = rows
            .iter()
            .map(stored_event)
            .collect::<Result<Vec<_>, _>>()?;
        let missed = events
            .into_iter()
            .filter(|e| !self.delivered.contains(e.seq))
            .collect();
        Ok(self.deliver(missed))
    }

    fn deliver(&mut self, events: Vec<StoredEvent>) -> Vec<StoredEvent> {
        for event in &events {
            self.last_seq = self.last_seq.max(event.seq);
            self.delivered.insert(event.seq);
        }
        events
    }
}

/// The numbers delivered last, bounded.
#[derive(Debug, Default)]
struct RecentSeqs {
    order: VecDeque<i64>,
    set: HashSet<i64>,
}

impl RecentSeqs {
    fn contains(&self, seq: i64) -> bool {
        self.set.contains(&seq)
    }

    fn insert(&mut self, seq: i64) {
        if self.set.insert(seq) {
            self.order.push_back(seq);
        }
        if self.order.len() > LISTEN_REREAD_EVENTS as usize
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
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
