//! The durable queue of NIP-90 jobs.

use bigbrotr_core::event::{Event, EventId, Pubkey};
use sqlx::Row;

use super::relay_events::publish;
use super::{Store, bytes32};
use crate::error::StoreError;
use crate::filter_sql::tag_hash;

/// A job to answer, claimed by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The request.
    pub request: Event,
    /// How often it was claimed, this time included.
    pub attempts: u32,
    /// When it was queued: Unix seconds.
    pub received_at: i64,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOutcome {
    /// Answered with a result.
    Done,
    /// Answered with an error.
    Failed,
}

impl JobOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl Store {
    /// Returns requests of these kinds on our relay, received since then (Unix seconds), that are
    /// not in the queue yet, oldest first: those that name this provider (`p`) or nobody. Whoever
    /// missed a notification finds them here.
    pub async fn list_unqueued_requests(
        &self,
        kinds: &[u16],
        provider: &Pubkey,
        received_since: i64,
        most: i64,
    ) -> Result<Vec<Event>, StoreError> {
        // Our JSON has no blanks and escapes quotes in strings, so only a tag can look like ["p",.
        // The functions for JSON are no help: they stumble over escaped NULs.
        let rows: Vec<String> = sqlx::query_scalar(
            r#"select e.event::text from relay_events e
             where e.kind = any ($1) and e.received_at >= $2
                and (e.expires_at is null or e.expires_at > $4)
                and ($5 = any (e.tag_hashes) or e.event::text not like '%["p",%')
                and not exists (select from dvm_jobs j where j.request_id = e.id)
             order by e.received_at, e.seq limit $3"#,
        )
        .bind(
            kinds
                .iter()
                .map(|kind| i32::from(*kind))
                .collect::<Vec<_>>(),
        )
        .bind(received_since)
        .bind(most)
        .bind(self.now())
        .bind(tag_hash('p', &provider.to_hex()))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|json| parse(json)).collect()
    }

    /// Queues a request; `false` when it is or was in the queue. `feedback` is published with it.
    pub async fn insert_job(
        &self,
        request: &Event,
        feedback: Option<&Event>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        let new = sqlx::query(
            "insert into dvm_jobs (request_id, kind, customer, received_at, request)
             values ($1, $2, $3, $4, $5::json) on conflict do nothing",
        )
        .bind(request.id.0.as_slice())
        .bind(i32::from(request.kind))
        .bind(request.pubkey.0.as_slice())
        .bind(self.now())
        .bind(request.to_json())
        .execute(&mut *tx)
        .await?
        .rows_affected()
            == 1;
        if let (true, Some(feedback)) = (new, feedback) {
            publish(&mut tx, feedback, self.now()).await?;
        }
        tx.commit().await?;
        Ok(new)
    }

    /// Claims the oldest queued jobs for `claim_seconds`, at most `most`.
    pub async fn claim_jobs(&self, most: u32, claim_seconds: i64) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query(
            "with next as (
                select request_id from dvm_jobs
                where state = 'queued' and claimed_until <= $1
                order by received_at limit $2 for update skip locked
            )
            update dvm_jobs j set claimed_until = $1 + $3, attempts = attempts + 1 from next
            where j.request_id = next.request_id
            returning j.request::text as request, j.attempts, j.received_at",
        )
        .bind(self.now())
        .bind(i64::from(most))
        .bind(claim_seconds)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Job {
                    request: parse(row.try_get("request")?)?,
                    attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
                    received_at: row.try_get("received_at")?,
                })
            })
            .collect()
    }

    /// Gives a claimed job back to the queue, to be claimed again after `delay_seconds`.
    pub async fn release_job(
        &self,
        request: &EventId,
        delay_seconds: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update dvm_jobs set claimed_until = $2 where request_id = $1 and state = 'queued'",
        )
        .bind(request.0.as_slice())
        .bind(self.now() + delay_seconds)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Ends a job and publishes its answer, in one transaction: `false`, with nothing published,
    /// when somebody else has ended it.
    pub async fn finish_job(
        &self,
        request: &EventId,
        outcome: JobOutcome,
        answers: &[Event],
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        let mine = sqlx::query(
            "update dvm_jobs set state = $2, finished_at = $3, result_id = $4
             where request_id = $1 and state = 'queued'",
        )
        .bind(request.0.as_slice())
        .bind(outcome.as_str())
        .bind(self.now())
        .bind(answers.last().map(|answer| answer.id.0.to_vec()))
        .execute(&mut *tx)
        .await?
        .rows_affected()
            == 1;
        if mine {
            for answer in answers {
                publish(&mut tx, answer, self.now()).await?;
            }
        }
        tx.commit().await?;
        Ok(mine)
    }

    /// Cancels a queued job at its customer's wish; `false` when there is no such job.
    pub async fn cancel_job(
        &self,
        request: &EventId,
        customer: &[u8; 32],
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update dvm_jobs set state = 'cancelled', finished_at = $3
             where request_id = $1 and customer = $2 and state = 'queued'",
        )
        .bind(request.0.as_slice())
        .bind(customer.as_slice())
        .bind(self.now())
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Forgets jobs that ended before then (Unix seconds), at most `most`; returns how many. A
    /// request that is forgotten while it can still be listed would be answered again.
    pub async fn delete_finished_jobs(&self, before: i64, most: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "delete from dvm_jobs where request_id in (
                select request_id from dvm_jobs where finished_at < $1 limit $2)",
        )
        .bind(before)
        .bind(most)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// Returns the id of a finished job's answer.
    pub async fn get_job_result(&self, request: &EventId) -> Result<Option<EventId>, StoreError> {
        let id: Option<Option<Vec<u8>>> =
            sqlx::query_scalar("select result_id from dvm_jobs where request_id = $1")
                .bind(request.0.as_slice())
                .fetch_optional(&self.pool)
                .await?;
        id.flatten()
            .map(|id| bytes32(&id, "event id").map(EventId))
            .transpose()
    }

    /// Counts the jobs that wait.
    pub async fn count_queued_jobs(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("select count(*) from dvm_jobs where state = 'queued'")
            .fetch_one(&self.pool)
            .await?;
        Ok(count as u64)
    }
}

fn parse(json: &str) -> Result<Event, StoreError> {
    Event::from_json(json).map_err(|error| StoreError::Corrupt {
        what: "job request",
        reason: error.to_string(),
    })
}
