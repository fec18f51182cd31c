//! The statistics' only writer.

use sqlx::Row;

use super::Store;
use crate::error::StoreError;
use crate::limits::ROLLUP_BATCHES;

/// What one step of the rollup did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RollupStep {
    /// Ingest batches folded.
    pub batches: u64,
    /// New events among them.
    pub events: u64,
}

impl Store {
    /// Folds waiting batches into the statistics and, when none is left, moves them to now.
    ///
    /// Only one step runs at a time, in whatever process: `None` when another is at work.
    pub async fn rollup_step(&self) -> Result<Option<RollupStep>, StoreError> {
        // Serialised by a lock and run on one snapshot: see migration 0007.
        let mut tx = self
            .pool
            .begin_with("begin isolation level repeatable read")
            .await?;
        let locked: bool = sqlx::query_scalar(
            "select pg_try_advisory_xact_lock(hashtextextended('bigbrotr rollup', 0))",
        )
        .fetch_one(&mut *tx)
        .await?;
        if !locked {
            return Ok(None);
        }
        let row = sqlx::query("select batches, folded from rollup_step($1, $2)")
            .bind(ROLLUP_BATCHES)
            .bind(self.now())
            .fetch_one(&mut *tx)
            .await?;
        let step = RollupStep {
            batches: row.try_get::<i64, _>("batches")? as u64,
            events: row.try_get::<i64, _>("folded")? as u64,
        };
        tx.commit().await?;
        Ok(Some(step))
    }

    /// Returns the age of the oldest batch that the statistics do not hold yet, in seconds.
    pub async fn rollup_lag(&self) -> Result<f64, StoreError> {
        Ok(sqlx::query_scalar(
            "select coalesce(extract(epoch from clock_timestamp() - min(queued_at)), 0)::float8
             from rollup_queue",
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Returns the moment that the statistics describe: Unix seconds, 0 before the first step.
    pub async fn as_of(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("select as_of from rollup_state")
            .fetch_one(&self.pool)
            .await?)
    }
}
