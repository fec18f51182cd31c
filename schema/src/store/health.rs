//! Whether the database answers, and how large it is.

use bigbrotr_core::network::Network;

use super::Store;
use crate::error::StoreError;

/// What there is in the database.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseStatus {
    /// The server's version, such as `15.18`.
    pub server_version: String,
    /// Bytes on disk, all tables and indexes.
    pub size_bytes: i64,
    /// Ingest batches that the statistics do not hold yet.
    pub rollup_backlog: i64,
    /// How far behind the statistics are: seconds since the oldest such batch was written.
    pub rollup_lag_seconds: f64,
}

/// How large the archive is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArchiveSize {
    /// Events, as the statistics hold them.
    pub events: u64,
    /// Bytes on disk, all tables and indexes of the database.
    pub database_bytes: u64,
}

/// Work that waits to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PendingWork {
    /// Relays due for a check or being checked.
    pub checks: u64,
    /// Relays due for archiving or being archived.
    pub syncs: u64,
    /// Those of them that the priority synchronizer follows.
    pub priority_syncs: u64,
    /// Batches that the statistics do not hold yet.
    pub batches: u64,
    /// Jobs in the queue.
    pub jobs: u64,
}

impl PendingWork {
    /// Says whether nothing waits.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Store {
    /// Counts the work that waits, on relays of these networks. Following a relay that is caught up
    /// is none.
    pub async fn pending_work(&self, networks: &[Network]) -> Result<PendingWork, StoreError> {
        let networks: Vec<&str> = networks.iter().map(|network| network.as_str()).collect();
        let (checks, syncs, priority_syncs, batches, jobs): (i64, i64, i64, i64, i64) =
            sqlx::query_as(
                "with syncs as (
                select s.priority from sync_state s join relays r on r.id = s.relay_id
                where r.network = any ($1) and (s.due_at <= $2 or s.leased_until > $2)
                    and not (s.live_since is not null and s.leased_until > $2)
            )
            select
                (select count(*) from monitor_state s join relays r on r.id = s.relay_id
                 where r.network = any ($1) and (s.due_at <= $2 or s.leased_until > $2)),
                (select count(*) from syncs),
                (select count(*) from syncs where priority),
                (select count(*) from rollup_queue),
                (select count(*) from dvm_jobs where state = 'queued')",
            )
            .bind(networks)
            .bind(self.now())
            .fetch_one(&self.pool)
            .await?;
        Ok(PendingWork {
            checks: checks as u64,
            syncs: syncs as u64,
            priority_syncs: priority_syncs as u64,
            batches: batches as u64,
            jobs: jobs as u64,
        })
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Says how large the archive is. The server stats every file: not to be asked all the time.
    pub async fn archive_size(&self) -> Result<ArchiveSize, StoreError> {
        let (events, bytes): (i64, i64) = sqlx::query_as(
            "select (select events from stats_totals where win = 0),
                pg_database_size(current_database())",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(ArchiveSize {
            events: events as u64,
            database_bytes: bytes as u64,
        })
    }

    /// Asks the database that the public faces read from for a sign of life.
    pub async fn ping_public(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.public).await?;
        Ok(())
    }

    /// Looks at the database as a whole.
    pub async fn status(&self) -> Result<DatabaseStatus, StoreError> {
        let (server_version, size_bytes, rollup_backlog, rollup_lag_seconds) = sqlx::query_as(
            "select split_part(current_setting('server_version'), ' ', 1),
                pg_database_size(current_database()),
                (select count(*) from rollup_queue),
                (select coalesce(extract(epoch from clock_timestamp() - min(queued_at)), 0)::float8
                 from rollup_queue)",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(DatabaseStatus {
            server_version,
            size_bytes,
            rollup_backlog,
            rollup_lag_seconds,
        })
    }
}
