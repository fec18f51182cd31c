//! One run of the finder: look at the archive and at a list that is due, rest, and again.
//!
//! Nothing has to be finished when the service stops: a step is one transaction, and one that is
//! dropped has not happened.

use std::error::Error;
use std::sync::Arc;

use bigbrotr_core::network::Network;
use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::store::FoundBy;

use super::archive::{ArchiveReader, Look};
use super::budget::Budget;
use super::limits::{BACKLOG_PAUSE, RELEASE_TIMEOUT};
use super::lists;
use super::service::FinderService;
use crate::store_wait::{DATABASE_BACKOFF, StepError, bounded};

/// The state of one run.
pub(super) struct Run {
    service: Arc<FinderService>,
    context: ServiceContext,
    sources: Vec<FoundBy>,
    networks: Vec<Network>,
    reader: ArchiveReader,
    /// The list that is leased.
    leased: Option<String>,
}

impl Run {
    pub(super) fn new(service: Arc<FinderService>, context: ServiceContext) -> Self {
        Self {
            sources: service.archive_sources(),
            networks: service.dialer.config().enabled().collect(),
            service,
            context,
            reader: ArchiveReader::default(),
            leased: None,
        }
    }

    pub(super) async fn until_stopped(mut self) {
        let mut failures = 0;
        let stop = self.context.stop.clone();
        loop {
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                outcome = Box::pin(self.cycle()) => outcome,
            };
            let pause = match outcome {
                Ok(more) => {
                    failures = 0;
                    self.context.ready();
                    if more {
                        BACKLOG_PAUSE.min(self.service.config.interval)
                    } else {
                        self.service.config.interval
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn Error,
                        "cannot look for relays: trying again",
                    );
                    self.context.degraded(&error);
                    let pause = DATABASE_BACKOFF.delay(failures, &mut rand::rng());
                    failures = failures.saturating_add(1);
                    pause
                }
            };
            self.give_back().await;
            if !self.context.sleep(pause).await {
                break;
            }
        }
        self.give_back().await;
    }

    /// Looks once at everything; says whether there is more.
    async fn cycle(&mut self) -> Result<bool, StepError> {
        let (service, started) = (self.service.clone(), self.service.clock.monotonic());
        let look = if self.sources.is_empty() {
            Look::default()
        } else {
            let budget = self.budget().await?;
            self.reader.look(&service, &self.sources, budget).await?
        };
        let list = lists::lease(&service).await?;
        let is_list = list.is_some();
        if let Some(list) = list {
            self.leased = Some(list.url.clone());
            let budget = self.budget().await?;
            let new = lists::read(&service, &list, budget).await?;
            self.leased = None;
            service.note(0, new);
        }
        let took = service.clock.monotonic() - started;
        service.metrics.observe_cycle(took.as_secs_f64());
        let more = look.more || is_list;
        service.progress.send_modify(|progress| {
            progress.cycles += 1;
            progress.nothing_left = !more;
        });
        if look.candidates > 0 {
            tracing::info!(
                events.read = look.read,
                relays.new = look.candidates,
                duration_ms = took.as_millis() as u64,
                "relays were found in the archive",
            );
        }
        Ok(more)
    }

    async fn budget(&self) -> Result<Budget, StepError> {
        let untried = bounded(self.service.store.count_untried_candidates()).await?;
        Ok(Budget::new(&self.service.config, &self.networks, &untried))
    }

    /// Gives a list back whose reading was cut short.
    async fn give_back(&mut self) {
        let Some(url) = self.leased.take() else {
            return;
        };
        let released = self.service.store.release_list(&url);
        match tokio::time::timeout(RELEASE_TIMEOUT, released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn Error,
                "the lease of a list is not given back: it runs out by itself",
            ),
            Err(_) => {
                tracing::warn!("the lease of a list is not given back: it runs out by itself");
            }
        }
    }
}
