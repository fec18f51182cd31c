//! Removing from the archive, in bounded batches, with every statistic staying exact.

use super::{Pool, RelayId, Store};
use crate::config::Retention;
use crate::error::StoreError;
use crate::limits::{
    CHECKS_KEPT, REMOVAL_LOCK_WAIT, RETENTION_BATCH, RETENTION_RELAYS, RETENTION_SCAN,
};

/// Where a walk through old events has come to: `created_at` and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetentionCursor(i64, i64);

impl RetentionCursor {
    /// Before the oldest event.
    pub const START: Self = Self(i64::MIN, i64::MIN);
}

/// What one batch of a walk did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionStep {
    /// Events removed.
    pub removed: u64,
    /// Where to go on; `None`: the walk is at its end.
    pub next: Option<RetentionCursor>,
}

impl Store {
    /// Removes events that the policy does not keep, among the next ones from the cursor on, in
    /// one transaction.
    pub async fn apply_retention(
        &self,
        policy: &Retention,
        from: RetentionCursor,
    ) -> Result<RetentionStep, StoreError> {
        let now = self.now();
        let rows: Vec<(i64, i64, i32)> = sqlx::query_as(
            "select created_at, num, kind from events
             where (created_at, num) > ($1, $2) and created_at <= $3
             order by created_at, num limit $4",
        )
        .bind(from.0)
        .bind(from.1)
        .bind(policy.horizon(now))
        .bind(RETENTION_SCAN as i64)
        .fetch_all(&self.pool)
        .await?;
        let mut step = RetentionStep {
            removed: 0,
            next: None,
        };
        let mut gone = Vec::new();
        for &(created_at, num, kind) in &rows {
            if gone.len() == RETENTION_BATCH {
                break;
            }
            step.next = Some(RetentionCursor(created_at, num));
            if !policy.keeps(u16::try_from(kind).unwrap_or_default(), created_at, now) {
                gone.push(num);
            }
        }
        if rows.len() < RETENTION_SCAN && gone.len() < RETENTION_BATCH {
            step.next = None;
        }
        if !gone.is_empty() {
            step.removed = self.delete_events(&gone).await?;
        }
        Ok(step)
    }

    /// Removes up to `most` events that no relay is known to have had: those that only a removed
    /// relay had, and those imported without naming a relay. Returns how many.
    pub async fn delete_orphan_events(&self, most: usize) -> Result<u64, StoreError> {
        count(&self.pool, "select delete_orphan_events($1)", most).await
    }

    /// Removes snapshots from before this moment (Unix seconds), among the next relays after
    /// `from`, in one transaction; the last ten of each relay stay. Returns how many are gone, and
    /// where to go on, if there is more.
    pub async fn delete_old_snapshots(
        &self,
        before: i64,
        from: RelayId,
    ) -> Result<(u64, Option<RelayId>), StoreError> {
        let (removed, relays, last): (i64, i64, Option<i32>) = sqlx::query_as(
            "with page as (
                select id from relays where id > $1 order by id limit $2
            ), kept as (
                select p.id, (select min(checked_at) from (
                    select checked_at from relay_metadata m where m.relay_id = p.id
                    order by checked_at desc limit $3) newest) as since
                from page p
            ), old as (
                select m.relay_id, m.checked_at from kept k cross join lateral (
                    select relay_id, checked_at from relay_metadata m
                    where m.relay_id = k.id and m.checked_at < $4 and m.checked_at < k.since
                    order by checked_at limit $5) m
                limit $5
            ), gone as (
                delete from relay_metadata m using old o
                where m.relay_id = o.relay_id and m.checked_at = o.checked_at
                returning 1
            )
            select (select count(*) from gone), (select count(*) from page),
                (select max(id) from page)",
        )
        .bind(from.0)
        .bind(RETENTION_RELAYS)
        .bind(CHECKS_KEPT)
        .bind(before)
        .bind(RETENTION_BATCH as i64)
        .fetch_one(&self.pool)
        .await?;
        let next = if removed == RETENTION_BATCH as i64 {
            Some(from)
        } else {
            last.map(RelayId).filter(|_| relays == RETENTION_RELAYS)
        };
        Ok((removed as u64, next))
    }

    /// Removes up to `most` documents of each kind that no snapshot refers to, and as many lists of
    /// NIPs that no relay has. Returns how many.
    pub async fn delete_orphan_documents(&self, most: usize) -> Result<u64, StoreError> {
        let nip11 = count(&self.pool, "select delete_orphan_nip11($1)", most).await?;
        let nip66 = count(&self.pool, "select delete_orphan_nip66($1)", most).await?;
        let nip_sets = count(&self.pool, "select delete_orphan_nip_sets($1)", most).await?;
        Ok(nip11 + nip66 + nip_sets)
    }

    async fn delete_events(&self, nums: &[i64]) -> Result<u64, StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("select set_config('lock_timeout', $1, true)")
            .bind(format!("{}ms", REMOVAL_LOCK_WAIT.as_millis()))
            .execute(&mut *tx)
            .await?;
        // Triggers see to provenance and statistics: migration 0010.
        let deleted = sqlx::query("delete from events where num = any ($1)")
            .bind(nums)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(deleted.rows_affected())
    }
}

async fn count(pool: &Pool, sql: &'static str, most: usize) -> Result<u64, StoreError> {
    let deleted: i64 = sqlx::query_scalar(sql)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_one(pool)
        .await?;
    Ok(deleted as u64)
}
