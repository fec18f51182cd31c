//! The service that keeps the statistics current.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::service::{Service, ServiceContext, ServiceFuture, ServiceName};
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter};

use crate::error::StoreError;
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
    folded: IntCounter,
    lag: Gauge,
    step_seconds: Histogram,
}

impl RollupService {
    /// Makes the service and registers its metrics.
    pub fn new(store: Store, registry: &prometheus::Registry) -> prometheus::Result<Arc<Self>> {
        let service = Self {
            store,
            folded: IntCounter::new(
                "bigbrotr_rollup_events_total",
                "Events folded into the statistics by this process.",
            )?,
            lag: Gauge::new(
                "bigbrotr_rollup_lag_seconds",
                "Age of the oldest batch that the statistics do not hold yet.",
            )?,
            step_seconds: Histogram::with_opts(HistogramOpts::new(
                "bigbrotr_rollup_step_seconds",
                "Time of one rollup transaction.",
            ))?,
        };
        registry.register(Box::new(service.folded.clone()))?;
        registry.register(Box::new(service.lag.clone()))?;
        registry.register(Box::new(service.step_seconds.clone()))?;
        Ok(Arc::new(service))
    }

    async fn run_until_stopped(&self, context: ServiceContext) {
        let mut failures = 0;
        loop {
            let pause = match self.step().await {
                Ok(more) => {
                    failures = 0;
                    context.ready();
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
        let timer = self.step_seconds.start_timer();
        let step = self.store.rollup_step().await?;
        timer.observe_duration();
        self.lag.set(self.store.rollup_lag().await?);
        let Some(step) = step else { return Ok(false) };
        self.folded.inc_by(step.events);
        Ok(step.more)
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
