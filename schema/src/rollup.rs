//! The service that keeps the statistics current.

mod metrics;

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::service::{Service, ServiceContext, ServiceFuture, ServiceName};
use tokio::time::Instant;

pub(crate) use self::metrics::RollupMetrics;
use crate::error::StoreError;
use crate::limits::ARCHIVE_SIZE_INTERVAL;
use crate::store::Store;

/// How often the statistics are brought up to date when little happens. Half of the lag that is
/// promised at most.
const INTERVAL: Duration = Duration::from_millis(500);

const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(200),
    factor: 2.0,
    max: Duration::from_secs(5),
    jitter: 0.2,
};

/// Folds ingested batches into the statistics, one process at a time.
#[derive(Debug)]
pub struct RollupService {
    store: Store,
    metrics: RollupMetrics,
}

impl RollupService {
    /// Makes the service and registers its metrics.
    pub fn new(store: Store, registry: &prometheus::Registry) -> prometheus::Result<Arc<Self>> {
        let metrics = RollupMetrics::register(registry)?;
        Ok(Arc::new(Self { store, metrics }))
    }

    async fn run_until_stopped(&self, context: ServiceContext) {
        let mut failures = 0;
        let mut measured: Option<Instant> = None;
        loop {
            let pause = match self.step().await {
                Ok(more) => {
                    failures = 0;
                    context.ready();
                    if measured.is_none_or(|at| at.elapsed() >= ARCHIVE_SIZE_INTERVAL) {
                        measured = Some(Instant::now());
                        self.measure().await;
                    }
                    if more { Duration::ZERO } else { INTERVAL }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot bring the statistics up to date: trying again",
                    );
                    context.degraded(&error);
                    failures += 1;
                    BACKOFF.delay(failures - 1, &mut rand::rng())
                }
            };
            if !context.sleep(pause).await {
                return;
            }
        }
    }

    /// Takes one step; says whether there may be more to do at once.
    async fn step(&self) -> Result<bool, StoreError> {
        let timer = self.metrics.step_seconds.start_timer();
        let step = self.store.rollup_step().await?;
        timer.observe_duration();
        self.metrics.lag.set(self.store.rollup_lag().await?);
        // Where another process took the step, the statistics are current all the same.
        self.metrics.last_success.set(self.store.now());
        let Some(step) = step else { return Ok(false) };
        self.metrics.folded.inc_by(step.events);
        Ok(step.more)
    }

    /// Tells how large the archive is. While that cannot be found out the numbers stay.
    async fn measure(&self) {
        match self.store.archive_size().await {
            Ok(size) => self.metrics.set_size(size),
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the size of the archive could not be found out",
            ),
        }
    }
}

impl Service for RollupService {
    fn name(&self) -> ServiceName {
        ServiceName::Rollup
    }

    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
        Box::pin(async move {
            self.run_until_stopped(context).await;
            Ok(())
        })
    }
}
