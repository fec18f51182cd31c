//! Answers that go to other relays, and requests that come from them.
//!
//! Owns what waits to be taken where, which relays a request came from, and how far each relay
//! has been listened to. Connections are the node's.

use bigbrotr_core::event::{Event, EventId};
use sqlx::Row;

use super::relay_events::{PublishOutcome, publish};
use super::{Link, Store};
use crate::error::StoreError;
use crate::limits::{MAX_DELIVERIES, MAX_NAMED_DELIVERIES};

/// An event on its way to a relay, in the hands of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    id: i64,
    /// The event.
    pub event: Event,
    /// How often it was tried, this time included.
    pub attempts: u32,
}

/// What became of an attempt to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// It is there, or will never be.
    Over,
    /// It is due again then: Unix seconds.
    Again(i64),
}

impl Store {
    /// Puts a request from another relay on ours and notes where it came from, in one transaction:
    /// whoever answers it answers there too. Notes nothing when our relay does not take it.
    pub async fn take_request(
        &self,
        request: &Event,
        relay: &str,
    ) -> Result<PublishOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        // First, so that it is there for whoever hears of the request.
        sqlx::query(
            "insert into dvm_origins (request_id, relay, heard_at) values ($1, $2, $3)
             on conflict do nothing",
        )
        .bind(request.id.0.as_slice())
        .bind(relay)
        .bind(self.now())
        .execute(&mut *tx)
        .await?;
        let outcome = publish(&mut tx, request, self.now()).await?;
        match outcome {
            PublishOutcome::Stored | PublishOutcome::Duplicate => tx.commit().await?,
            _ => tx.rollback().await?,
        }
        Ok(outcome)
    }

    /// Returns up to when this relay has been listened to: Unix seconds.
    pub async fn listening_since(&self, relay: &str) -> Result<Option<i64>, StoreError> {
        Ok(
            sqlx::query_scalar("select since from dvm_listening where relay = $1")
                .bind(relay)
                .fetch_optional(&self.pool)
                .await?,
        )
    }

    /// Notes that everything of this relay up to then (Unix seconds) has been taken in.
    pub async fn set_listening_since(&self, relay: &str, since: i64) -> Result<(), StoreError> {
        sqlx::query(
            "insert into dvm_listening as l (relay, since) values ($1, $2)
             on conflict (relay) do update set since = greatest(l.since, excluded.since)",
        )
        .bind(relay)
        .bind(since)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Queues an event for another relay.
    pub async fn insert_delivery(&self, event: &Event, relay: &str) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        queue_events(
            &mut connection,
            event,
            &[relay.to_owned()],
            false,
            self.now(),
        )
        .await
    }

    /// Takes the relay for which something has been due longest, those first that no customer named,
    /// and what is due for it, at most `most` events. They are due for others again after
    /// `claim_seconds`.
    pub async fn claim_deliveries(
        &self,
        most: i64,
        claim_seconds: i64,
    ) -> Result<Option<(String, Vec<Delivery>)>, StoreError> {
        let rows = sqlx::query(
            "with target as (
                select relay from dvm_deliveries where due_at <= $1
                order by named, due_at, id limit 1 for update skip locked
            ), next as (
                select d.id from dvm_deliveries d join target using (relay)
                where d.due_at <= $1 order by d.id limit $2 for update of d skip locked
            )
            update dvm_deliveries d set due_at = $1 + $3, attempts = attempts + 1
            from next where d.id = next.id
            returning d.id, d.relay, d.attempts, d.event::text as event",
        )
        .bind(self.now())
        .bind(most)
        .bind(claim_seconds)
        .fetch_all(&self.pool)
        .await?;
        let mut target = None;
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in rows {
            let event = Event::from_json(row.try_get("event")?);
            deliveries.push(Delivery {
                id: row.try_get("id")?,
                event: event.map_err(|error| StoreError::Corrupt {
                    what: "delivery",
                    reason: error.to_string(),
                })?,
                attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
            });
            target = Some(row.try_get("relay")?);
        }
        // In the order in which they were published.
        deliveries.sort_by_key(|delivery| delivery.id);
        Ok(target.map(|relay| (relay, deliveries)))
    }

    /// Notes what became of deliveries.
    pub async fn settle_deliveries(
        &self,
        settled: &[(Delivery, DeliveryOutcome)],
    ) -> Result<(), StoreError> {
        let (mut over, mut again, mut due) = (Vec::new(), Vec::new(), Vec::new());
        for (delivery, outcome) in settled {
            match outcome {
                DeliveryOutcome::Over => over.push(delivery.id),
                DeliveryOutcome::Again(at) => {
                    again.push(delivery.id);
                    due.push(*at);
                }
            }
        }
        let mut tx = self.pool.begin().await?;
        sqlx::query("delete from dvm_deliveries where id = any ($1)")
            .bind(over)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "update dvm_deliveries d set due_at = s.due_at
             from unnest($1::bigint[], $2::bigint[]) as s (id, due_at) where d.id = s.id",
        )
        .bind(again)
        .bind(due)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Counts what waits to be delivered.
    pub async fn count_deliveries(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("select count(*) from dvm_deliveries")
            .fetch_one(&self.pool)
            .await?;
        Ok(count as u64)
    }

    /// Forgets where requests came from that were heard before then (Unix seconds).
    pub async fn delete_origins(&self, before: i64) -> Result<(), StoreError> {
        sqlx::query("delete from dvm_origins where heard_at < $1")
            .bind(before)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Lists the relays that a request came from.
    pub async fn list_origins(&self, request: &EventId) -> Result<Vec<String>, StoreError> {
        Ok(
            sqlx::query_scalar("select relay from dvm_origins where request_id = $1 order by 1")
                .bind(request.0.as_slice())
                .fetch_all(&self.pool)
                .await?,
        )
    }
}

/// Queues an answer for the relays that its request names, and those that it came from.
pub(super) async fn queue_answer(
    connection: &mut Link,
    request: &EventId,
    answer: &Event,
    named: &[String],
    now: i64,
) -> Result<(), StoreError> {
    let origins: Vec<String> =
        sqlx::query_scalar("select relay from dvm_origins where request_id = $1")
            .bind(request.0.as_slice())
            .fetch_all(&mut *connection)
            .await?;
    let mut named = named.to_vec();
    named.retain(|relay| !origins.contains(relay));
    queue_events(connection, answer, &origins, false, now).await?;
    queue_events(connection, answer, &named, true, now).await
}

async fn queue_events(
    connection: &mut Link,
    event: &Event,
    relays: &[String],
    named: bool,
    now: i64,
) -> Result<(), StoreError> {
    if relays.is_empty() {
        return Ok(());
    }
    // What is more than that is on our relay only: strangers decide how much there is.
    sqlx::query(
        "insert into dvm_deliveries (relay, queued_at, due_at, event, named)
         select relay, $3, $3, $2::json, $5 from unnest($1::text[]) as relay
         where (select count(*) from (
            select from dvm_deliveries where named or not $5 limit $4) waiting) < $4
            and (select count(*) from (select from dvm_deliveries limit $6) held) < $6",
    )
    .bind(relays)
    .bind(event.to_json())
    .bind(now)
    .bind(if named {
        MAX_NAMED_DELIVERIES
    } else {
        MAX_DELIVERIES
    })
    .bind(named)
    .bind(MAX_DELIVERIES)
    .execute(connection)
    .await?;
    Ok(())
}
