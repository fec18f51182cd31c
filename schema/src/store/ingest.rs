//! Writing the archive: one transaction a batch.

use std::collections::{HashMap, HashSet};

use bigbrotr_core::event::{Event, EventId};
use sqlx::{PgConnection, Row};

use super::{RelayId, Store};
use crate::copy::CopyRows;
use crate::error::StoreError;
use crate::limits::COPY_FROM_EVENTS;

/// Somebody had an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Which event.
    pub event: EventId,
    /// The event's number, where it is archived already and its number is known.
    pub num: Option<i64>,
    /// Which relay.
    pub relay: RelayId,
    /// When, by our clock: Unix seconds.
    pub seen_at: i64,
}

/// What an ingest transaction added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchivedEvents {
    /// Events that were not in the archive.
    pub new_events: u64,
    /// Pairs of event and relay that were not in the archive.
    pub new_associations: u64,
    /// Numbers of the new events, as far as they are known.
    pub nums: HashMap<EventId, i64>,
}

impl Store {
    /// Archives verified events and sightings in one transaction, idempotently. Sightings may
    /// name events of this call or archived ones. Each event may be given once.
    ///
    /// Many events are copied, which fails when another process archives one of them at the same
    /// moment; then, and for few, the procedure `insert_event` does it.
    pub async fn insert_events(
        &self,
        events: &[&Event],
        sightings: &[Sighting],
    ) -> Result<ArchivedEvents, StoreError> {
        if events.is_empty() || events.len() >= COPY_FROM_EVENTS {
            match self.copy_events(events, sightings).await {
                Err(error) if error.is_unique_violation() => {}
                outcome => return outcome,
            }
        }
        self.call_insert_event(events, sightings).await
    }

