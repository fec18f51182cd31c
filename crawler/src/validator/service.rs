//! The service: what every run shares, and how far it has come. The loop itself is in `run`.

use std::fmt;
use std::sync::Arc;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::service::{Service, ServiceContext, ServiceFuture, ServiceName};
use bigbrotr_schema::store::Store;
use tokio::sync::watch;

use super::config::ValidatorConfig;
use super::error::ValidatorError;
use super::metrics::ValidatorMetrics;
use super::run::Run;
use crate::dial::Dialer;
use crate::reach::Reach;

/// Tries every candidate that is due, and makes relays of those that answer as one.
///
/// Several of them, in any number of processes, share one database: a candidate is tried by one at
/// a time.
pub struct ValidatorService {
    pub(super) config: ValidatorConfig,
    pub(super) dialer: Dialer,
    pub(super) store: Store,
    pub(super) clock: SharedClock,
    pub(super) reach: Reach,
    pub(super) metrics: ValidatorMetrics,
    pub(super) progress: watch::Sender<ValidatorProgress>,
}

/// How far the validator has come since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ValidatorProgress {
    /// Tries whose outcome is stored.
    pub tried: u64,
    /// Of these, candidates that became relays.
    pub promoted: u64,
    /// Of these, candidates that were given up.
    pub given_up: u64,
    /// Of these, tries that do not count.
    pub deferred: u64,
    /// Tries under way.
    pub in_flight: usize,
    /// When it last asked, the database had no candidate that is due and not leased.
    pub nothing_due: bool,
}

impl ValidatorProgress {
    /// Says whether everything that was due has been tried.
    pub fn is_idle(&self) -> bool {
        self.nothing_due && self.in_flight == 0
    }
}

impl fmt::Debug for ValidatorService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidatorService")
            .field("config", &self.config)
            .field("progress", &*self.progress.borrow())
            .finish_non_exhaustive()
    }
}

impl ValidatorService {
    /// Makes the service and registers its metrics.
    pub fn new(
        config: ValidatorConfig,
        dialer: Dialer,
        store: Store,
        clock: SharedClock,
        registry: &prometheus::Registry,
    ) -> Result<Arc<Self>, ValidatorError> {
        Ok(Arc::new(Self {
            reach: Reach::new(dialer.clone(), store.clone(), clock.clone()),
            config,
            dialer,
            store,
            clock,
            metrics: ValidatorMetrics::register(registry)?,
            progress: watch::Sender::new(ValidatorProgress::default()),
        }))
    }

    /// Follows how far the validator has come.
    pub fn progress(&self) -> watch::Receiver<ValidatorProgress> {
        self.progress.subscribe()
    }
}

impl Service for ValidatorService {
    fn name(&self) -> ServiceName {
        ServiceName::Validator
    }

    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
        Box::pin(async move {
            Run::new(self, context).until_stopped().await;
            Ok(())
        })
    }
}
