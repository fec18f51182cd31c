//! How far each relay has been archived.

use sqlx::Row;

use super::relays::{KnownRelay, known_relay};
use super::{RelayId, Store, storable};
use crate::error::StoreError;
use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::RelayUrl;

/// Which relays a synchronizer works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncScope {
    /// All of them.
    All,
    /// Those on the operator's list.
    Priority,
}

/// What is known to be archived of a relay, and how far a scan under way has come. All times are
/// Unix seconds; everything between `covered_from` and `covered_to`, both included, was there
/// when it was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Earliest covered second.
    pub covered_from: Option<i64>,
    /// Latest covered second.
    pub covered_to: Option<i64>,
    /// When the scan under way began: it covers everything up to then once it ends.
    pub scan_top: Option<i64>,
    /// The scan has archived everything above this second.
    pub scan_at: Option<i64>,
}

/// A relay to archive, leased to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncTask {
    /// The relay.
    pub relay: KnownRelay,
    /// Where to go on.
    pub coverage: Coverage,
    /// Attempts in a row that failed.
    pub failures: u32,
}

/// What a piece of work on a relay brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncProgress {
    /// Events that were new to the archive.
    pub new_events: u64,
    /// Events that the archive had.
    pub known_events: u64,
    /// Events refused as invalid.
    pub refused_events: u64,
    /// Bytes received.
    pub received_bytes: u64,
}

/// A stretch of time that a relay cannot be paged through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// First second, inclusive.
    pub since: i64,
    /// Last second, inclusive.
    pub until: i64,
    /// Why.
    pub reason: String,
}

/// How many relays there are, and how far the work on them has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayProgress {
    /// All relays.
    pub known: u64,
    /// Measured at least once.
    pub checked: u64,
    /// Online when last measured.
    pub online: u64,
    /// Archived from end to end at least once.
    pub covered: u64,
    /// With stretches that cannot be paged through.
    pub gapped: u64,
}

impl sqlx::FromRow<'_, sqlx::postgres::PgRow> for RelayProgress {
    fn from_row(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        let count = |name: &str| row.try_get::<i64, _>(name).map(|count| count as u64);
        Ok(Self {
            known: count("known")?,
            checked: count("checked")?,
            online: count("online")?,
            covered: count("covered")?,
            gapped: count("gapped")?,
        })
    }
}

