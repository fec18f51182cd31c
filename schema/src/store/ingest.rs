//! Writing the archive: one transaction a batch.

mod copy;
mod enqueue;
mod unconfirmed;

use std::collections::{HashMap, HashSet};

use bigbrotr_core::event::{Event, EventId};
use sqlx::Row;

use self::enqueue::Enqueue;
pub(crate) use self::unconfirmed::Unconfirmed;
use super::archive::nums_of;
use super::{Link, RelayId, Store};
use crate::error::StoreError;
use crate::limits::INSERT_COLLISIONS;

/// Somebody had an event.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// The event; its id is true.
    pub event: &'a Event,
    /// Its number, where it is archived already and the number is known.
    pub num: Option<i64>,
    /// Which relay; `None` asks only whether the event is archived.
    pub relay: Option<RelayId>,
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
    /// The new events, with their numbers.
    pub nums: HashMap<EventId, i64>,
    /// Sighted events that are not in the archive, though the caller took them for archived:
    /// somebody has deleted them. They have no sighting either.
    pub missing: HashSet<EventId>,
    /// How often events had been deleted from the archive.
    pub deletions: i64,
}

impl ArchivedEvents {
    /// Adds what another transaction did.
    pub(crate) fn add(&mut self, other: Self) {
        self.new_events += other.new_events;
        self.new_associations += other.new_associations;
        self.nums.extend(other.nums);
        self.missing.extend(other.missing);
        self.deletions = self.deletions.max(other.deletions);
    }
}

impl Store {
    /// Archives verified events and sightings in one transaction, idempotently. Sightings may
    /// name events of this call or archived ones; the numbers of these are not trusted. An event that
    /// is given twice is archived once.
    ///
    /// # Errors
    /// Those of the database; the transaction has no effect then. Other processes may archive the
    /// same events at the same moment: each is counted as new by one of them.
    pub async fn insert_events(
        &self,
        events: &[&Event],
        sightings: &[Sighting<'_>],
    ) -> Result<ArchivedEvents, StoreError> {
        let mut unconfirmed = Unconfirmed::default();
        self.retry_insert_events(events, sightings, None, &mut unconfirmed)
            .await
    }

    /// As [`Store::insert_events`], for a caller that tries again after a failure, with the same
    /// `unconfirmed`: what a try wrote is counted even when its connection was lost between the
    /// commit and the answer. Numbers of events are good for as long as no event was deleted since
    /// there had been so many `deletions`.
    pub(crate) async fn retry_insert_events(
        &self,
        events: &[&Event],
        sightings: &[Sighting<'_>],
        deletions: Option<i64>,
        unconfirmed: &mut Unconfirmed,
    ) -> Result<ArchivedEvents, StoreError> {
        let mut events = events.to_vec();
        // The same order everywhere, so that concurrent writers of the same events wait for each
        // other and do not deadlock.
        events.sort_unstable_by_key(|event| (event.created_at, event.id));
        events.dedup_by_key(|event| event.id);
        let mut collisions = 0;
        let archived = loop {
            let written = self
                .write_events(&events, sightings, deletions, unconfirmed)
                .await;
            match written {
                Ok(archived) => break archived,
                Err(error) if error.is_unique_violation() && collisions < INSERT_COLLISIONS => {
                    // Another process archived some of them at the same moment, unless the
                    // database has more unique indexes than it came with.
                    collisions += 1;
                    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
                    let known = self.archived_nums(&ids).await?;
                    if known.is_empty() {
                        return Err(error);
                    }
                    events.retain(|event| !known.contains_key(&event.id));
                }
                Err(error) => return Err(error),
            }
        };
        unconfirmed.settle(self, archived).await
    }

    async fn write_events(
        &self,
        events: &[&Event],
        sightings: &[Sighting<'_>],
        deletions: Option<i64>,
        unconfirmed: &mut Unconfirmed,
    ) -> Result<ArchivedEvents, StoreError> {
        let mut tx = self.pool.begin().await?;
        // A statement of its own: what follows has to see what came before the lock.
        sqlx::query("select lock_archive_for_writing()")
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query(
            "select array(select nextval('events_num_seq') from generate_series(1, $1)),
                deletions from archive_state",
        )
        .bind(events.len() as i64)
        .fetch_one(&mut *tx)
        .await?;
        let free: Vec<i64> = row.try_get(0)?;
        let mut archived = ArchivedEvents {
            new_events: events.len() as u64,
            nums: events.iter().map(|event| event.id).zip(free).collect(),
            deletions: row.try_get(1)?,
            ..ArchivedEvents::default()
        };
        copy::events(&mut tx, events, &archived.nums, self.config.archive).await?;

        let (own, others): (Vec<&Sighting<'_>>, Vec<_>) = sightings
            .iter()
            .partition(|sighting| archived.nums.contains_key(&sighting.event.id));
        let mut enqueue = Enqueue::new(events, &archived.nums);
        copy::sightings(&mut tx, &archived.nums, &own, &mut enqueue).await?;
        if !others.is_empty() {
            let trusted = deletions == Some(archived.deletions);
            let nums = find_nums(&mut tx, &others, trusted).await?;
            archived.missing = others
                .iter()
                .map(|sighting| sighting.event.id)
                .filter(|id| !nums.contains_key(id))
                .collect();
            copy::insert_sightings(&mut tx, &nums, &others, &mut enqueue).await?;
        }
        archived.new_associations = enqueue.associations() as u64;
        enqueue.write(&mut tx).await?;
        unconfirmed.commit(tx, archived).await
    }
}

/// Returns the numbers of archived events that were seen again: those given with the sightings if
/// they can be trusted, else by looking.
async fn find_nums(
    connection: &mut Link,
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
        nums.extend(nums_of(connection, &unknown).await?);
    }
    Ok(nums)
}
