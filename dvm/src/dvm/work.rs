//! Claims jobs and answers them.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::event::Event;
use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::store::{Job, JobOutcome};
use tokio::sync::Semaphore;

use super::chain::Chained;
use super::envelope::{self, Opened};
use super::metrics::Ending;
use super::question::{self, Form, Question};
use super::report::{Part, Report};
use super::result::Outcome;
use super::{DvmError, DvmService};
use crate::limits::DRAIN;
use crate::problem::Problem;

/// Pauses of a job whose answer the database refuses for now.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(1),
    factor: 2.0,
    max: Duration::from_mins(1),
    jitter: 0.2,
};

/// How soon a job is looked at again that waits for another one: seconds.
const CHAIN_PAUSE: i64 = 1;

/// What became of an attempt to answer.
enum Attempt {
    /// There is an answer, or an error for the customer.
    Answered(JobOutcome, Vec<Event>),
    /// The job that it builds upon has no result yet.
    Wait,
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
        let opened = envelope::open(request, &self.desk.keys);
        // Clients that encrypt hide these too.
        let tags = opened.as_ref().map_or(&request.tags, |opened| &opened.tags);
        let relays = question::answer_relays(tags);
        let (outcome, answers) = match self.attempt(job, opened).await? {
            Attempt::Answered(outcome, answers) => (outcome, answers),
            Attempt::Wait => {
                self.store.release_job(&request.id, CHAIN_PAUSE).await?;
                return Ok(Ending::Retried);
            }
            Attempt::Later => {
                report.broken(Part::Answers, &"the database does not answer questions");
                let pause = BACKOFF.delay(job.attempts.saturating_sub(1), &mut rand::rng());
                let pause_seconds = pause.as_secs().max(1) as i64;
                self.store.release_job(&request.id, pause_seconds).await?;
                return Ok(Ending::Retried);
            }
        };
        let mine = self
            .store
            .finish_job(&request.id, outcome, &answers, &relays)
            .await?;
        report.works(Part::Answers);
        if !mine {
            return Ok(Ending::Superseded);
        }
        self.answered.notify_one();
        Ok(match outcome {
            JobOutcome::Done => Ending::Done,
            JobOutcome::Failed => Ending::Failed,
        })
    }

    /// Reads the request, asks and writes what the customer gets.
    async fn attempt(
        &self,
        job: &Job,
        opened: Result<Opened, Problem>,
    ) -> Result<Attempt, DvmError> {
        let request = &job.request;
        let failed = |problem: &Problem, seal| -> Result<Attempt, DvmError> {
            let event = self.desk.error(request, problem, seal)?;
            Ok(Attempt::Answered(JobOutcome::Failed, vec![event]))
        };
        let Opened { tags, seal } = match opened {
            Ok(opened) => opened,
            Err(problem) => return failed(&problem, None),
        };
        // The kind may have been configured away since.
        let form = self.config.form(request.kind).unwrap_or(Form::Catalogue);
        let content = if seal.is_some() { "" } else { &request.content };
        let question = match Question::read(form, &tags, content) {
            Ok(question) => question,
            Err(problem) => return failed(&problem, seal),
        };
        let question = match self.chain(job, question, seal).await? {
            Chained::Complete(question) => question,
            Chained::Wait => return Ok(Attempt::Wait),
            Chained::Refused(problem) => return failed(&problem, seal),
        };
        match Box::pin(self.result(request, &question, seal)).await? {
            Outcome::Result(events) => Ok(Attempt::Answered(JobOutcome::Done, events)),
            Outcome::Unavailable(_) if job.received_at > self.answered_since() => {
                Ok(Attempt::Later)
            }
            Outcome::Problem(problem) | Outcome::Unavailable(problem) => failed(&problem, seal),
        }
    }
}
