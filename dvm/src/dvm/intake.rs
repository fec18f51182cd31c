//! Takes requests from our relay into the queue, and hears of cancellations.
//!
//! Notifications only make it fast. What counts is which requests the queue does not know yet,
//! and that is asked at the start, after a lost connection and every few seconds.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::filter::Filter;
use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::catalog::CatalogError;
use bigbrotr_schema::store::{Feedback, JobOutcome, RelayEventFeed, StoredEvent};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::Ending;
use super::report::{Part, Report};
use super::{DvmError, DvmService, announcement, pay, question};
use crate::limits::{
    FORGET_JOBS, KEEP_FINISHED_JOBS, MAX_CANCELLED_IDS, SWEEP_DELETIONS, SWEEP_REQUESTS,
};

pub(super) const DELETION: u16 = 5;

const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(200),
    factor: 2.0,
    max: Duration::from_secs(10),
    jitter: 0.5,
};

/// When a customer who found the queue full should try again, seconds.
const QUEUE_FULL_RETRY_SECONDS: u64 = 10;

/// What the intake hears with.
#[derive(Debug, Default)]
struct Ear {
    feed: Option<RelayEventFeed>,
    /// Whether the feed has said anything since the last look.
    heard: bool,
}

impl DvmService {
    /// Takes requests in until the service stops. `looked` is cancelled after the first look.
    pub(super) async fn take_in(
        self: Arc<Self>,
        context: ServiceContext,
        report: Arc<Report>,
        looked: CancellationToken,
    ) {
        let mut ear = Ear::default();
        let mut announced = false;
        let mut failures = 0;
        loop {
            let pause = match self.look(&mut ear, &mut announced, &report).await {
                Ok(()) => {
                    failures = 0;
                    report.works(Part::Intake);
                    looked.cancel();
                    Duration::ZERO
                }
                Err(error) => {
                    warn(&error, "cannot take in requests: trying again");
                    report.broken(Part::Intake, &error);
                    failures += 1;
                    BACKOFF.delay(failures - 1, &mut rand::rng())
                }
            };
            let due = Instant::now() + self.config.poll_interval;
            tokio::select! {
                () = context.stop.cancelled() => return,
                () = async {
                    tokio::time::sleep(pause).await;
                    if pause.is_zero() {
                        self.listen_until(due, &mut ear, &report).await;
                    }
                } => {}
            }
        }
    }

    /// Takes in what is there, however it was missed.
    async fn look(
        &self,
        ear: &mut Ear,
        announced: &mut bool,
        report: &Report,
    ) -> Result<(), DvmError> {
        let listening = ear.feed.is_some();
        if !listening {
            // Listening first: what comes after the look is announced.
            self.listen(ear, report).await;
            self.sweep_cancellations().await?;
        }
        if !*announced {
            self.announcements().await?;
            *announced = true;
        }
        if self.config.price_msats > 0 {
            self.sweep_receipts().await?;
        }
        let found = self.sweep_requests().await?;
        if found > 0 && listening && !ear.heard {
            // The feed should have told: it may be deaf.
            self.listen(ear, report).await;
            self.sweep_requests().await?;
        }
        ear.heard = false;
        let forget_before = self.now() - KEEP_FINISHED_JOBS.as_secs() as i64;
        self.store
            .delete_finished_jobs(forget_before, FORGET_JOBS)
            .await?;
        self.store.delete_origins(forget_before).await?;
        self.store.expire_unpaid_jobs(self.answered_since()).await?;
        let (waiting, oldest_seconds) = self.store.queue_depth().await?;
        self.metrics.queue.set(waiting as i64);
        self.metrics.oldest.set(oldest_seconds as i64);
        Ok(())
    }

    async fn listen(&self, ear: &mut Ear, report: &Report) {
        match self.store.listen_relay_events().await {
            Ok(feed) => {
                ear.feed = Some(feed);
                report.works(Part::Feed);
            }
            Err(error) => {
                warn(&error.into(), "cannot listen for requests: polling only");
                report.broken(Part::Feed, &"cannot listen for requests: polling only");
            }
        }
    }

    /// Takes in what is announced, until then.
    async fn listen_until(&self, due: Instant, ear: &mut Ear, report: &Report) {
        loop {
            let Some(feed) = ear.feed.as_mut() else {
                return tokio::time::sleep_until(due).await;
            };
            let error = match tokio::time::timeout_at(due, feed.next()).await {
                Err(_due) => return,
                Ok(Ok(events)) => {
                    ear.heard = true;
                    // What fails here is found by the next look.
                    match self.take_events(&events).await {
                        Ok(()) => continue,
                        Err(error) => {
                            report.broken(Part::Intake, &error);
                            error
                        }
                    }
                }
                Ok(Err(error)) => error.into(),
            };
            warn(
                &error,
                "lost the notifications of requests: looking for them",
            );
            ear.feed = None;
            // Not at once: the database may be on its way down.
            return tokio::time::sleep(BACKOFF.base).await;
        }
    }

    async fn take_events(&self, events: &[StoredEvent]) -> Result<(), DvmError> {
        for stored in events {
            let event = stored.event()?;
            if self.config.form(event.kind).is_some() {
                self.accept_or_leave(&event).await?;
            } else if event.kind == DELETION {
                self.cancel(&event).await?;
            } else if event.kind == pay::RECEIPT && self.config.price_msats > 0 {
                self.receive(&event).await?;
            }
        }
        Ok(())
    }

