//! The service that removes what the implementation does not keep, and what nothing refers to.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::service::{Service, ServiceContext, ServiceFuture, ServiceName};
use prometheus::IntCounter;

use crate::config::Retention;
use crate::error::StoreError;
use crate::limits::{RETENTION_BATCH, RETENTION_PAUSE};
use crate::store::{RetentionCursor, Store};

/// Applies the retention rules of the section `database`.
#[derive(Debug)]
pub struct RetentionService {
    store: Store,
    policy: Retention,
    interval: Duration,
    removed: IntCounter,
}

impl RetentionService {
    /// Makes the service and registers its metrics.
    pub fn new(store: Store, registry: &prometheus::Registry) -> prometheus::Result<Arc<Self>> {
        let config = &store.config.retention;
        let service = Self {
            policy: config.policy(),
            interval: config.interval,
            removed: IntCounter::new(
                "bigbrotr_retention_removed_events_total",
                "Events removed from the archive because they are not kept any longer.",
            )?,
            store,
        };
        registry.register(Box::new(service.removed.clone()))?;
        Ok(Arc::new(service))
    }

    /// Removes all that is to be removed now.
    async fn pass(&self, context: &ServiceContext) -> Result<(), StoreError> {
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
            self.removed.inc_by(step.removed);
            removed += step.removed;
            from = step.next;
            // Room for the archive's writers, which a removal makes wait.
            if step.removed > 0 && !context.sleep(RETENTION_PAUSE).await {
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
}

impl Service for RetentionService {
    fn name(&self) -> ServiceName {
        ServiceName::Retention
    }

    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
        Box::pin(async move {
            loop {
                match self.pass(&context).await {
                    Ok(()) => context.ready(),
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
