//! Whether the database answers, and how large it is.

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

impl Store {
    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await?;
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
