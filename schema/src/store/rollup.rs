//! The statistics' only writer.
//!
//! Ingest puts what is new into `rollup_queue`, in its own transaction. A step takes rows out of
//! the queue, adds them to the counters, and moves the windows forward, all in one transaction:
//! exactly once, whatever crashes. Decision 2 has the reasons, migration 0009 the tables.

mod apply;
mod counters;
mod fold;
mod pubkeys;
mod queue;
mod removal;
mod windows;

use sqlx::Row;

use self::fold::{EventChange, Fold, RelayChange};
use self::pubkeys::Numbers;
pub(super) use self::pubkeys::PubkeyNumbers;
use super::{Link, Store};
use crate::error::StoreError;

/// What one step of the rollup did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RollupStep {
    /// Ingest batches folded.
    pub batches: u64,
    /// New events among them.
    pub events: u64,
    /// More is to be done at once: batches wait, or the windows have not reached now.
    pub more: bool,
}

impl Store {
    /// Folds waiting batches into the statistics and, when none is left, moves them to now.
    ///
    /// Only one step runs at a time, in whatever process: `None` when another is at work, or came
    /// in between.
    pub async fn rollup_step(&self) -> Result<Option<RollupStep>, StoreError> {
        match self.try_rollup_step(false).await {
            // A check of a relay whose statistics moved was stored meanwhile. Where checks are
            // frequent and steps slow, that would be so each time.
            Err(error) if error.is_conflict() => {}
            outcome => return outcome,
        }
        match self.try_rollup_step(true).await {
            Err(error) if error.is_conflict() => Ok(None),
            outcome => outcome,
        }
    }

    /// Takes a step; `alone` makes those who store checks, or add relays, wait for its end.
    async fn try_rollup_step(&self, alone: bool) -> Result<Option<RollupStep>, StoreError> {
        // One snapshot: that the queue is empty has to hold for the very moment in which events
        // enter and leave the windows.
        let mut tx = self
            .pool
            .begin_with("begin isolation level repeatable read")
            .await?;
        let mut numbers = self.pubkey_numbers.begin();
        let outcome = self.fold_waiting(&mut tx, &mut numbers, alone).await;
        if let Ok(Some(_)) = outcome {
            tx.commit().await?;
            numbers.commit();
        } else if let Err(error) = tx.rollback().await {
            // Waited for, as the next try would find the lock taken.
            tracing::debug!(%error, "a step of the statistics is not taken back in order");
        }
        outcome
    }

    async fn fold_waiting(
        &self,
        tx: &mut Link,
        numbers: &mut Numbers<'_>,
        alone: bool,
    ) -> Result<Option<RollupStep>, StoreError> {
        if alone {
            // Before the snapshot, which the first question takes. Exclusive, as who stores a check
            // first locks the relay's row and only then changes it.
            sqlx::query("lock table relay_latest in exclusive mode")
                .execute(&mut *tx)
                .await?;
        }
        let locked: bool = sqlx::query_scalar(
            "select pg_try_advisory_xact_lock(hashtextextended('bigbrotr rollup', 0))",
        )
        .fetch_one(&mut *tx)
        .await?;
        if !locked {
            return Ok(None);
        }
        let (as_of, clock): (i64, i64) = sqlx::query_as(
            "select as_of, extract(epoch from clock_timestamp())::bigint from rollup_state",
        )
        .fetch_one(&mut *tx)
        .await?;
        let taken = queue::take(tx).await?;
        numbers.resolve(tx, taken.pubkeys()).await?;
        let (mut added, mut removed) = (Fold::default(), Fold::default());
        for batch in &taken.batches {
            let fold = if batch.removal {
                &mut removed
            } else {
                &mut added
            };
            batch.fold_into(fold, numbers, as_of)?;
        }
        let mut step = RollupStep {
            batches: taken.batches.len() as u64,
            events: taken
                .batches
                .iter()
                .map(queue::QueuedBatch::new_events)
                .sum(),
            more: !taken.all,
        };
        let goal = windows::goal(as_of, self.now(), clock).filter(|_| taken.all);
        if let Some(goal) = goal {
            let until = windows::next_stop(as_of, goal);
            let mut moved = Vec::new();
            for shift in windows::shifts(as_of, until) {
                moved.push((shift, windows::events_of(tx, shift).await?));
            }
            numbers
                .resolve(tx, moved.iter().flat_map(|(_, moves)| moves.pubkeys()))
                .await?;
            for (shift, moves) in &moved {
                moves.fold_into(&mut added, numbers, *shift)?;
            }
            sqlx::query("update rollup_state set as_of = $1")
                .bind(until)
                .execute(&mut *tx)
                .await?;
            step.more = until != goal;
        }
        // What comes first: an event may have come and gone since the last step.
        apply::apply(tx, &added).await?;
        let removed = apply::apply(tx, &removed).await?;
        removal::refresh_spans(tx, &removed).await?;
        Ok(Some(step))
    }

    /// Takes steps until the statistics hold everything, or until another process is at it.
    pub async fn rollup_to_end(&self) -> Result<(), StoreError> {
        while self.rollup_step().await?.is_some_and(|step| step.more) {}
        Ok(())
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

/// Reads the one array that a statement returns.
async fn array(
    connection: &mut Link,
    query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
) -> Result<Vec<i64>, StoreError> {
    Ok(query.fetch_one(connection).await?.try_get(0)?)
}
