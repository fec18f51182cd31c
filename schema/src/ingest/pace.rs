//! Keeping the statistics from falling behind the archive.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::StoreError;
use crate::limits::{INGEST_HELP_FROM_LAG, INGEST_HELP_PAUSE, INGEST_HELP_STEPS};
use crate::store::Store;

/// Waits until the statistics are close behind the archive, folding what waits if nobody else
/// does. So the queue between the two stays short however fast events come, and even where no
/// rollup service runs.
///
/// What fails here concerns the statistics, not the events: it is logged and tried again after
/// the next batch.
pub(super) async fn keep_pace(store: &Store, stop: &CancellationToken) {
    for _ in 0..INGEST_HELP_STEPS {
        match fold_if_late(store).await {
            Ok(true) if !stop.is_cancelled() => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot fold new events into the statistics",
                );
                return;
            }
        }
    }
}

/// Takes one step, or a pause while another process takes one; says whether that was needed.
async fn fold_if_late(store: &Store) -> Result<bool, StoreError> {
    let lag = Duration::try_from_secs_f64(store.rollup_lag().await?).unwrap_or_default();
    if lag < INGEST_HELP_FROM_LAG {
        return Ok(false);
    }
    if store.rollup_step().await?.is_none() {
        tokio::time::sleep(INGEST_HELP_PAUSE).await;
    }
    Ok(true)
}
