//! Trying again while the database is away.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::IngestMetrics;
use crate::error::StoreError;
use crate::limits::{INGEST_STOP_GRACE, RETRY_BASE, RETRY_MAX};

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

    /// Runs an operation; once the node stops it has a moment left. A server that is there but
    /// does not answer must not keep the node from stopping.
    ///
    /// # Errors
    /// Those of the operation; [`StoreError::Stopped`] when the moment is over.
    pub(super) async fn bounded<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let stopped = async {
            self.stop.cancelled().await;
            tokio::time::sleep(INGEST_STOP_GRACE).await;
        };
        tokio::select! {
            outcome = operation => outcome,
            () = stopped => Err(StoreError::Stopped),
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
