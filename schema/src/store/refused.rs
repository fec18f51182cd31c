//! Events that the database does not take: what they were and why, for the operator.

use bigbrotr_core::event::{Event, EventId};
use sqlx::Row;

use super::{RelayId, Store, bytes32};
use crate::error::StoreError;
use crate::limits::{REFUSED_EVENT_BYTES, REFUSED_EVENTS, REFUSED_MESSAGE_CHARS};

/// An event that the database did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedEvent {
    /// Which event.
    pub id: EventId,
    /// The relay that sent it last, `None` for a file.
    pub relay: Option<RelayId>,
    /// The latest refusal's code.
    pub sqlstate: String,
    /// The latest refusal in the database's words.
    pub message: String,
    /// Length of its JSON.
    pub bytes: u64,
    /// Its JSON, `None` where that is longer than is kept.
    pub event: Option<String>,
    /// When it was refused last: Unix seconds.
    pub refused_at: i64,
    /// How often it was refused.
    pub times: u64,
}

impl Store {
    /// Records that the database did not take an event. Repetitions are counted; the oldest
    /// records make room for new ones.
    pub(crate) async fn record_refused_event(
        &self,
        event: &Event,
        relay: Option<RelayId>,
        reason: &StoreError,
    ) -> Result<(), StoreError> {
        let (sqlstate, message) = reason.database_words();
        let message: String = message.chars().take(REFUSED_MESSAGE_CHARS).collect();
        let json = event.to_json();
        let bytes = json.len();
        sqlx::query("select record_refused_event($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(event.id.0.as_slice())
            .bind(relay.map(|relay| relay.0))
            .bind(sqlstate)
            .bind(message)
            .bind(bytes as i64)
            .bind((bytes <= REFUSED_EVENT_BYTES).then_some(json))
            .bind(self.now())
            .bind(REFUSED_EVENTS)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Returns up to `most` events that the database did not take, the latest first.
    pub async fn list_refused_events(&self, most: i64) -> Result<Vec<RefusedEvent>, StoreError> {
        let rows = sqlx::query(
            "select id, relay_id, sqlstate, message, bytes, event, refused_at, times
             from refused_events order by refused_at desc, id limit $1",
        )
        .bind(most)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(RefusedEvent {
                    id: EventId(bytes32(row.try_get("id")?, "event id")?),
                    relay: row.try_get::<Option<i32>, _>("relay_id")?.map(RelayId),
                    sqlstate: row.try_get("sqlstate")?,
                    message: row.try_get("message")?,
                    bytes: row.try_get::<i64, _>("bytes")? as u64,
                    event: row.try_get("event")?,
                    refused_at: row.try_get("refused_at")?,
                    times: row.try_get::<i64, _>("times")? as u64,
                })
            })
            .collect()
    }
}
