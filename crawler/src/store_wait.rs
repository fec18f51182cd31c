//! Waiting for the database, within bounds, for the finder, the validator and the monitor.

use std::future::Future;
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_schema::error::StoreError;

/// The longest wait for the database in one go, so that a stalled connection is noticed.
const STORE_TIMEOUT: Duration = Duration::from_secs(20);

/// Pauses while the database is away.
pub(crate) const DATABASE_BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(200),
    factor: 2.0,
    max: Duration::from_secs(10),
    jitter: 0.3,
};

/// Why a step has to be repeated, or given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error("the database refuses")]
    Store(#[from] StoreError),
    #[error("the database did not answer within {after:?}")]
    StoreTimedOut { after: Duration },
}

impl StepError {
    /// Says whether the same step may succeed later.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable() || error.is_conflict(),
            Self::StoreTimedOut { .. } => true,
        }
    }
}

/// Waits for the database.
pub(crate) async fn bounded<T>(
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StepError> {
    match tokio::time::timeout(STORE_TIMEOUT, operation).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(StepError::StoreTimedOut {
            after: STORE_TIMEOUT,
        }),
    }
}

/// Whole seconds, at least one: something is due again later, never at once.
pub(crate) fn whole_seconds(pause: Duration) -> i64 {
    i64::try_from(pause.as_secs().max(1)).unwrap_or(i64::MAX)
}
