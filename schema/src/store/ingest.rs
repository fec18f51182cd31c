//! Writing the archive: one transaction a batch.

use std::collections::{HashMap, HashSet};

use bigbrotr_core::event::{Event, EventId};
use sqlx::{PgConnection, Postgres, Row, Transaction};

use super::{RelayId, Store, bytes32};
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
    /// How often events had been deleted, if the sightings were a reason to look.
    pub deletions: Option<i64>,
}

impl ArchivedEvents {
    /// Adds what another transaction did.
    pub(crate) fn add(&mut self, other: Self) {
        self.new_events += other.new_events;
        self.new_associations += other.new_associations;
        self.nums.extend(other.nums);
        self.missing.extend(other.missing);
        self.deletions = other.deletions.or(self.deletions);
    }
}

/// What earlier tries of one call wrote whose commit was sent but not confirmed.
#[derive(Debug, Default)]
pub(crate) struct Unconfirmed(Vec<ArchivedEvents>);

impl Store {
    /// Archives verified events and sightings in one transaction, idempotently. Sightings may
    /// name events of this call or archived ones; the numbers of these are not trusted. Each event
    /// may be given once.
    ///
    /// Many events are copied, which fails when another process archives one of them at the same
    /// moment; then, and for few, the procedure `insert_event` does it.
    pub async fn insert_events(
        &self,
        events: &[&Event],
        sightings: &[Sighting],
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
        sightings: &[Sighting],
        deletions: Option<i64>,
        unconfirmed: &mut Unconfirmed,
    ) -> Result<ArchivedEvents, StoreError> {
        let copied = if events.is_empty() || events.len() >= COPY_FROM_EVENTS {
            match self
                .copy_events(events, sightings, deletions, unconfirmed)
                .await
            {
                Err(error) if error.is_unique_violation() => None,
                outcome => Some(outcome?),
            }
        } else {
            None
        };
        let mut archived = match copied {
            Some(archived) => archived,
            None => {
                self.call_insert_event(events, sightings, deletions, unconfirmed)
                    .await?
            }
        };
        // Now that the same events went through, earlier tries have ended one way or the other.
        while let Some(earlier) = unconfirmed.0.pop() {
            match self.is_committed(&earlier, &archived).await {
                Ok(true) => archived.add(ArchivedEvents {
                    missing: HashSet::new(),
                    ..earlier
                }),
                Ok(false) => {}
                Err(error) => {
                    unconfirmed.0.extend([earlier, archived]);
                    return Err(error);
                }
            }
        }
        Ok(archived)
    }

    /// Says whether an earlier try took place: numbers are drawn once, so that the archive has an
    /// event under the number that it drew means that it did. One that added sightings only
    /// leaves no such trace and counts as not committed.
    async fn is_committed(
        &self,
        earlier: &ArchivedEvents,
        later: &ArchivedEvents,
    ) -> Result<bool, StoreError> {
        // A server that crashed may draw numbers again that it had drawn without a commit.
        let written_later = |id: &EventId| later.nums.contains_key(id);
        let Some((id, num)) = earlier.nums.iter().next() else {
            return Ok(false);
        };
        if earlier.nums.keys().any(written_later) {
            return Ok(false);
        }
        Ok(
            sqlx::query_scalar("select exists (select from events where num = $1 and id = $2)")
                .bind(num)
                .bind(id.0.as_slice())
                .fetch_one(&self.pool)
                .await?,
        )
    }

    async fn copy_events(
        &self,
        events: &[&Event],
        sightings: &[Sighting],
        deletions: Option<i64>,
        unconfirmed: &mut Unconfirmed,
    ) -> Result<ArchivedEvents, StoreError> {
        let mut tx = self.pool.begin().await?;
        let nums = self.copy_into_events(&mut tx, events).await?;
        let (mut assoc_events, mut assoc_relays) =
            copy_sightings(&mut tx, &nums, sightings).await?;
        let known: Vec<&Sighting> = sightings
            .iter()
            .filter(|s| !nums.contains_key(&s.event))
            .collect();
        let known = insert_sightings(&mut tx, &known, deletions).await?;
        assoc_events.extend(known.events);
        assoc_relays.extend(known.relays);
        let archived = ArchivedEvents {
            new_events: nums.len() as u64,
            new_associations: assoc_events.len() as u64,
            nums,
            missing: known.missing,
            deletions: known.deletions,
        };
        let event_nums: Vec<i64> = archived.nums.values().copied().collect();
        queue_for_rollup(&mut tx, &event_nums, &assoc_events, &assoc_relays).await?;
        commit(tx, archived, unconfirmed).await
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
        deletions: Option<i64>,
        unconfirmed: &mut Unconfirmed,
    ) -> Result<ArchivedEvents, StoreError> {
        let mut tx = self.pool.begin().await?;
        let mut archived = self.insert_event(&mut tx, events).await?;
        let sightings: Vec<&Sighting> = sightings.iter().collect();
        let known = insert_sightings(&mut tx, &sightings, deletions).await?;
        archived.new_associations = known.events.len() as u64;
        archived.missing = known.missing;
        archived.deletions = known.deletions;
        queue_for_rollup(&mut tx, &[], &known.events, &known.relays).await?;
        commit(tx, archived, unconfirmed).await
    }