    /// Takes in the requests that are not in the queue; returns how many.
    async fn sweep_requests(&self) -> Result<usize, DvmError> {
        let mut found = 0;
        loop {
            let requests = self
                .store
                .list_unqueued_requests(
                    &self.config.kinds(),
                    &self.provider,
                    self.answered_since(),
                    SWEEP_REQUESTS,
                )
                .await?;
            let mut new = 0;
            for request in &requests {
                new += usize::from(self.accept_or_leave(request).await?);
            }
            found += new;
            if new == 0 || requests.len() < SWEEP_REQUESTS as usize {
                return Ok(found);
            }
        }
    }

    /// Takes a request; one that the database does not take stands in nobody's way.
    async fn accept_or_leave(&self, request: &Event) -> Result<bool, DvmError> {
        match self.accept(request).await {
            Err(DvmError::Store(error)) if error.is_refusal() => {
                tracing::error!(
                    job.id = %request.id,
                    error = &error as &dyn Error,
                    "a request cannot be taken in: it is left alone",
                );
                Ok(false)
            }
            outcome => outcome,
        }
    }

    /// Puts a request into the queue, or refuses it; `false` when it is not for us, or known.
    async fn accept(&self, request: &Event) -> Result<bool, DvmError> {
        let expired = request.expiration().is_some_and(|at| at <= self.now());
        if expired || !question::is_for(request, &self.provider) {
            return Ok(false);
        }
        let verdict = self.limiter.take(request.pubkey);
        let room = self.store.queue_room(&request.pubkey).await?;
        let full = room.waiting >= self.config.max_queue
            || room.of_customer >= self.config.max_queue_per_customer;
        let retry_after_seconds = if !verdict.allowed {
            Some(verdict.retry_after_seconds())
        } else if full {
            Some(QUEUE_FULL_RETRY_SECONDS)
        } else {
            None
        };
        let taken = match retry_after_seconds {
            None => self.queue(request).await?,
            Some(seconds) => self.refuse(request, seconds).await?,
        };
        if !taken && verdict.allowed {
            self.limiter.give_back(request.pubkey);
        }
        Ok(taken)
    }

    async fn queue(&self, request: &Event) -> Result<bool, DvmError> {
        let relays = question::answer_relays(&request.tags);
        let priced = self.config.price_msats > 0;
        let event = if priced {
            self.desk.payment_required(request)?
        } else {
            self.desk.processing(request)?
        };
        let feedback = Some(Feedback {
            event: &event,
            relays: &relays,
        });
        let new = if priced {
            self.store.insert_unpaid_job(request, feedback).await?
        } else {
            self.store.insert_job(request, feedback).await?
        };
        if new {
            tracing::debug!(job.id = %request.id, priced, "job taken");
            self.answered.notify_one();
            self.queued.notify_one();
        }
        Ok(new)
    }

    async fn refuse(&self, request: &Event, retry_after_seconds: u64) -> Result<bool, DvmError> {
        let error = CatalogError::RateLimited {
            retry_after_seconds,
        };
        let feedback = self.desk.error(request, &error.into(), None)?;
        // Through the queue, so that it is refused once. A job that is left there by a crash in
        // between is answered: that is no harm.
        let new = self.store.insert_job(request, None).await?
            && self
                .store
                .finish_job(
                    &request.id,
                    JobOutcome::Failed,
                    std::slice::from_ref(&feedback),
                    &question::answer_relays(&request.tags),
                )
                .await?;
        if new {
            tracing::debug!(job.id = %request.id, "job refused: too many");
            self.metrics.count(Ending::Refused);
            self.answered.notify_one();
        }
        Ok(new)
    }

    /// Cancels the jobs whose requests a kind 5 deletes; only their author can.
    pub(super) async fn cancel(&self, deletion: &Event) -> Result<(), DvmError> {
        let ids = deletion
            .tag_values("e")
            .filter_map(|id| EventId::from_hex(id).ok())
            .take(MAX_CANCELLED_IDS);
        for id in ids {
            if self.store.cancel_job(&id, &deletion.pubkey.0).await? {
                tracing::debug!(job.id = %id, "job cancelled");
                self.metrics.count(Ending::Cancelled);
            }
        }
        Ok(())
    }

    /// Publishes what we answer unless that is known, and returns it.
    pub(super) async fn announcements(&self) -> Result<Vec<Event>, DvmError> {
        let all = announcement::all(&self.config, self.catalog.entries());
        announcement::publish(&self.store, &self.desk, &all).await
    }

    /// Looks for cancellations that nobody told of.
    async fn sweep_cancellations(&self) -> Result<(), DvmError> {
        let filter = Filter {
            kinds: Some(BTreeSet::from([DELETION])),
            since: Some(self.answered_since()),
            ..Filter::default()
        };
        let deletions = self
            .store
            .query_relay_events(&filter, SWEEP_DELETIONS)
            .await?;
        for stored in deletions {
            self.cancel(&stored.event()?).await?;
        }
        Ok(())
    }
}

fn warn(error: &DvmError, message: &'static str) {
    tracing::warn!(error = error as &dyn std::error::Error, "{message}");
}
