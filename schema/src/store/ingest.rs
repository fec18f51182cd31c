//! Writing the archive: one transaction a batch.

mod copy;
mod enqueue;

use std::collections::HashMap;

use bigbrotr_core::event::{Event, EventId};
use sqlx::Row;

use self::enqueue::Enqueue;
use super::{RelayId, Store};
use crate::error::StoreError;
use crate::limits::INSERT_COLLISIONS;

/// Somebody had an event.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// The event; its id is true.
    pub event: &'a Event,
    /// Its number, where it is archived already and the number is known.
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
    /// Numbers of the new events.
    pub nums: HashMap<EventId, i64>,
    /// Numbers of events that were given as new, but another process was first.
    pub known: HashMap<EventId, i64>,
    /// Events that were seen but are not in the archive: they have been removed from it. Nothing
    /// was recorded of them.
    pub missing: Vec<EventId>,
    /// How often events had been removed when this was written: see [`Store::removals`].
    pub removals: i64,
}

impl Store {
    /// Archives verified events and sightings in one transaction, idempotently. Sightings may
    /// name events of this call or archived ones. Each event may be given once.
    ///
    /// `removals` is how often events had been removed when the numbers of the sightings were
    /// read: when some were removed since, the numbers are looked up again.
    ///
    /// # Errors
    /// Those of the database; the transaction has no effect then. Other processes may archive the
    /// same events at the same moment: each is counted as new by one of them.
    pub async fn insert_events(
        &self,
        events: &[&Event],
        sightings: &[Sighting<'_>],
        removals: i64,
    ) -> Result<ArchivedEvents, StoreError> {
        let mut events = events.to_vec();
        // The same order everywhere, so that concurrent writers of the same events wait for each
        // other and do not deadlock.
        events.sort_unstable_by_key(|event| (event.created_at, event.id));
        let mut known = HashMap::new();
        for _ in 0..INSERT_COLLISIONS {
            match self.write_events(&events, sightings, removals).await {
                // Another process archived some of them at the same moment.
                Err(error) if error.is_unique_violation() => {
                    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
                    known.extend(self.archived_nums(&ids).await?);
                    events.retain(|event| !known.contains_key(&event.id));
                }
                Err(error) => return Err(error),
                Ok(mut archived) => {
                    archived.known = known;
                    return Ok(archived);
                }
            }
        }
        self.write_events(&events, sightings, removals).await
    }

    /// Returns how often events have been removed from the archive. A number of an event, once
    /// read, may be relied on for as long as this does not change.
    pub async fn removals(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("select removals from archive_state")
            .fetch_one(&self.pool)
            .await?)
    }

    async fn write_events(
        &self,
        events: &[&Event],
        sightings: &[Sighting<'_>],
        removals: i64,
    ) -> Result<ArchivedEvents, StoreError> {
        let mut tx = self.pool.begin().await?;
        // A statement of its own: what follows has to see what came before the lock.
        sqlx::query("select lock_archive_for_writing()")
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query(
            "select array(select nextval('events_num_seq') from generate_series(1, $1)),
                removals from archive_state",
        )
        .bind(events.len() as i64)
        .fetch_one(&mut *tx)
        .await?;
        let free: Vec<i64> = row.try_get(0)?;
        let mut archived = ArchivedEvents {
            removals: row.try_get(1)?,
            ..ArchivedEvents::default()
        };
        archived.nums = events.iter().map(|event| event.id).zip(free).collect();
        copy::events(&mut tx, events, &archived.nums, self.config.archive).await?;

        let (own, others): (Vec<&Sighting<'_>>, Vec<_>) = sightings
            .iter()
            .partition(|sighting| archived.nums.contains_key(&sighting.event.id));
        let mut enqueue = Enqueue::new(events, &archived.nums);
        copy::sightings(&mut tx, &archived.nums, &own, &mut enqueue).await?;
        if !others.is_empty() {
            let trusted = removals == archived.removals;
            let nums = self.find_nums(&mut tx, &others, trusted).await?;
            archived.missing = others
                .iter()
                .map(|sighting| sighting.event.id)
                .filter(|id| !nums.contains_key(id))
                .collect();
            copy::insert_sightings(&mut tx, &nums, &others, &mut enqueue).await?;
        }
        archived.new_events = events.len() as u64;
        archived.new_associations = enqueue.associations() as u64;
        enqueue.write(&mut tx).await?;
        tx.commit().await?;
        Ok(archived)
    }

    /// Returns the numbers of archived events that were seen again: those given with the
    /// sightings if they can be trusted, else by looking.
    async fn find_nums(
        &self,
        connection: &mut sqlx::PgConnection,
        sightings: &[&Sighting<'_>],
        trusted: bool,
    ) -> Result<HashMap<EventId, i64>, StoreError> {
        let mut nums = HashMap::with_capacity(sightings.len());
        let mut unknown = Vec::new();
        for sighting in sightings {
            match sighting.num {
                Some(num) if trusted => {
                    nums.insert(sighting.event.id, num);
                }
                _ => unknown.push(sighting.event.id),
            }
        }
        if !unknown.is_empty() {
            nums.extend(super::archive::nums_of(connection, &unknown).await?);
        }
        Ok(nums)
    }
}
