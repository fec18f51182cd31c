//! Candidates on their way to becoming relays, or to being given up.

use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::RelayUrl;
use sqlx::Row;

use super::{FoundBy, Store};
use crate::error::StoreError;
use crate::limits::CANDIDATE_UPKEEP_BATCH;
use crate::store::relay_url;

/// A candidate that is due, leased to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its URL.
    pub url: RelayUrl,
    /// Tries in a row that failed for its own reasons.
    pub attempts: u32,
    /// Names the lease: who comes with another one comes too late.
    lease: i64,
}

/// What follows from a try that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandidateFailure {
    /// Whether it counts against the candidate.
    pub counts: bool,
    /// Whether it was the last one.
    pub gives_up: bool,
    /// When it is due again, Unix seconds.
    pub due_at: i64,
    /// Why it failed, from a closed set.
    pub reason: &'static str,
}

/// How many candidates stay, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandidateBounds {
    /// Those given up before this time (Unix seconds) are forgotten.
    pub given_up_before: i64,
    /// The most that are remembered as given up.
    pub max_given_up: u32,
    /// The most that have failed and wait for another try.
    pub max_retried: u32,
}

/// What one step of housekeeping did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CandidateUpkeep {
    /// Given-up candidates that were forgotten: they may be found again.
    pub forgotten: u64,
    /// Candidates given up before their time, because too many fail.
    pub given_up: u64,
    /// Candidates that had become relays in another way.
    pub settled: u64,
}

impl Store {
    /// Leases up to `most` candidates of these networks that are due, longest overdue first, for
    /// `lease_seconds`. One that is leased to somebody else is left alone.
    pub async fn lease_candidates(
        &self,
        networks: &[Network],
        most: u32,
        lease_seconds: i64,
    ) -> Result<Vec<Candidate>, StoreError> {
        let networks: Vec<&str> = networks.iter().map(|network| network.as_str()).collect();
        let rows = sqlx::query(
            "with due as (
                select url from candidates
                where given_up_at is null and due_at <= $1 and leased_until <= $1
                    and network = any ($2)
                order by due_at limit $3 for update skip locked
            )
            update candidates c set leased_until = $1 + $4 from due where c.url = due.url
            returning c.url, c.attempts, c.leased_until",
        )
        .bind(self.now())
        .bind(networks)
        .bind(i64::from(most))
        .bind(lease_seconds)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Candidate {
                    url: relay_url(row.try_get("url")?, "URL of a candidate")?,
                    attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
                    lease: row.try_get("leased_until")?,
                })
            })
            .collect()
    }

    /// Makes a candidate a relay, due for its first check and for archiving at once, in one
    /// transaction. Returns where it was found; `None`: its lease ran out, and somebody else has
    /// it now or is done with it.
    pub async fn promote_candidate(
        &self,
        candidate: &Candidate,
    ) -> Result<Option<FoundBy>, StoreError> {
        let found_by: Option<String> = sqlx::query_scalar("select promote_candidate($1, $2, $3)")
            .bind(candidate.url.as_str())
            .bind(candidate.lease)
            .bind(self.now())
            .fetch_one(&self.pool)
            .await?;
        found_by.map(|source| FoundBy::read(&source)).transpose()
    }

    /// Records a try that failed, and gives the lease back. Returns `false` where the lease ran
    /// out before.
    pub async fn fail_candidate(
        &self,
        candidate: &Candidate,
        failure: CandidateFailure,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update candidates set attempts = attempts + $3, due_at = $4, leased_until = 0,
                given_up_at = $5, last_error = $6
             where url = $1 and leased_until = $2",
        )
        .bind(candidate.url.as_str())
        .bind(candidate.lease)
        .bind(i32::from(failure.counts))
        .bind(failure.due_at)
        .bind(failure.gives_up.then(|| self.now()))
        .bind(failure.reason)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Gives candidates back untried: they are due again at once.
    pub async fn release_candidates(&self, candidates: &[Candidate]) -> Result<(), StoreError> {
        let urls: Vec<&str> = candidates.iter().map(|c| c.url.as_str()).collect();
        let leases: Vec<i64> = candidates.iter().map(|c| c.lease).collect();
        sqlx::query(
            "update candidates c set leased_until = 0
             from unnest($1, $2) as l (url, lease)
             where c.url = l.url and c.leased_until = l.lease",
        )
        .bind(urls)
        .bind(leases)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets candidates that were given up long ago, and the oldest of them where there are too
    /// many; and gives up those that failed most where too many wait for another try. A bounded
    /// number each; to be called again.
    pub async fn upkeep_candidates(
        &self,
        bounds: CandidateBounds,
    ) -> Result<CandidateUpkeep, StoreError> {
        let old = "delete from candidates where url in (
                select url from candidates where given_up_at < $1
                order by given_up_at limit $2 for update skip locked)";
        let old = sqlx::query(old)
            .bind(bounds.given_up_before)
            .bind(CANDIDATE_UPKEEP_BATCH)
            .execute(&self.pool)
            .await?;
        let many = sqlx::query(
            "delete from candidates where url in (
                select url from candidates where given_up_at is not null
                order by given_up_at desc offset $1 limit $2)",
        )
        .bind(i64::from(bounds.max_given_up))
        .bind(CANDIDATE_UPKEEP_BATCH)
        .execute(&self.pool)
        .await?;
        let given_up = sqlx::query(
            "update candidates set given_up_at = $1 where leased_until <= $1 and url in (
                select url from candidates where given_up_at is null and attempts > 0
                order by attempts, due_at offset $2 limit $3)",
        )
        .bind(self.now())
        .bind(i64::from(bounds.max_retried))
        .bind(CANDIDATE_UPKEEP_BATCH)
        .execute(&self.pool)
        .await?;
        let settled = sqlx::query(
            "delete from candidates c using relays r where r.url = c.url and c.leased_until <= $1",
        )
        .bind(self.now())
        .execute(&self.pool)
        .await?;
        Ok(CandidateUpkeep {
            forgotten: old.rows_affected() + many.rows_affected(),
            given_up: given_up.rows_affected(),
            settled: settled.rows_affected(),
        })
    }
}
