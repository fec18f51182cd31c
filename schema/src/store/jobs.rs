//! The durable queue of NIP-90 jobs.
//!
//! Owns whose turn it is, and that each job is answered once. Where answers go besides our own
//! relay is in `deliveries`.

use bigbrotr_core::event::{Event, EventId, Pubkey};
use sqlx::Row;

use super::deliveries::queue_answer;
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

/// What its customer is told when a job is taken.
#[derive(Debug, Clone, Copy)]
pub struct Feedback<'a> {
    /// The event.
    pub event: &'a Event,
    /// Other relays that get it too, as the request names them.
    pub relays: &'a [String],
}

/// What is known of a job that others may build upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// `None` while it waits.
    pub outcome: Option<JobOutcome>,
    /// Its customer.
    pub customer: Pubkey,
    /// Its answer's id.
    pub result: Option<EventId>,
}

/// How full the queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueRoom {
    /// Jobs that wait, all together.
    pub waiting: u64,
    /// Those of one customer, unpaid ones included.
    pub of_customer: u64,
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

    /// Queues a request; `false` when it is or was in the queue. Feedback is published with it.
    pub async fn insert_job(
        &self,
        request: &Event,
        feedback: Option<Feedback<'_>>,
    ) -> Result<bool, StoreError> {
        self.insert(request, "queued", feedback).await
    }

    /// As [`Store::insert_job`], for a job that has to be paid for first.
    pub async fn insert_unpaid_job(
        &self,
        request: &Event,
        feedback: Option<Feedback<'_>>,
    ) -> Result<bool, StoreError> {
        self.insert(request, "unpaid", feedback).await
    }

    async fn insert(
        &self,
        request: &Event,
        state: &str,
        feedback: Option<Feedback<'_>>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        let new = sqlx::query(
            "insert into dvm_jobs (request_id, kind, customer, received_at, state, turn, request)
             values ($1, $2, $3, $4, $6, 1 + greatest(
                (select max(turn) from dvm_jobs where customer = $3
                    and state in ('queued', 'unpaid')),
                (select turn - 1 from dvm_jobs where state = 'queued'
                    order by turn, received_at limit 1), 0), $5::json)
             on conflict do nothing",
        )
        .bind(request.id.0.as_slice())
        .bind(i32::from(request.kind))
        .bind(request.pubkey.0.as_slice())
        .bind(self.now())
        .bind(request.to_json())
        .bind(state)
        .execute(&mut *tx)
        .await?
        .rows_affected()
            == 1;
        if let (true, Some(Feedback { event, relays })) = (new, feedback) {
            publish(&mut tx, event, self.now()).await?;
            queue_answer(&mut tx, &request.id, event, relays, self.now()).await?;
        }
        tx.commit().await?;
        Ok(new)
    }

    /// Puts an unpaid job into the queue, because of this receipt; `false`, with nothing done, when
    /// there is no such job (any more) or the receipt has paid for another one.
    pub async fn pay_job(
        &self,
        request: &EventId,
        receipt: &EventId,
        feedback: Feedback<'_>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        let paid = sqlx::query(
            "update dvm_jobs set state = 'queued', paid_by = $2, received_at = $3
             where request_id = $1 and state = 'unpaid'
                and not exists (select from dvm_jobs where paid_by = $2)",
        )
        .bind(request.0.as_slice())
        .bind(receipt.0.as_slice())
        .bind(self.now())
        .execute(&mut *tx)
        .await;
        let paid = match paid.map_err(StoreError::from) {
            Ok(done) => done.rows_affected() == 1,
            // Another process was quicker with the same receipt.
            Err(error) if error.is_unique_violation() => return Ok(false),
            Err(error) => return Err(error),
        };
        if paid {
            publish(&mut tx, feedback.event, self.now()).await?;
            let relays = feedback.relays;
            queue_answer(&mut tx, request, feedback.event, relays, self.now()).await?;
        }
        tx.commit().await?;
        Ok(paid)
    }

    /// Returns the request of an unpaid job.
    pub async fn get_unpaid_request(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        let json: Option<String> = sqlx::query_scalar(
            "select request::text from dvm_jobs where request_id = $1 and state = 'unpaid'",
        )
        .bind(id.0.as_slice())
        .fetch_optional(&self.pool)
        .await?;
        json.map(|json| parse(&json)).transpose()
    }

    /// Gives up on unpaid jobs that came before then (Unix seconds); returns how many.
    pub async fn expire_unpaid_jobs(&self, before: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "update dvm_jobs set state = 'cancelled', finished_at = $2
             where state = 'unpaid' and received_at < $1",
        )
        .bind(before)
        .bind(self.now())
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// Claims queued jobs for `claim_seconds`, at most `most`: customers take turns, and the
    /// oldest job of each comes first.
    pub async fn claim_jobs(&self, most: u32, claim_seconds: i64) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query(
            "with next as (
                select request_id from dvm_jobs
                where state = 'queued' and claimed_until <= $1
                order by turn, received_at limit $2 for update skip locked
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
    /// when somebody else has ended it. The first of the events is the answer, others say more
    /// about it; `relays` get them too, and so do those that the request came from.
    pub async fn finish_job(
        &self,
        request: &EventId,
        outcome: JobOutcome,
        answers: &[Event],
        relays: &[String],
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        let mine = sqlx::query(
            "update dvm_jobs set state = $2, finished_at = $3, result_id = $4
             where request_id = $1 and state = 'queued'",
        )
        .bind(request.0.as_slice())
        .bind(outcome.as_str())
        .bind(self.now())
        .bind(answers.first().map(|answer| answer.id.0.to_vec()))
        .execute(&mut *tx)
        .await?
        .rows_affected()
            == 1;
        if mine {
            for answer in answers {
                publish(&mut tx, answer, self.now()).await?;
                queue_answer(&mut tx, request, answer, relays, self.now()).await?;
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
             where request_id = $1 and customer = $2 and state in ('queued', 'unpaid')",
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

    /// Returns what is known of a job.
    pub async fn get_job(&self, request: &EventId) -> Result<Option<JobRecord>, StoreError> {
        let row =
            sqlx::query("select state, customer, result_id from dvm_jobs where request_id = $1")
                .bind(request.0.as_slice())
                .fetch_optional(&self.pool)
                .await?;
        let Some(row) = row else { return Ok(None) };
        let result: Option<Vec<u8>> = row.try_get("result_id")?;
        Ok(Some(JobRecord {
            outcome: match row.try_get("state")? {
                "queued" | "unpaid" => None,
                "done" => Some(JobOutcome::Done),
                _ => Some(JobOutcome::Failed),
            },
            customer: Pubkey(bytes32(row.try_get("customer")?, "customer")?),
            result: result
                .map(|id| bytes32(&id, "event id").map(EventId))
                .transpose()?,
        }))
    }

    /// Counts the jobs that wait, and those of one customer.
    pub async fn queue_room(&self, customer: &Pubkey) -> Result<QueueRoom, StoreError> {
        let (waiting, of_customer): (i64, i64) = sqlx::query_as(
            "select (select count(*) from dvm_jobs where state = 'queued'),
                (select count(*) from dvm_jobs where customer = $1
                    and state in ('queued', 'unpaid'))",
        )
        .bind(customer.0.as_slice())
        .fetch_one(&self.pool)
        .await?;
        Ok(QueueRoom {
            waiting: waiting as u64,
            of_customer: of_customer as u64,
        })
    }

    /// Counts the jobs that wait and tells for how many seconds the oldest has.
    pub async fn queue_depth(&self) -> Result<(u64, u64), StoreError> {
        let (count, oldest): (i64, Option<i64>) = sqlx::query_as(
            "select count(*), min(received_at) from dvm_jobs where state = 'queued'",
        )
        .fetch_one(&self.pool)
        .await?;
        let age = oldest.map_or(0, |at| self.now().saturating_sub(at).max(0));
        Ok((count as u64, age as u64))
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
