//! One run of the monitor: lease what is due, check it, store it, until told to stop.
//!
//! A relay is leased only when its check can begin at once, so a lease lasts as long as a check.
//! While the database is away, checks that are done wait for it with what they found; no new
//! ones begin, so memory stays flat.

mod lane;
mod one;
mod presence;

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::{DueRelay, RelayId};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use self::lane::Lane;
use self::one::Done;
use self::presence::Presence;
use super::error::StepError;
use super::limits::{OVERDUE_INTERVAL, POLL_INTERVAL, RELEASE_TIMEOUT, STOP_GRACE};
use super::service::MonitorService;
use crate::store_wait::{DATABASE_BACKOFF, bounded};

/// A check under way.
struct Begun {
    relay: RelayId,
    lane: usize,
    leased_until: Instant,
}

/// The state of one run.
pub(super) struct Run {
    service: Arc<MonitorService>,
    context: ServiceContext,
    lanes: Vec<Lane>,
    checks: JoinSet<Done>,
    begun: HashMap<Id, Begun>,
    /// Leases of checks that ended without storing anything, to be given back on the way out.
    unstored: Vec<RelayId>,
    presence: Presence,
    counted_at: Option<Instant>,
}

impl Run {
    pub(super) fn new(service: Arc<MonitorService>, context: ServiceContext) -> Self {
        let networks = service.dialer.config();
        let lanes = networks.enabled();
        let lanes = lanes
            .map(|network| Lane::new(network, &service.config, networks.get(network)))
            .collect();
        Self {
            presence: Presence::new(&service),
            service,
            context,
            lanes,
            checks: JoinSet::new(),
            begun: HashMap::new(),
            unstored: Vec::new(),
            counted_at: None,
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
                        "cannot find out which relays are due: trying again",
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

    /// Begins as many checks as there is room for. Says whether the database has answered.
    async fn step(&mut self) -> Result<bool, StepError> {
        self.presence.announce(&self.service).await?;
        let mut heard = self.lanes.is_empty();
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            let room = lane.room();
            if room == 0 {
                continue;
            }
            let due = lane.lease(&self.service, room).await?;
            heard = true;
            let leased_until = Instant::now() + lane.lease_time;
            for due in due {
                self.begin(index, due, leased_until);
            }
        }
        self.tell_progress();
        self.count_overdue().await?;
        Ok(heard)
    }

    /// Tells now and then how many relays wait for their check.
    async fn count_overdue(&mut self) -> Result<(), StepError> {
        if (self.counted_at).is_some_and(|at| at.elapsed() < OVERDUE_INTERVAL) {
            return Ok(());
        }
        let networks: Vec<_> = self.lanes.iter().map(|lane| lane.network).collect();
        let overdue = bounded(self.service.store.overdue_checks(&networks)).await?;
        self.service.metrics.set_overdue(overdue);
        self.counted_at = Some(Instant::now());
        Ok(())
    }

    fn begin(&mut self, lane: usize, due: DueRelay, leased_until: Instant) {
        let relay = due.relay.id;
        let check = one::check_and_store(self.service.clone(), self.context.clone(), due);
        let task = self.context.tasks.track_future(check);
        let id = self.checks.spawn(task).id();
        self.lanes[lane].in_flight += 1;
        let begun = Begun {
            relay,
            lane,
            leased_until,
        };
        self.begun.insert(id, begun);
    }

    /// Waits for the pause or for the end. Where it pays, also only until there is room for
    /// another batch of relays that are due.
    async fn wait(&mut self, pause: Duration, eager: bool) {
        let wake = tokio::time::sleep(pause);
        tokio::pin!(wake);
        while !(eager && self.lanes.iter().any(Lane::wants_more)) {
            tokio::select! {
                () = self.context.stop.cancelled() => return,
                () = &mut wake => return,
                Some(ended) = self.checks.join_next_with_id() => self.end(ended),
            }
        }
    }

    fn end(&mut self, ended: Result<(Id, Done), JoinError>) {
        let (id, done) = match ended {
            Ok((id, done)) => (id, Some(done)),
            Err(error) => {
                if error.is_panic() {
                    // Its lease runs out, and the relay is tried again after that.
                    tracing::error!(%error, "a check broke off");
                }
                (error.id(), None)
            }
        };
        let Some(begun) = self.begun.remove(&id) else {
            return;
        };
        self.lanes[begun.lane].in_flight -= 1;
        match done {
            Some(Done::Stored { online, reports }) => {
                self.service.progress.send_modify(|progress| {
                    progress.checked += 1;
                    progress.online += u64::from(online);
                    progress.reports += reports;
                });
            }
            Some(Done::Interrupted) if Instant::now() < begun.leased_until => {
                self.unstored.push(begun.relay);
            }
            _ => {}
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

    /// Lets checks under way end for a while, then gives their leases back.
    async fn drain(mut self) {
        let deadline = Instant::now() + STOP_GRACE;
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(deadline, self.checks.join_next_with_id()).await
        {
            self.end(ended);
        }
        self.checks.shutdown().await;
        let now = Instant::now();
        let cut_short = self.begun.values().filter(|begun| now < begun.leased_until);
        let cut_short = cut_short.map(|begun| begun.relay);
        let relays: Vec<RelayId> = self.unstored.iter().copied().chain(cut_short).collect();
        let store = &self.service.store;
        let release = async {
            for relay in &relays {
                store.release_check(*relay).await?;
            }
            Ok::<(), StoreError>(())
        };
        match tokio::time::timeout(RELEASE_TIMEOUT, release).await {
            Ok(Ok(())) => tracing::debug!(relays = relays.len(), "leases given back"),
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn Error,
                "leases are not given back: they run out by themselves",
            ),
            Err(_) => tracing::warn!("leases are not all given back: they run out by themselves"),
        }
        self.begun.clear();
        self.tell_progress();
    }
}
