//! One candidate that is due: tried, then promoted, put off or given up.

use std::error::Error;
use std::sync::Arc;

use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::store::{Candidate, CandidateFailure, FoundBy};
use tokio::time::Instant;

use super::super::metrics::Outcome;
use super::super::prove::{Proof, prove};
use super::super::service::ValidatorService;
use super::super::verdict::failed;
use crate::store_wait::{DATABASE_BACKOFF, StepError, bounded};

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// It is a relay now.
    Promoted,
    /// It failed, and is tried again.
    Failed,
    /// It failed for the last time.
    GivenUp,
    /// It failed for reasons of ours.
    Deferred,
    /// The outcome is not stored: somebody else has the lease, or the database refuses.
    Dropped,
    /// The service had to stop before the outcome was stored.
    Interrupted,
}

/// What is written after a try.
enum Record {
    Relay { answer: &'static str },
    Failure(CandidateFailure),
}

/// What the database made of it.
enum Stored {
    Relay {
        found_by: FoundBy,
    },
    Failure,
    /// The lease had run out.
    Late,
}

pub(super) async fn try_and_store(
    service: Arc<ValidatorService>,
    context: ServiceContext,
    candidate: Candidate,
) -> Done {
    let (url, began) = (&candidate.url, Instant::now());
    let proof = Box::pin(prove(&service.dialer, url, &service.config)).await;
    let took = began.elapsed();
    service.metrics.observe_try(took.as_secs_f64());
    let record = match proof {
        Proof::Relay { answer } => {
            service.reach.note_proof(url.network(), began);
            Record::Relay { answer }
        }
        Proof::None { reason, fault } => {
            let counts = Box::pin(service.reach.counts(url, fault, began)).await;
            let (now, rng) = (service.clock.now(), &mut rand::rng());
            let attempts = candidate.attempts;
            Record::Failure(failed(&service.config, now, attempts, counts, reason, rng))
        }
    };
    tracing::debug!(
        relay.url = %url,
        outcome = match &record {
            Record::Relay { answer } => answer,
            Record::Failure(failure) => failure.reason,
        },
        duration_ms = took.as_millis() as u64,
        "candidate tried",
    );
    store(&service, &context, &candidate, &record).await
}

/// Stores a record, for as long as that takes.
async fn store(
    service: &ValidatorService,
    context: &ServiceContext,
    candidate: &Candidate,
    record: &Record,
) -> Done {
    let mut attempt = 0;
    loop {
        match write(service, candidate, record).await {
            Ok(stored) => return conclude(service, candidate, record, &stored),
            Err(error) if error.is_retryable() => {
                tracing::debug!(
                    relay.url = %candidate.url,
                    error = &error as &dyn Error,
                    "what came of a try is not stored yet",
                );
                context.degraded(&error);
                let pause = DATABASE_BACKOFF.delay(attempt, &mut rand::rng());
                attempt = attempt.saturating_add(1);
                if !context.sleep(pause).await {
                    return Done::Interrupted;
                }
            }
            Err(error) => {
                tracing::error!(
                    relay.url = %candidate.url,
                    error = &error as &dyn Error,
                    "what came of a try cannot be stored",
                );
                service.metrics.count_try(Outcome::Unstored);
                return Done::Dropped;
            }
        }
    }
}

async fn write(
    service: &ValidatorService,
    candidate: &Candidate,
    record: &Record,
) -> Result<Stored, StepError> {
    let store = &service.store;
    Ok(match record {
        Record::Relay { .. } => match bounded(store.promote_candidate(candidate)).await? {
            Some(found_by) => Stored::Relay { found_by },
            None => Stored::Late,
        },
        Record::Failure(failure) => {
            if bounded(store.fail_candidate(candidate, *failure)).await? {
                Stored::Failure
            } else {
                Stored::Late
            }
        }
    })
}

fn conclude(
    service: &ValidatorService,
    candidate: &Candidate,
    record: &Record,
    stored: &Stored,
) -> Done {
    let (outcome, done) = match (stored, record) {
        (Stored::Relay { found_by }, Record::Relay { answer }) => {
            tracing::debug!(
                relay.url = %candidate.url,
                found_by = %found_by,
                answer,
                "a candidate has proven to be a relay",
            );
            service.metrics.count_relay(*found_by, answer);
            (Outcome::Promoted, Done::Promoted)
        }
        (Stored::Failure, Record::Failure(failure)) if failure.gives_up => {
            (Outcome::GivenUp, Done::GivenUp)
        }
        (Stored::Failure, Record::Failure(failure)) if !failure.counts => {
            (Outcome::Inconclusive, Done::Deferred)
        }
        (Stored::Failure, _) => (Outcome::Failed, Done::Failed),
        _ => (Outcome::Late, Done::Dropped),
    };
    service.metrics.count_try(outcome);
    done
}
