//! Keeping the relay's events: expiry, removal by the operator, and what is known of the absent.

use bigbrotr_core::event::EventId;

use super::super::Store;
use crate::error::StoreError;

/// What is known of an event by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayEventStatus {
    /// It is there.
    Stored,
    /// It was there, or was refused, and who may delete it has done so (NIP-09).
    Deleted,
    /// Nothing. What has expired, vanished or was replaced leaves no trace of its id.
    Unknown,
}

impl Store {
    /// Says what is known of an event by its id.
    pub async fn relay_event_status(&self, id: &EventId) -> Result<RelayEventStatus, StoreError> {
        let (stored, deleted): (bool, bool) = sqlx::query_as(
            "select exists (select from relay_events
                    where id = $1 and (expires_at is null or expires_at > $2)),
                exists (select from relay_tombstones where target = $1 and seen)",
        )
        .bind(id.0.as_slice())
        .bind(self.now())
        .fetch_one(&self.pool)
        .await?;
        Ok(match (stored, deleted) {
            (true, _) => RelayEventStatus::Stored,
            (false, true) => RelayEventStatus::Deleted,
            (false, false) => RelayEventStatus::Unknown,
        })
    }

    /// Removes events by their ids; returns how many. That is housekeeping, not their authors'
    /// will: they may come back.
    pub async fn delete_relay_events(&self, ids: &[EventId]) -> Result<u64, StoreError> {
        let ids: Vec<&[u8]> = ids.iter().map(|id| id.0.as_slice()).collect();
        let done = sqlx::query("delete from relay_events where id = any ($1)")
            .bind(ids)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected())
    }

    /// Removes all events of the relay, and all memory of what was deleted and who has vanished.
    pub async fn wipe_relay_events(&self) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        for statement in [
            "delete from relay_events",
            "delete from relay_tombstones",
            "delete from relay_vanished",
        ] {
            sqlx::query(statement).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Removes expired events (NIP-40), at most `most`; returns how many.
    pub async fn delete_expired_relay_events(&self, most: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "delete from relay_events where seq in (
                select seq from relay_events where expires_at <= $1 limit $2)",
        )
        .bind(self.now())
        .bind(most)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}
