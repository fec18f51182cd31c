//! Trying again while the database is away.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::IngestMetrics;
use crate::error::StoreError;
use crate::limits::{RETRY_BASE, RETRY_MAX};

/// The pauses between the tries of one operation.
pub(super) struct Retry<'a> {
    metrics: &'a IngestMetrics,
    stop: &'a CancellationToken,
    delay: Duration,
}

impl<'a> Retry<'a> {
    pub(super) fn new(metrics: &'a IngestMetrics, stop: &'a CancellationToken) -> Self {
        Self {
            metrics,
            stop,
            delay: RETRY_BASE,
        }
    }

    /// Waits after a failure that may pass, longer each time.
    ///
    /// # Errors
    /// The failure itself when it will not pass; [`StoreError::Stopped`] when the node stops.
    pub(super) async fn pause(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !error.is_retryable() {
            return Err(error);
        }
        self.metrics.retries.inc();
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            retry_ms = self.delay.as_millis() as u64,
            "the archive cannot be reached: trying again",
        );
        tokio::select! {
            () = self.stop.cancelled() => return Err(StoreError::Stopped),
            () = tokio::time::sleep(self.delay) => {}
        }
        self.delay = (self.delay * 2).min(RETRY_MAX);
        Ok(())
    }
}
