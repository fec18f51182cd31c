//! The data vending machine: the catalogue over Nostr ([NIP-90]).
//!
//! Requests arrive on our own relay, whichever process runs it, and answers leave by it. The queue
//! between is in the database, so a request is answered once: by one of several processes, after a
//! crash, and after the node was down. In short:
//!
//! - `intake` takes requests in and hears of cancellations;
//! - `work` claims jobs and answers them, with `envelope` (encryption), `question` (tags) and
//!   `table` (forms of the answer);
//! - `desk` writes and signs;
//! - `announcement` says what we answer.
//!
//! [NIP-90]: https://github.com/nostr-protocol/nips/blob/master/90.md

mod announcement;
mod config;
mod desk;
mod envelope;
mod intake;
mod metrics;
mod question;
mod report;
mod sink;
mod table;
mod work;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::event::{Event, Pubkey};
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
use self::metrics::DvmMetrics;
use self::report::Report;
pub use self::sink::ResultSink;
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
    sink: OnceLock<Arc<dyn ResultSink>>,
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
            desk: Desk::new(&config, keys, clock),
            queued: Notify::new(),
            sink: OnceLock::new(),
            config,
            catalog,
            store,
        }))
    }

    /// Sends answers also to the relays that requests name. Without it they are on our relay only.
    /// The first sink stays.
    pub fn deliver_through(&self, sink: Arc<dyn ResultSink>) {
        self.sink.get_or_init(|| sink);
    }

    /// Hands an answer over for the relays that its request names.
    fn deliver(&self, request: &Event, answer: &Event) {
        let Some(sink) = self.sink.get() else { return };
        let relays = question::answer_relays(request);
        if !relays.is_empty() {
            sink.send(answer, &relays);
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
