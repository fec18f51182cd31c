//! Trying again while the database is away.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::IngestMetrics;
use crate::error::StoreError;
use crate::limits::{INGEST_STOP_GRACE, INGEST_TRY_TIMEOUT, RETRY_BASE, RETRY_MAX};

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

    /// Runs an operation, for a bounded time; once the node stops it has a moment left. A server
    /// that is there but does not answer must not keep the node from stopping.
    ///
    /// # Errors
    /// Those of the operation; one that may pass when its time is up; [`StoreError::Stopped`]
    /// when the moment is over.
    pub(super) async fn bounded<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let stopped = async {
            self.stop.cancelled().await;
            tokio::time::sleep(INGEST_STOP_GRACE).await;
        };
        tokio::select! {
            outcome = tokio::time::timeout(INGEST_TRY_TIMEOUT, operation) => {
                outcome.unwrap_or_else(|late| {
                    let late = std::io::Error::new(std::io::ErrorKind::TimedOut, late);
                    Err(StoreError::Database(sqlx::Error::Io(late)))
                })
            }
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_try_that_is_never_answered_is_given_up_and_tried_again() {
        let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
        let stop = CancellationToken::new();
        let mut retry = Retry::new(&metrics, &stop);
        let error = retry.bounded::<()>(pending()).await.unwrap_err();
        assert!(error.is_retryable());
        retry.pause(error).await.unwrap();
        stop.cancel();
        let error = retry.bounded::<()>(pending()).await.unwrap_err();
        assert!(matches!(error, StoreError::Stopped));
    }
}
