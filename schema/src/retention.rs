//! The service that removes what the implementation does not keep, and what nothing refers to.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::service::{Service, ServiceContext, ServiceFuture, ServiceName};
use prometheus::{IntCounter, IntGauge, Registry};

use crate::config::Retention;
use crate::error::StoreError;
use crate::limits::{RETENTION_BATCH, RETENTION_PAUSE};
use crate::store::{RelayId, RetentionCursor, Store};

/// Applies the retention rules of the section `database`.
#[derive(Debug)]
pub struct RetentionService {
    store: Store,
    policy: Retention,
    interval: Duration,
    metrics: RetentionMetrics,
}

/// The retention's metrics. A metric's help text is its documentation.
#[derive(Debug)]
pub(crate) struct RetentionMetrics {
    removed: IntCounter,
    removed_checks: IntCounter,
    last_success: IntGauge,
}

impl RetentionMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            removed: IntCounter::new(
                "bigbrotr_retention_removed_events_total",
                "Events removed from the archive because they are not kept any longer.",
            )?,
            removed_checks: IntCounter::new(
                "bigbrotr_retention_removed_checks_total",
                "Checks of relays removed because they are not kept any longer.",
            )?,
            last_success: IntGauge::new(
                "bigbrotr_retention_last_success_timestamp_seconds",
                "When everything that is not kept had last been removed. 0: never yet.",
            )?,
        };
        registry.register(Box::new(metrics.removed.clone()))?;
        registry.register(Box::new(metrics.removed_checks.clone()))?;
        registry.register(Box::new(metrics.last_success.clone()))?;
        Ok(metrics)
    }
}

impl RetentionService {
    /// Makes the service and registers its metrics.
    pub fn new(store: Store, registry: &Registry) -> prometheus::Result<Arc<Self>> {
        let config = &store.config.retention;
        let service = Self {
            policy: config.policy(),
            interval: config.interval,
            metrics: RetentionMetrics::register(registry)?,
            store,
        };
        Ok(Arc::new(service))
    }

    /// Removes all that is to be removed now.
    async fn pass(&self, context: &ServiceContext) -> Result<(), StoreError> {
        // First: what they leave behind are documents without a check.
        if !self.remove_checks(context).await? {
            return Ok(());
        }
        while self.store.delete_orphan_documents(RETENTION_BATCH).await? > 0 {
            if !context.sleep(RETENTION_PAUSE).await {
                return Ok(());
            }
        }
        if self.policy.keeps_all() {
            return Ok(());
        }
        let (mut from, mut removed) = (Some(RetentionCursor::START), 0);
        while let Some(cursor) = from {
            let step = self.store.apply_retention(&self.policy, cursor).await?;
            self.metrics.removed.inc_by(step.removed);
            removed += step.removed;
            from = step.next;
            // Room for the archive's writers, which a removal makes wait.
            let pause = if step.removed > 0 {
                RETENTION_PAUSE
            } else {
                Duration::ZERO
            };
            if !context.sleep(pause).await {
                break;
            }
        }
        if removed > 0 {
            tracing::info!(
                events.removed = removed,
                "events that are not kept were removed"
            );
        }
        Ok(())
    }

    /// Removes old checks of relays; `false` when the service has to stop.
    async fn remove_checks(&self, context: &ServiceContext) -> Result<bool, StoreError> {
        let retention = &self.store.config.retention;
        let Some(before) = retention.checks_horizon(self.store.now()) else {
            return Ok(true);
        };
        let mut from = Some(RelayId(i32::MIN));
        let mut all = 0;
        while let Some(relay) = from {
            let (removed, next) = self.store.delete_old_snapshots(before, relay).await?;
            self.metrics.removed_checks.inc_by(removed);
            all += removed;
            from = next;
            if removed > 0 && !context.sleep(RETENTION_PAUSE).await {
                return Ok(false);
            }
        }
        if all > 0 {
            tracing::info!(
                checks.removed = all,
                "checks that are not kept were removed"
            );
        }
        Ok(true)
    }
}

impl Service for RetentionService {
    fn name(&self) -> ServiceName {
        ServiceName::Retention
    }

    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
        Box::pin(async move {
            loop {
                match self.pass(&context).await {
                    Ok(()) => {
                        context.ready();
                        self.metrics.last_success.set(self.store.now());
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "cannot remove what is not kept: trying again later",
                        );
                        context.degraded(&error);
                    }
                }
                if !context.sleep(self.interval).await {
                    return Ok(());
                }
            }
        })
    }
}