    /// Calls the procedure, which sees to the rollup of the events, for events without sightings.
    async fn insert_event(
        &self,
        connection: &mut PgConnection,
        events: &[&Event],
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
        let ids: Vec<&[u8]> = events.iter().map(|e| e.id.0.as_slice()).collect();
        sqlx::query("select insert_event($1, $2, $3, $4, $5, $6, $7, '{}', '{}', '{}')")
            .bind(&ids)
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
            .execute(&mut *connection)
            .await?;
        // Which of them are new: those that this very transaction wrote.
        let rows: Vec<(Vec<u8>, i64)> = sqlx::query_as(
            "select id, num from events
             where id = any ($1) and xmin = pg_current_xact_id_if_assigned()::xid",
        )
        .bind(&ids)
        .fetch_all(connection)
        .await?;
        let nums = rows
            .iter()
            .map(|(id, num)| Ok((EventId(bytes32(id, "event id")?), *num)))
            .collect::<Result<HashMap<_, _>, StoreError>>()?;
        Ok(ArchivedEvents {
            new_events: nums.len() as u64,
            nums,
            ..ArchivedEvents::default()
        })
    }
}

/// Commits what a transaction did, and notes it when it cannot be known whether it took place.
async fn commit(
    tx: Transaction<'_, Postgres>,
    archived: ArchivedEvents,
    unconfirmed: &mut Unconfirmed,
) -> Result<ArchivedEvents, StoreError> {
    // Noted first: the caller may lose patience in the middle of it.
    unconfirmed.0.push(archived);
    tx.commit().await?;
    Ok(unconfirmed.0.pop().unwrap_or_default())
}

/// Tells the rollup what is new, in the same transaction.
async fn queue_for_rollup(
    connection: &mut PgConnection,
    event_nums: &[i64],
    assoc_events: &[i64],
    assoc_relays: &[i32],
) -> Result<(), StoreError> {
    if event_nums.is_empty() && assoc_events.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into rollup_queue (event_nums, assoc_events, assoc_relays) values ($1, $2, $3)",
    )
    .bind(event_nums)
    .bind(assoc_events)
    .bind(assoc_relays)
    .execute(connection)
    .await?;
    Ok(())
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
        let (Some(&num), Some(relay)) = (nums.get(&sighting.event), sighting.relay) else {
            continue;
        };
        if distinct.insert((num, relay)) {
            rows.row()
                .bigint(num)
                .bigint(sighting.seen_at)
                .integer(relay.0);
            events.push(num);
            relays.push(relay.0);
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

/// The new pairs of event and relay, and the events that turned out not to be archived.
#[derive(Default)]
struct KnownSightings {
    events: Vec<i64>,
    relays: Vec<i32>,
    missing: HashSet<EventId>,
    deletions: Option<i64>,
}

/// Inserts the sightings of events that should be archived already: by their numbers, and by their
/// ids where the numbers may be those of deleted events.
async fn insert_sightings(
    connection: &mut PgConnection,
    sightings: &[&Sighting],
    deletions: Option<i64>,
) -> Result<KnownSightings, StoreError> {
    if sightings.is_empty() {
        return Ok(KnownSightings::default());
    }
    let (numbered, named): (Vec<&Sighting>, Vec<&Sighting>) = sightings
        .iter()
        .copied()
        .partition(|sighting| sighting.num.is_some());
    match try_insert_sightings(&mut *connection, &numbered, &named, deletions).await? {
        Some(inserted) => Ok(inserted),
        None => Ok(try_insert_sightings(connection, &[], sightings, None)
            .await?
            .unwrap_or_default()),
    }
}

/// Inserts sightings, unless some are numbered and the numbers may be wrong: then nothing is done.
async fn try_insert_sightings(
    connection: &mut PgConnection,
    numbered: &[&Sighting],
    named: &[&Sighting],
    deletions: Option<i64>,
) -> Result<Option<KnownSightings>, StoreError> {
    let relays = |sightings: &[&Sighting]| -> Vec<_> {
        sightings.iter().map(|s| s.relay.map(|r| r.0)).collect()
    };
    let times =
        |sightings: &[&Sighting]| -> Vec<_> { sightings.iter().map(|s| s.seen_at).collect() };
    let row = sqlx::query(include_str!("../sql/insert_sightings.sql"))
        .bind(numbered.iter().filter_map(|s| s.num).collect::<Vec<_>>())
        .bind(relays(numbered))
        .bind(times(numbered))
        .bind(
            named
                .iter()
                .map(|s| s.event.0.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(relays(named))
        .bind(times(named))
        .bind(deletions)
        .fetch_one(connection)
        .await?;
    let missing: Vec<Vec<u8>> = row.try_get("missing")?;
    let missing = missing
        .iter()
        .map(|id| Ok(EventId(bytes32(id, "event id")?)));
    if !row.try_get::<bool, _>("good")? {
        return Ok(None);
    }
    Ok(Some(KnownSightings {
        events: row.try_get("nums")?,
        relays: row.try_get("relays")?,
        missing: missing.collect::<Result<_, StoreError>>()?,
        deletions: Some(row.try_get("deletions")?),
    }))
}
