//! The archive's events: what is known, what is new, and reading them back.

use std::collections::HashMap;

use bigbrotr_core::event::{Event, EventId, Pubkey};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{Link, Store, bytes32};
use crate::error::StoreError;

impl Store {
    /// Returns the numbers of those of these events that are archived.
    pub async fn archived_nums(
        &self,
        ids: &[EventId],
    ) -> Result<HashMap<EventId, i64>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        nums_of(&mut connection, ids).await
    }

    /// Returns an archived event, `None` when it is not there or not kept whole.
    pub async fn get_event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        let row = sqlx::query(
            "select id, pubkey, created_at, kind, tags::text as tags, content::text as content, sig
             from events where id = $1",
        )
        .bind(id.0.as_slice())
        .fetch_optional(&self.pool)
        .await?;
        row.map_or(Ok(None), |row| read_event(&row))
    }

    /// Returns up to `most` archived events with numbers above `after`, in the order of their
    /// numbers, each with its number. Events that are not kept whole are left out.
    pub async fn list_events(
        &self,
        after: i64,
        most: i64,
    ) -> Result<Vec<(i64, Option<Event>)>, StoreError> {
        let rows = sqlx::query(
            "select num, id, pubkey, created_at, kind, tags::text as tags,
                content::text as content, sig
             from events where num > $1 order by num limit $2",
        )
        .bind(after)
        .bind(most)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| Ok((row.try_get("num")?, read_event(row)?)))
            .collect()
    }

    /// Counts the events that the statistics hold: exact, and at most a moment old.
    pub async fn count_events(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("select events from stats_totals where win = 0")
            .fetch_one(&self.pool)
            .await?;
        Ok(count as u64)
    }

    /// Returns the relays that had an event, by URL.
    pub async fn list_event_relays(&self, id: &EventId) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "select r.url from events e join events_relays er on er.event_num = e.num
             join relays r on r.id = er.relay_id where e.id = $1 order by r.url",
        )
        .bind(id.0.as_slice())
        .fetch_all(&self.pool)
        .await?)
    }
}

/// As [`Store::archived_nums`], on a connection.
pub(super) async fn nums_of(
    connection: &mut Link,
    ids: &[EventId],
) -> Result<HashMap<EventId, i64>, StoreError> {
    let ids: Vec<&[u8]> = ids.iter().map(|id| id.0.as_slice()).collect();
    let rows: Vec<(Vec<u8>, i64)> =
        sqlx::query_as("select id, num from events where id = any ($1)")
            .bind(ids)
            .fetch_all(connection)
            .await?;
    rows.iter()
        .map(|(id, num)| Ok((EventId(bytes32(id, "event id")?), *num)))
        .collect()
}

pub(super) fn read_event(row: &PgRow) -> Result<Option<Event>, StoreError> {
    let tags: Option<&str> = row.try_get("tags")?;
    let content: Option<&str> = row.try_get("content")?;
    let sig: Option<&[u8]> = row.try_get("sig")?;
    let (Some(tags), Some(content), Some(sig)) = (tags, content, sig) else {
        return Ok(None);
    };
    let corrupt = |what, reason: String| StoreError::Corrupt { what, reason };
    Ok(Some(Event {
        id: EventId(bytes32(row.try_get("id")?, "event id")?),
        pubkey: Pubkey(bytes32(row.try_get("pubkey")?, "pubkey")?),
        created_at: row.try_get("created_at")?,
        kind: u16::try_from(row.try_get::<i32, _>("kind")?)
            .map_err(|error| corrupt("kind", error.to_string()))?,
        tags: serde_json::from_str(tags).map_err(|e| corrupt("tags", e.to_string()))?,
        content: serde_json::from_str(content).map_err(|e| corrupt("content", e.to_string()))?,
        sig: <[u8; 64]>::try_from(sig)
            .map_err(|error| corrupt("signature", format!("{} bytes: {error}", sig.len())))?,
    }))
}
