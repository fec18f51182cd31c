//! Events of our relay that wait to be taken to other relays.
//!
//! Owns what waits for whom, and whose turn it is. Taking it there is the monitor's.

use bigbrotr_core::event::{Event, EventId, Pubkey};
use bigbrotr_core::relay_url::RelayUrl;
use sqlx::Row;

use super::relay_events::{PublishOutcome, address, publish};
use super::{Link, Store, bytes32, storable};
use crate::error::StoreError;

/// A relay that events are taken to, leased to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportTarget {
    id: i32,
    /// Attempts in a row that came to nothing.
    pub failures: u32,
}

/// An event that waits for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedReport {
    address: [u8; 32],
    /// The version that is on our relay now.
    pub event: Event,
}

impl Store {
    /// Makes these relays, and no others, the ones that events wait for. One that is new gets
    /// the author's current events of these kinds; what waited for one that is gone is dropped.
    pub async fn set_report_targets(
        &self,
        relays: &[RelayUrl],
        author: &Pubkey,
        kinds: &[u16],
    ) -> Result<(), StoreError> {
        let urls: Vec<&str> = relays.iter().map(RelayUrl::as_str).collect();
        let kinds: Vec<i32> = kinds.iter().map(|kind| i32::from(*kind)).collect();
        let mut tx = self.pool.begin().await?;
        sqlx::query("delete from report_targets where url <> all ($1)")
            .bind(&urls)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "with new as (
                insert into report_targets (url) select url from unnest($1) as url order by url
                on conflict (url) do nothing returning id
            )
            insert into report_outbox (target_id, address, kind, event_id, queued_at)
            select new.id, e.address, e.kind, e.id, $4 from new, relay_events e
            where e.pubkey = $2 and e.kind = any ($3) and e.address is not null",
        )
        .bind(&urls)
        .bind(author.0.as_slice())
        .bind(kinds)
        .bind(self.now())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Publishes an event on our relay and queues it for the other relays, in one transaction.
    pub async fn publish_report(&self, event: &Event) -> Result<PublishOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        let outcome = publish_and_queue(&mut tx, event, self.now()).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    /// Leases a target for `lease_seconds` if something waits for it, it is due, and nobody else
    /// is at it.
    pub async fn lease_report_target(
        &self,
        url: &RelayUrl,
        lease_seconds: i64,
    ) -> Result<Option<ReportTarget>, StoreError> {
        let row = sqlx::query(
            "update report_targets t set leased_until = $2 + $3
             where url = $1 and due_at <= $2 and leased_until <= $2
                and exists (select from report_outbox o where o.target_id = t.id)
             returning id, failures",
        )
        .bind(url.as_str())
        .bind(self.now())
        .bind(lease_seconds)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(ReportTarget {
                id: row.try_get("id")?,
                failures: row.try_get::<i32, _>("failures")?.unsigned_abs(),
            })
        })
        .transpose()
    }

    /// Returns what waits for a target, at most `most`: oldest first, but what is not of
    /// `perishable` before all else. Of that kind, what was queued before `since` (Unix seconds)
    /// is dropped, as is what is not on our relay any more.
    pub async fn next_reports(
        &self,
        target: ReportTarget,
        perishable: u16,
        since: i64,
        most: usize,
    ) -> Result<Vec<QueuedReport>, StoreError> {
        sqlx::query(
            "delete from report_outbox where target_id = $1 and kind = $2 and queued_at < $3",
        )
        .bind(target.id)
        .bind(i32::from(perishable))
        .bind(since)
        .execute(&self.pool)
        .await?;
        let rows = sqlx::query(
            "select o.address, o.event_id, e.event::text as event from report_outbox o
             left join relay_events e on e.id = o.event_id
             where o.target_id = $1 order by o.kind = $2, o.queued_at, o.address limit $3",
        )
        .bind(target.id)
        .bind(i32::from(perishable))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        let (mut queued, mut gone) = (Vec::new(), Vec::new());
        for row in &rows {
            let address = bytes32(row.try_get("address")?, "address")?;
            match row.try_get::<Option<&str>, _>("event")? {
                Some(json) => queued.push(QueuedReport {
                    address,
                    event: Event::from_json(json).map_err(|error| StoreError::Corrupt {
                        what: "relay event",
                        reason: error.to_string(),
                    })?,
                }),
                None => gone.push((
                    address,
                    EventId(bytes32(row.try_get("event_id")?, "event id")?),
                )),
            }
        }
        if !gone.is_empty() {
            self.dequeue(&self.pool, target, &gone).await?;
            if queued.is_empty() {
                // More may wait behind what is gone.
                return Box::pin(self.next_reports(target, perishable, since, most)).await;
            }
        }
        Ok(queued)
    }

    /// Takes out of the queue what a target has taken and what it has refused, and keeps its
    /// lease. A version that came meanwhile stays.
    pub async fn settle_reports(
        &self,
        target: ReportTarget,
        taken: &[QueuedReport],
        refused: &[QueuedReport],
        lease_seconds: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let settled: Vec<_> = taken
            .iter()
            .chain(refused)
            .map(|queued| (queued.address, queued.event.id))
            .collect();
        self.dequeue(&mut *tx, target, &settled).await?;
        sqlx::query(
            "update report_targets set taken = taken + $2, refused = refused + $3,
                leased_until = $4, failures = case when $2 > 0 then 0 else failures end
             where id = $1",
        )
        .bind(target.id)
        .bind(taken.len() as i64)
        .bind(refused.len() as i64)
        .bind(self.now() + lease_seconds)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gives a target back. It is due again at `due_at` (Unix seconds), after `failures` attempts
    /// in a row that came to nothing, the last one because of `error`.
    pub async fn release_report_target(
        &self,
        target: ReportTarget,
        due_at: i64,
        failures: u32,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update report_targets set due_at = $2, leased_until = 0, failures = $3,
                last_error = $4
             where id = $1",
        )
        .bind(target.id)
        .bind(due_at)
        .bind(i32::try_from(failures).unwrap_or(i32::MAX))
        .bind(error.map(storable))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Counts what waits, for all targets together.
    pub async fn count_queued_reports(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("select count(*) from report_outbox")
            .fetch_one(&self.pool)
            .await?;
        Ok(count as u64)
    }

    async fn dequeue<'c>(
        &self,
        executor: impl sqlx::PgExecutor<'c>,
        target: ReportTarget,
        versions: &[([u8; 32], EventId)],
    ) -> Result<(), StoreError> {
        let addresses: Vec<&[u8]> = versions.iter().map(|(a, _)| a.as_slice()).collect();
        let ids: Vec<&[u8]> = versions.iter().map(|(_, id)| id.0.as_slice()).collect();
        sqlx::query(
            "delete from report_outbox o using unnest($2::bytea[], $3::bytea[]) as d (address, id)
             where o.target_id = $1 and o.address = d.address and o.event_id = d.id",
        )
        .bind(target.id)
        .bind(addresses)
        .bind(ids)
        .execute(executor)
        .await?;
        Ok(())
    }
}

/// Publishes on our relay and, if it is news there, queues it for the other relays, within a
/// transaction of the caller's. Only what can be replaced waits.
pub(super) async fn publish_and_queue(
    connection: &mut Link,
    event: &Event,
    now: i64,
) -> Result<PublishOutcome, StoreError> {
    let outcome = publish(&mut *connection, event, now).await?;
    if let (PublishOutcome::Stored, Some(address)) = (outcome, address(event)) {
        // Locked, so that a target that is just being removed is left out.
        sqlx::query(
            "insert into report_outbox as o (target_id, address, kind, event_id, queued_at)
             select id, $1, $2, $3, $4
             from (select id from report_targets order by id for key share) t
             on conflict (target_id, address) do update
                set event_id = excluded.event_id, queued_at = excluded.queued_at",
        )
        .bind(address.as_slice())
        .bind(i32::from(event.kind))
        .bind(event.id.0.as_slice())
        .bind(now)
        .execute(connection)
        .await?;
    }
    Ok(outcome)
}