    async fn copy_events(
        &self,
        events: &[&Event],
        sightings: &[Sighting],
    ) -> Result<ArchivedEvents, StoreError> {
        let mut tx = self.pool.begin().await?;
        let nums = self.copy_into_events(&mut tx, events).await?;
        let (mut assoc_events, mut assoc_relays) =
            copy_sightings(&mut tx, &nums, sightings).await?;
        let known: Vec<&Sighting> = sightings
            .iter()
            .filter(|s| !nums.contains_key(&s.event))
            .collect();
        if !known.is_empty() {
            let (events, relays) = insert_sightings(&mut tx, &known).await?;
            assoc_events.extend(events);
            assoc_relays.extend(relays);
        }
        let archived = ArchivedEvents {
            new_events: nums.len() as u64,
            new_associations: assoc_events.len() as u64,
            nums,
        };
        if archived.new_events > 0 || archived.new_associations > 0 {
            sqlx::query(
                "insert into rollup_queue (event_nums, assoc_events, assoc_relays)
                 values ($1, $2, $3)",
            )
            .bind(archived.nums.values().copied().collect::<Vec<_>>())
            .bind(assoc_events)
            .bind(assoc_relays)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(archived)
    }

    async fn copy_into_events(
        &self,
        connection: &mut PgConnection,
        events: &[&Event],
    ) -> Result<HashMap<EventId, i64>, StoreError> {
        if events.is_empty() {
            return Ok(HashMap::new());
        }
        // The same order everywhere, so that concurrent writers of the same events wait for each
        // other and do not deadlock.
        let mut events = events.to_vec();
        events.sort_unstable_by_key(|event| (event.created_at, event.id));
        let free: Vec<i64> =
            sqlx::query_scalar("select nextval('events_num_seq') from generate_series(1, $1)")
                .bind(events.len() as i64)
                .fetch_all(&mut *connection)
                .await?;
        let keep = self.config.archive;
        let bytes = events.iter().map(|event| event.size_hint()).sum();
        let mut rows = CopyRows::new(8, bytes);
        let mut nums = HashMap::with_capacity(events.len());
        for (event, num) in events.iter().zip(free) {
            nums.insert(event.id, num);
            rows.row()
                .bigint(num)
                .bigint(event.created_at)
                .integer(i32::from(event.kind))
                .bytes(&event.id.0)
                .bytes(&event.pubkey.0);
            if keep.signatures {
                rows.bytes(&event.sig)
            } else {
                rows.null()
            };
            rows.json(keep.tags.then_some(&event.tags));
            rows.json(keep.content.then_some(&event.content));
        }
        let mut copy = connection
            .copy_in_raw(
                "copy events (num, created_at, kind, id, pubkey, sig, tags, content)
                 from stdin (format binary)",
            )
            .await?;
        copy.send(rows.finish()).await?;
        copy.finish().await?;
        Ok(nums)
    }

    async fn call_insert_event(
        &self,
        events: &[&Event],
        sightings: &[Sighting],
    ) -> Result<ArchivedEvents, StoreError> {
        let keep = self.config.archive;
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        let tags: Vec<Option<String>> = events
            .iter()
            .map(|e| keep.tags.then(|| json(serde_json::to_string(&e.tags))))
            .collect();
        let contents: Vec<Option<String>> = events
            .iter()
            .map(|e| {
                keep.content
                    .then(|| json(serde_json::to_string(&e.content)))
            })
            .collect();
        let sigs: Vec<Option<&[u8]>> = events
            .iter()
            .map(|e| keep.signatures.then_some(e.sig.as_slice()))
            .collect();
        let row = sqlx::query(
            "select new_events, new_associations
             from insert_event($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(events.iter().map(|e| e.id.0.as_slice()).collect::<Vec<_>>())
        .bind(
            events
                .iter()
                .map(|e| e.pubkey.0.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(events.iter().map(|e| e.created_at).collect::<Vec<_>>())
        .bind(events.iter().map(|e| i32::from(e.kind)).collect::<Vec<_>>())
        .bind(tags)
        .bind(contents)
        .bind(sigs)
        .bind(
            sightings
                .iter()
                .map(|s| s.event.0.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(sightings.iter().map(|s| s.relay.0).collect::<Vec<_>>())
        .bind(sightings.iter().map(|s| s.seen_at).collect::<Vec<_>>())
        .fetch_one(&self.pool)
        .await?;
        Ok(ArchivedEvents {
            new_events: row.try_get::<i64, _>("new_events")? as u64,
            new_associations: row.try_get::<i64, _>("new_associations")? as u64,
            nums: HashMap::new(),
        })
    }
}

/// Copies the sightings of events that were just archived: nobody can have recorded them yet.
async fn copy_sightings(
    connection: &mut PgConnection,
    nums: &HashMap<EventId, i64>,
    sightings: &[Sighting],
) -> Result<(Vec<i64>, Vec<i32>), StoreError> {
    let mut distinct = HashSet::with_capacity(nums.len());
    let mut rows = CopyRows::new(3, sightings.len() * 34);
    let (mut events, mut relays) = (Vec::new(), Vec::new());
    for sighting in sightings {
        let Some(&num) = nums.get(&sighting.event) else {
            continue;
        };
        if distinct.insert((num, sighting.relay)) {
            rows.row()
                .bigint(num)
                .bigint(sighting.seen_at)
                .integer(sighting.relay.0);
            events.push(num);
            relays.push(sighting.relay.0);
        }
    }
    if !events.is_empty() {
        let mut copy = connection
            .copy_in_raw(
                "copy events_relays (event_num, first_seen_at, relay_id)
                 from stdin (format binary)",
            )
            .await?;
        copy.send(rows.finish()).await?;
        copy.finish().await?;
    }
    Ok((events, relays))
}

/// Inserts the sightings of events that were archived before; returns the new pairs.
async fn insert_sightings(
    connection: &mut PgConnection,
    sightings: &[&Sighting],
) -> Result<(Vec<i64>, Vec<i32>), StoreError> {
    let (numbered, named): (Vec<&Sighting>, Vec<&Sighting>) = sightings
        .iter()
        .copied()
        .partition(|sighting| sighting.num.is_some());
    let row = sqlx::query(include_str!("../sql/insert_sightings.sql"))
        .bind(numbered.iter().filter_map(|s| s.num).collect::<Vec<_>>())
        .bind(numbered.iter().map(|s| s.relay.0).collect::<Vec<_>>())
        .bind(numbered.iter().map(|s| s.seen_at).collect::<Vec<_>>())
        .bind(
            named
                .iter()
                .map(|s| s.event.0.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(named.iter().map(|s| s.relay.0).collect::<Vec<_>>())
        .bind(named.iter().map(|s| s.seen_at).collect::<Vec<_>>())
        .fetch_one(connection)
        .await?;
    Ok((row.try_get("nums")?, row.try_get("relays")?))
}
