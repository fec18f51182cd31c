//! Claims jobs and answers them.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::event::Event;
use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::catalog::{Answer, CatalogError};
use bigbrotr_schema::store::{Job, JobOutcome};
use tokio::sync::Semaphore;

use super::envelope::{self, Opened};
use super::metrics::Ending;
use super::question::Question;
use super::report::{Part, Report};
use super::{DvmError, DvmService, table};
use crate::limits::DRAIN;
use crate::problem::Problem;

/// Pauses of a job whose answer the database refuses for now.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(1),
    factor: 2.0,
    max: Duration::from_mins(1),
    jitter: 0.2,
};

/// What became of an attempt to answer.
enum Attempt {
    /// There is an answer, or an error for the customer.
    Answered(JobOutcome, Event),
    /// The database is away: try again.
    Later,
}

impl DvmService {
    /// Hands jobs to workers until the service stops, then waits for those at work.
    pub(super) async fn work(self: Arc<Self>, context: ServiceContext, report: Arc<Report>) {
        let workers = self.config.workers;
        let slots = Arc::new(Semaphore::new(workers as usize));
        let claim_seconds = self.config.claim_time.as_secs() as i64;
        let mut failures = 0;
        loop {
            let slot = tokio::select! {
                () = context.stop.cancelled() => break,
                slot = slots.clone().acquire_owned() => slot,
            };
            match self.store.claim_jobs(1, claim_seconds).await {
                Ok(jobs) => {
                    failures = 0;
                    report.works(Part::Queue);
                    let Some(job) = jobs.into_iter().next() else {
                        drop(slot);
                        if self.wait_for_jobs(&context).await {
                            continue;
                        }
                        break;
                    };
                    let (service, report) = (self.clone(), report.clone());
                    context.tasks.spawn(async move {
                        service.finish(job, &report).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    drop(slot);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot claim jobs: trying again",
                    );
                    report.broken(Part::Queue, &error);
                    failures += 1;
                    let pause = BACKOFF.delay(failures - 1, &mut rand::rng());
                    if !context.sleep(pause).await {
                        break;
                    }
                }
            }
        }
        if tokio::time::timeout(DRAIN, slots.acquire_many(workers))
            .await
            .is_err()
        {
            tracing::warn!("jobs at work are cut off: they are answered after the next start");
        }
    }

    /// Waits until there may be a job; `false` when the service has to stop.
    async fn wait_for_jobs(&self, context: &ServiceContext) -> bool {
        tokio::select! {
            () = context.stop.cancelled() => false,
            () = self.queued.notified() => true,
            () = tokio::time::sleep(self.config.poll_interval) => true,
        }
    }

    /// Answers a job and counts how it ended.
    async fn finish(&self, job: Job, report: &Report) {
        let started = self.desk.clock.monotonic();
        // After that time the job may be another worker's.
        let attempt = tokio::time::timeout(self.config.claim_time, self.answer(&job, report));
        let ending = match attempt.await {
            Ok(Ok(ending)) => ending,
            Ok(Err(error)) => {
                tracing::warn!(
                    job.id = %job.request.id,
                    error = &error as &dyn std::error::Error,
                    "cannot finish a job: trying again",
                );
                report.broken(Part::Answers, &error);
                Ending::Retried
            }
            Err(_elapsed) => {
                tracing::warn!(job.id = %job.request.id, "a job took too long: trying again");
                Ending::Retried
            }
        };
        let duration = self.desk.clock.monotonic().duration_since(started);
        self.metrics.count(ending);
        self.metrics.job_seconds.observe(duration.as_secs_f64());
        tracing::info!(
            job.id = %job.request.id,
            outcome = ?ending,
            attempts = job.attempts,
            duration_ms = duration.as_millis() as u64,
            "job ended",
        );
    }

    async fn answer(&self, job: &Job, report: &Report) -> Result<Ending, DvmError> {
        let request = &job.request;
        let (outcome, answer) = match self.attempt(job).await? {
            Attempt::Answered(outcome, answer) => (outcome, answer),
            Attempt::Later => {
                report.broken(Part::Answers, &"the database does not answer questions");
                let pause = BACKOFF.delay(job.attempts.saturating_sub(1), &mut rand::rng());
                let pause_seconds = pause.as_secs().max(1) as i64;
                self.store.release_job(&request.id, pause_seconds).await?;
                return Ok(Ending::Retried);
            }
        };
        let answers = std::slice::from_ref(&answer);
        let mine = self.store.finish_job(&request.id, outcome, answers).await?;
        report.works(Part::Answers);
        if !mine {
            return Ok(Ending::Superseded);
        }
        self.deliver(request, &answer);
        Ok(match outcome {
            JobOutcome::Done => Ending::Done,
            JobOutcome::Failed => Ending::Failed,
        })
    }

    /// Asks the catalogue and writes what the customer gets.
    async fn attempt(&self, job: &Job) -> Result<Attempt, DvmError> {
        let request = &job.request;
        let failed = |problem: &Problem, seal| -> Result<Attempt, DvmError> {
            let event = self.desk.error(request, problem, seal)?;
            Ok(Attempt::Answered(JobOutcome::Failed, event))
        };
        let Opened { tags, seal } = match envelope::open(request, &self.desk.keys) {
            Ok(opened) => opened,
            Err(problem) => return failed(&problem, None),
        };
        let question = match Question::read(&tags) {
            Ok(question) => question,
            Err(problem) => return failed(&problem, seal),
        };
        let answer = match self.catalog.run(&question.query, &question.params).await {
            Ok(answer) => answer,
            Err(CatalogError::Unavailable(_)) if job.received_at > self.answered_since() => {
                return Ok(Attempt::Later);
            }
            Err(error) => {
                if let CatalogError::Internal(source) = &error {
                    tracing::error!(
                        job.id = %request.id,
                        query = question.query,
                        error = source as &dyn std::error::Error,
                        "a question failed",
                    );
                }
                return failed(&error.into(), seal);
            }
        };
        let Answer { json, next, .. } = answer;
        let content = match table::write(&json, question.output) {
            Ok(content) => content.into_owned(),
            Err(error) => {
                tracing::error!(
                    job.id = %request.id,
                    error = &error as &dyn std::error::Error,
                    "an answer is no table",
                );
                let problem = Problem::new(500, "internal", "the answer could not be written");
                return failed(&problem, seal);
            }
        };
        let content = match seal.map(|seal| seal.encrypt(&self.desk.keys, &content)) {
            None => content,
            Some(Ok(sealed)) => sealed,
            Some(Err(problem)) => return failed(&problem, seal),
        };
        let sealed = seal.is_some();
        let event = self
            .desk
            .result(request, &question, content, sealed, next)?;
        Ok(Attempt::Answered(JobOutcome::Done, event))
    }
}
