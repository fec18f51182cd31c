//! Rows of events and of who had them.

use std::collections::{HashMap, HashSet};

use bigbrotr_core::event::{Event, EventId};
use sqlx::Row;

use super::{Enqueue, RelayId, Sighting};
use crate::config::ArchiveConfig;
use crate::copy::CopyRows;
use crate::error::StoreError;
use crate::store::Link;

/// Copies new events, with the numbers that they have been given.
pub(super) async fn events(
    connection: &mut Link,
    events: &[&Event],
    nums: &HashMap<EventId, i64>,
    keep: ArchiveConfig,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let bytes = events.iter().map(|event| event.size_hint()).sum();
    let mut rows = CopyRows::new(8, bytes);
    for event in events {
        rows.row()
            .bigint(nums[&event.id])
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
        .raw()
        .copy_in_raw(
            "copy events (num, created_at, kind, id, pubkey, sig, tags, content)
             from stdin (format binary)",
        )
        .await?;
    copy.send(rows.finish()).await?;
    copy.finish().await?;
    Ok(())
}

/// Copies the sightings of events that were just copied: nobody can have recorded them yet.
pub(super) async fn sightings(
    connection: &mut Link,
    nums: &HashMap<EventId, i64>,
    sightings: &[&Sighting<'_>],
    enqueue: &mut Enqueue,
) -> Result<(), StoreError> {
    let mut distinct = HashSet::with_capacity(sightings.len());
    let mut rows = CopyRows::new(3, sightings.len() * 34);
    for sighting in sightings {
        let Some(relay) = sighting.relay else {
            continue;
        };
        let num = nums[&sighting.event.id];
        if distinct.insert((num, relay)) {
            rows.row()
                .bigint(num)
                .bigint(sighting.seen_at)
                .integer(relay.0);
            enqueue.association(num, sighting.event, relay);
        }
    }
    if distinct.is_empty() {
        return Ok(());
    }
    let mut copy = connection
        .raw()
        .copy_in_raw(
            "copy events_relays (event_num, first_seen_at, relay_id) from stdin (format binary)",
        )
        .await?;
    copy.send(rows.finish()).await?;
    copy.finish().await?;
    Ok(())
}

/// Inserts the sightings of events that were archived before, as far as they are new.
pub(super) async fn insert_sightings(
    connection: &mut Link,
    nums: &HashMap<EventId, i64>,
    sightings: &[&Sighting<'_>],
    enqueue: &mut Enqueue,
) -> Result<(), StoreError> {
    let mut given: Vec<(i64, RelayId, &Sighting<'_>)> = sightings
        .iter()
        .filter_map(|s| Some((*nums.get(&s.event.id)?, s.relay?, *s)))
        .collect();
    // One run in the order of the index: writers of the same pairs wait for each other and do not
    // deadlock. Of two sightings of one pair the earlier counts.
    given.sort_unstable_by_key(|(num, relay, s)| (*num, *relay, s.seen_at));
    given.dedup_by_key(|(num, relay, _)| (*num, *relay));
    if given.is_empty() {
        return Ok(());
    }
    let row = sqlx::query(
        "with inserted as (
            insert into events_relays (event_num, relay_id, first_seen_at)
            select * from unnest($1::bigint[], $2::integer[], $3::bigint[])
            on conflict do nothing
            returning event_num, relay_id
         )
         select coalesce(array_agg(event_num), '{}'), coalesce(array_agg(relay_id), '{}')
         from inserted",
    )
    .bind(given.iter().map(|(num, ..)| *num).collect::<Vec<_>>())
    .bind(given.iter().map(|(_, r, _)| r.0).collect::<Vec<_>>())
    .bind(given.iter().map(|(.., s)| s.seen_at).collect::<Vec<_>>())
    .fetch_one(connection)
    .await?;
    let inserted: (Vec<i64>, Vec<i32>) = (row.try_get(0)?, row.try_get(1)?);
    let inserted: HashSet<(i64, i32)> = inserted.0.into_iter().zip(inserted.1).collect();
    for (num, relay, sighting) in given {
        if inserted.contains(&(num, relay.0)) {
            enqueue.association(num, sighting.event, relay);
        }
    }
    Ok(())
}
