//! The data vending machine: the catalogue over Nostr ([NIP-90]).
//!
//! Requests arrive on our own relay, whichever process runs it, and answers leave by it. The queue
//! between is in the database, so a request is answered once: by one of several processes, after a
//! crash, and after the node was down. In short:
//!
//! - `intake` takes requests in and hears of cancellations, `abroad` does on other relays, and `pay`
//!   takes payments;
//! - `work` claims jobs and answers them, with `envelope` (encryption), `question` and `count` (how
//!   it is asked), `chain` (what it builds upon), `result` (what fits) and `table` (forms of the
//!   answer);
//! - `desk` writes and signs, `courier` takes answers to other relays;
//! - `announcement` says what we answer.
//!
//! [NIP-90]: https://github.com/nostr-protocol/nips/blob/master/90.md

mod abroad;
mod announcement;
mod chain;
mod config;
mod count;
mod courier;
mod desk;
mod envelope;
mod intake;
mod metrics;
mod pay;
mod question;
mod report;
mod result;
mod table;
mod work;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::event::Pubkey;
use bigbrotr_core::other_relays::OtherRelays;
use bigbrotr_core::service::{Service, ServiceContext, ServiceFuture, ServiceName};
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::Store;
use nostr::Keys;
use prometheus::Registry;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use self::config::DvmConfig;
use self::desk::{Desk, DeskError};
pub(crate) use self::metrics::DvmMetrics;
use self::report::Report;
use crate::limits::HEARD_PER_MINUTE;
use crate::rate::RateLimiter;

/// Answers NIP-90 jobs.
pub struct DvmService {
    config: DvmConfig,
    catalog: Arc<Catalog>,
    store: Store,
    desk: Desk,
    provider: Pubkey,
    limiter: RateLimiter<Pubkey>,
    metrics: DvmMetrics,
    /// Told when a job is queued here; jobs that other processes queue are found by polling.
    queued: Notify,
    /// Told when there may be something to deliver.
    answered: Notify,
    /// How much other relays may bring, by their URLs.
    heard: RateLimiter<String>,
    others: OnceLock<Arc<dyn OtherRelays>>,
}

impl std::fmt::Debug for DvmService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DvmService")
            .field("provider", &self.provider)
            .field("kind", &self.config.kind)
            .finish_non_exhaustive()
    }
}

/// Why a job, or the intake, cannot go on for now.
#[derive(Debug, thiserror::Error)]
enum DvmError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Our own events.
    #[error(transparent)]
    Desk(#[from] DeskError),
}

impl DvmService {
    /// Makes the service and registers its metrics.
    ///
    /// # Errors
    /// When its metrics are registered already.
    pub fn new(
        config: DvmConfig,
        catalog: Arc<Catalog>,
        store: Store,
        keys: Keys,
        clock: SharedClock,
        registry: &Registry,
    ) -> prometheus::Result<Arc<Self>> {
        let interval = Duration::from_mins(1) / config.jobs_per_minute.max(1);
        Ok(Arc::new(Self {
            metrics: DvmMetrics::register(registry)?,
            provider: Pubkey(keys.public_key.to_bytes()),
            limiter: RateLimiter::new(interval, config.jobs_per_minute, clock.clone()),
            heard: RateLimiter::new(
                Duration::from_mins(1) / HEARD_PER_MINUTE,
                HEARD_PER_MINUTE,
                clock.clone(),
            ),
            desk: Desk::new(&config, keys, clock),
            queued: Notify::new(),
            answered: Notify::new(),
            others: OnceLock::new(),
            config,
            catalog,
            store,
        }))
    }

    /// Reaches other relays by this: to listen on those of the configuration, and to take answers
    /// to those that requests name or come from. Without it, our relay is all there is, and answers
    /// for others wait for a process that has it. The first one stays.
    pub fn reach_through(&self, others: Arc<dyn OtherRelays>) {
        self.others.get_or_init(|| others);
    }

    /// Starts what needs other relays.
    fn reach_out(self: &Arc<Self>, context: &ServiceContext, report: &Arc<Report>) {
        let Some(others) = self.others.get() else {
            return;
        };
        let courier = self
            .clone()
            .deliver(others.clone(), context.clone(), report.clone());
        context.tasks.spawn(courier);
        for relay in &self.config.listen_relays {
            let listener =
                self.clone()
                    .listen_abroad(relay.clone(), others.clone(), context.clone());
            context.tasks.spawn(listener);
        }
    }

    fn now(&self) -> i64 {
        self.desk.clock.now()
    }

    /// When a request must have reached our relay to be answered still: Unix seconds.
    fn answered_since(&self) -> i64 {
        self.now() - self.config.max_age.as_secs() as i64
    }
}

impl Service for DvmService {
    fn name(&self) -> ServiceName {
        ServiceName::Dvm
    }

    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
        Box::pin(async move {
            let report = Arc::new(Report::new(context.clone()));
            self.reach_out(&context, &report);
            // Not before the first look: a job may have been cancelled while the node was down.
            let looked = CancellationToken::new();
            let intake = self
                .clone()
                .take_in(context.clone(), report.clone(), looked.clone());
            let work = async {
                tokio::select! {
                    () = context.stop.cancelled() => {}
                    () = looked.cancelled() => self.work(context.clone(), report).await,
                }
            };
            tokio::join!(intake, work);
            Ok(())
        })
    }
}