impl Store {
    /// Leases up to `most` relays of these networks that are due for archiving, longest overdue
    /// first, for `lease_seconds`. Relays that the last check found unreadable wait.
    pub async fn lease_due_syncs(
        &self,
        networks: &[Network],
        most: u32,
        lease_seconds: i64,
        scope: SyncScope,
    ) -> Result<Vec<SyncTask>, StoreError> {
        let networks: Vec<&str> = networks.iter().map(|network| network.as_str()).collect();
        let rows = sqlx::query(
            "with due as (
                select s.relay_id, r.url from sync_state s join relays r on r.id = s.relay_id
                where s.due_at <= $1 and s.leased_until <= $1 and r.network = any ($2)
                    and (s.priority or not $5)
                order by s.due_at limit $3 for update of s skip locked
            )
            update sync_state s set leased_until = $1 + $4 from due
            where s.relay_id = due.relay_id
            returning due.relay_id as id, due.url, s.covered_from, s.covered_to, s.scan_top,
                s.scan_at, s.failures",
        )
        .bind(self.now())
        .bind(networks)
        .bind(i64::from(most))
        .bind(lease_seconds)
        .bind(scope == SyncScope::Priority)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(SyncTask {
                    relay: known_relay(row)?,
                    coverage: Coverage {
                        covered_from: row.try_get("covered_from")?,
                        covered_to: row.try_get("covered_to")?,
                        scan_top: row.try_get("scan_top")?,
                        scan_at: row.try_get("scan_at")?,
                    },
                    failures: row.try_get::<i32, _>("failures")?.unsigned_abs(),
                })
            })
            .collect()
    }

    /// Makes these relays, and no others, the ones that the priority synchronizer follows.
    pub async fn set_priority_relays(&self, relays: &[RelayUrl]) -> Result<(), StoreError> {
        let urls: Vec<&str> = relays.iter().map(RelayUrl::as_str).collect();
        sqlx::query(
            "update sync_state s set priority = not s.priority from relays r
             where r.id = s.relay_id and s.priority <> (r.url = any ($1))",
        )
        .bind(urls)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Records how far the work on a relay has come, and extends its lease. Call it only after
    /// everything that `coverage` claims is durable.
    pub async fn update_sync(
        &self,
        relay: RelayId,
        coverage: &Coverage,
        progress: SyncProgress,
        lease_seconds: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update sync_state set covered_from = $2, covered_to = $3, scan_top = $4, scan_at = $5,
                new_events = new_events + $6, known_events = known_events + $7,
                refused_events = refused_events + $8, received_bytes = received_bytes + $9,
                leased_until = $10
             where relay_id = $1",
        )
        .bind(relay.0)
        .bind(coverage.covered_from)
        .bind(coverage.covered_to)
        .bind(coverage.scan_top)
        .bind(coverage.scan_at)
        .bind(progress.new_events as i64)
        .bind(progress.known_events as i64)
        .bind(progress.refused_events as i64)
        .bind(progress.received_bytes as i64)
        .bind(self.now() + lease_seconds)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Ends a turn on a relay: gives the lease back and sets when it is due again (Unix seconds).
    /// `error` is what ended it early, `failures` how many such turns there were in a row.
    pub async fn finish_sync(
        &self,
        relay: RelayId,
        due_at: i64,
        failures: u32,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update sync_state set due_at = $2, leased_until = 0, failures = $3, last_error = $4
             where relay_id = $1",
        )
        .bind(relay.0)
        .bind(due_at)
        .bind(i32::try_from(failures).unwrap_or(i32::MAX))
        .bind(error.map(storable))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Records a stretch that a relay cannot be paged through. Repeating it changes nothing.
    pub async fn insert_gap(&self, relay: RelayId, gap: &Gap) -> Result<(), StoreError> {
        sqlx::query(
            "insert into sync_gaps (relay_id, since, until, reason, found_at)
             values ($1, $2, $3, $4, $5) on conflict do nothing",
        )
        .bind(relay.0)
        .bind(gap.since)
        .bind(gap.until)
        .bind(&gap.reason)
        .bind(self.now())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Says whether a gap is recorded that touches this stretch (Unix seconds, inclusive).
    pub async fn has_gap(
        &self,
        relay: RelayId,
        since: i64,
        until: i64,
    ) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar(
            "select exists (select from sync_gaps
                where relay_id = $1 and since <= $3 and until >= $2)",
        )
        .bind(relay.0)
        .bind(since)
        .bind(until)
        .fetch_one(&self.pool)
        .await?)
    }

    /// Returns how far a relay has been archived.
    pub async fn get_coverage(&self, relay: RelayId) -> Result<Option<Coverage>, StoreError> {
        let row = sqlx::query(
            "select covered_from, covered_to, scan_top, scan_at from sync_state where relay_id = $1",
        )
        .bind(relay.0)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(Coverage {
                covered_from: row.try_get("covered_from")?,
                covered_to: row.try_get("covered_to")?,
                scan_top: row.try_get("scan_top")?,
                scan_at: row.try_get("scan_at")?,
            })
        })
        .transpose()
    }

    /// Counts relays by how far the work on them has come.
    pub async fn count_progress(&self) -> Result<RelayProgress, StoreError> {
        Ok(sqlx::query_as(
            "select count(*) as known, count(l.checked_at) as checked,
                count(*) filter (where l.openable) as online,
                count(*) filter (where s.covered_to is not null) as covered,
                count(*) filter (where exists (select from sync_gaps g where g.relay_id = r.id))
                    as gapped
             from relays r
             left join sync_state s on s.relay_id = r.id
             left join relay_latest l on l.relay_id = r.id",
        )
        .fetch_one(&self.pool)
        .await?)
    }
}
