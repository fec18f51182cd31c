//! One run of the validator: lease what is due, try it, store what came of it, until told to stop.
//!
//! A candidate is leased only when its try can begin at once. While the database is away, tries
//! that are done wait for it; no new ones begin, so memory stays flat.

mod lane;
mod one;

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::store::{Candidate, CandidateBounds};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use self::lane::Lane;
use self::one::Done;
use super::limits::{
    MAX_GIVEN_UP, MAX_RETRIED, POLL_INTERVAL, RELEASE_TIMEOUT, STOP_GRACE, UPKEEP_INTERVAL,
};
use super::service::ValidatorService;
use crate::store_wait::{DATABASE_BACKOFF, StepError, bounded, whole_seconds};

/// A try under way.
struct Begun {
    candidate: Candidate,
    lane: usize,
}

/// The state of one run.
pub(super) struct Run {
    service: Arc<ValidatorService>,
    context: ServiceContext,
    lanes: Vec<Lane>,
    tries: JoinSet<Done>,
    begun: HashMap<Id, Begun>,
    /// Tries that ended without storing anything: to be given back on the way out.
    unstored: Vec<Candidate>,
    tidied_at: Option<Instant>,
}

impl Run {
    pub(super) fn new(service: Arc<ValidatorService>, context: ServiceContext) -> Self {
        let networks = service.dialer.config();
        let lanes = networks
            .enabled()
            .map(|network| Lane::new(network, &service.config, networks.get(network)))
            .collect();
        Self {
            service,
            context,
            lanes,
            tries: JoinSet::new(),
            begun: HashMap::new(),
            unstored: Vec::new(),
            tidied_at: None,
        }
    }

    pub(super) async fn until_stopped(mut self) {
        let mut failures = 0;
        while !self.context.stop.is_cancelled() {
            match self.step().await {
                Ok(heard) => {
                    failures = 0;
                    if heard {
                        self.context.ready();
                    }
                    self.wait(POLL_INTERVAL, true).await;
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn Error,
                        "cannot find out which candidates are due: trying again",
                    );
                    self.context.degraded(&error);
                    let pause = DATABASE_BACKOFF.delay(failures, &mut rand::rng());
                    failures = failures.saturating_add(1);
                    self.wait(pause, false).await;
                }
            }
        }
        self.drain().await;
    }

    /// Begins as many tries as there is room for. Says whether the database has answered.
    async fn step(&mut self) -> Result<bool, StepError> {
        self.tidy().await?;
        let mut heard = self.lanes.is_empty();
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            let room = lane.room();
            if room == 0 {
                continue;
            }
            let due = lane.lease(&self.service, room).await?;
            heard = true;
            for candidate in due {
                self.begin(index, candidate);
            }
        }
        self.tell_progress();
        Ok(heard)
    }

    /// Forgets what was given up long ago, and counts, once in a while.
    async fn tidy(&mut self) -> Result<(), StepError> {
        if self
            .tidied_at
            .is_some_and(|at| at.elapsed() < UPKEEP_INTERVAL)
        {
            return Ok(());
        }
        let (service, store) = (&self.service, &self.service.store);
        let bounds = CandidateBounds {
            given_up_before: service.clock.now() - whole_seconds(service.config.forget_after),
            max_given_up: MAX_GIVEN_UP,
            max_retried: MAX_RETRIED,
        };
        let done = bounded(store.upkeep_candidates(bounds)).await?;
        if done.forgotten > 0 || done.given_up > 0 {
            tracing::info!(
                candidates.forgotten = done.forgotten,
                candidates.given_up = done.given_up,
                "candidates were tidied up",
            );
        }
        service
            .metrics
            .set_candidates(bounded(store.count_candidates()).await?);
        self.tidied_at = Some(Instant::now());
        Ok(())
    }

    fn begin(&mut self, lane: usize, candidate: Candidate) {
        let one = one::try_and_store(
            self.service.clone(),
            self.context.clone(),
            candidate.clone(),
        );
        let task = self.context.tasks.track_future(one);
        let id = self.tries.spawn(task).id();
        self.lanes[lane].in_flight += 1;
        self.begun.insert(id, Begun { candidate, lane });
    }

    /// Waits for the pause or for the end. Where it pays, also only until there is room for
    /// another batch of candidates that are due.
    async fn wait(&mut self, pause: Duration, eager: bool) {
        let wake = tokio::time::sleep(pause);
        tokio::pin!(wake);
        while !(eager && self.lanes.iter().any(Lane::wants_more)) {
            tokio::select! {
                () = self.context.stop.cancelled() => return,
                () = &mut wake => return,
                Some(ended) = self.tries.join_next_with_id() => self.end(ended),
            }
        }
    }

    fn end(&mut self, ended: Result<(Id, Done), JoinError>) {
        let (id, done) = match ended {
            Ok((id, done)) => (id, Some(done)),
            Err(error) => {
                if error.is_panic() {
                    // Its lease runs out, and the candidate is tried again after that.
                    tracing::error!(%error, "a try broke off");
                }
                (error.id(), None)
            }
        };
        let Some(begun) = self.begun.remove(&id) else {
            return;
        };
        self.lanes[begun.lane].in_flight -= 1;
        match done {
            Some(Done::Interrupted) => self.unstored.push(begun.candidate),
            Some(Done::Dropped) | None => {}
            Some(done) => self.service.progress.send_modify(|progress| {
                progress.tried += 1;
                progress.promoted += u64::from(done == Done::Promoted);
                progress.given_up += u64::from(done == Done::GivenUp);
                progress.deferred += u64::from(done == Done::Deferred);
            }),
        }
        self.tell_progress();
    }

    fn tell_progress(&self) {
        let (in_flight, lanes) = (self.begun.len(), &self.lanes);
        self.service.metrics.set_in_flight(in_flight);
        self.service.progress.send_if_modified(|progress| {
            let before = *progress;
            progress.in_flight = in_flight;
            progress.nothing_due = lanes.iter().all(|lane| lane.is_drained);
            *progress != before
        });
    }

    /// Lets tries under way end for a while, then gives their leases back.
    async fn drain(mut self) {
        let deadline = Instant::now() + STOP_GRACE;
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(deadline, self.tries.join_next_with_id()).await
        {
            self.end(ended);
        }
        self.tries.shutdown().await;
        let cut_short = self.begun.drain().map(|(_, begun)| begun.candidate);
        let mut candidates = std::mem::take(&mut self.unstored);
        candidates.extend(cut_short);
        self.tell_progress();
        if candidates.is_empty() {
            return;
        }
        // A lease that somebody else has by now is left alone.
        let release = self.service.store.release_candidates(&candidates);
        match tokio::time::timeout(RELEASE_TIMEOUT, release).await {
            Ok(Ok(())) => tracing::debug!(candidates = candidates.len(), "leases given back"),
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn Error,
                "leases are not given back: they run out by themselves",
            ),
            Err(_) => tracing::warn!("leases are not given back: they run out by themselves"),
        }
    }
}
