//! Ids that a relay said it has, and that were not archived all the same.

use std::collections::HashSet;

use bigbrotr_core::event::EventId;

use crate::error::StoreError;
use crate::limits::MISSING_PER_RELAY;
use crate::store::{RelayId, Store, bytes32};

/// Why a promised event is not archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingCause {
    /// Asked for by its id and not sent.
    NotGiven,
    /// Its id or signature is wrong, or the database does not take it.
    Refused,
    /// It is larger than allowed.
    TooLarge,
    /// It is of a kind, age or author that is not archived.
    Unwanted,
}

impl MissingCause {
    /// Names the cause from a closed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotGiven => "not_given",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Unwanted => "unwanted",
        }
    }
}

impl Store {
    /// Notes ids that a relay promised in vain, not to be asked for again until then (Unix
    /// seconds), nor before events larger than now, bytes, are taken. Of one relay a bounded
    /// number is kept.
    pub async fn insert_missing(
        &self,
        relay: RelayId,
        ids: &[EventId],
        cause: MissingCause,
        retry_at: i64,
        max_event_bytes: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into sync_missing (relay_id, id, cause, promised_at, retry_at, limit_bytes)
             select $1, id, $3, $4, $5, $7 from unnest($2::bytea[]) as id
             where (select count(*) from sync_missing where relay_id = $1) < $6
             on conflict (relay_id, id) do update set cause = excluded.cause,
                tries = sync_missing.tries + 1, retry_at = excluded.retry_at,
                limit_bytes = excluded.limit_bytes",
        )
        .bind(relay.0)
        .bind(raw(ids))
        .bind(cause.as_str())
        .bind(self.now())
        .bind(retry_at)
        .bind(MISSING_PER_RELAY)
        .bind(max_event_bytes)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Returns those of these ids that need not be asked for now.
    pub async fn list_missing(
        &self,
        relay: RelayId,
        ids: &[EventId],
        max_event_bytes: i64,
    ) -> Result<HashSet<EventId>, StoreError> {
        let found: Vec<Vec<u8>> = sqlx::query_scalar(
            "select id from sync_missing where relay_id = $1 and id = any ($2) and retry_at > $3
                and (cause <> 'too_large' or limit_bytes >= $4)",
        )
        .bind(relay.0)
        .bind(raw(ids))
        .bind(self.now())
        .bind(max_event_bytes)
        .fetch_all(&self.pool)
        .await?;
        found
            .iter()
            .map(|id| Ok(EventId(bytes32(id, "event id")?)))
            .collect()
    }

    /// Forgets promises that were kept after all.
    pub async fn delete_missing(&self, relay: RelayId, ids: &[EventId]) -> Result<(), StoreError> {
        sqlx::query("delete from sync_missing where relay_id = $1 and id = any ($2)")
            .bind(relay.0)
            .bind(raw(ids))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Lets ids be asked for again at once that were not taken for one of these causes.
    pub async fn recall_missing(
        &self,
        relay: RelayId,
        causes: &[MissingCause],
    ) -> Result<(), StoreError> {
        let causes: Vec<&str> = causes.iter().map(|cause| cause.as_str()).collect();
        sqlx::query(
            "update sync_missing set retry_at = 0 where relay_id = $1 and cause = any ($2)",
        )
        .bind(relay.0)
        .bind(causes)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Counts the promises that a relay has not kept.
    pub async fn count_missing(&self, relay: RelayId) -> Result<u64, StoreError> {
        let count: i64 =
            sqlx::query_scalar("select count(*) from sync_missing where relay_id = $1")
                .bind(relay.0)
                .fetch_one(&self.pool)
                .await?;
        Ok(count as u64)
    }
}

fn raw(ids: &[EventId]) -> Vec<&[u8]> {
    ids.iter().map(|id| id.0.as_slice()).collect()
}
