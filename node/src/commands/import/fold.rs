//! The statistics of imported events, when no node keeps them current.

use bigbrotr_schema::store::Store;
use tokio_util::sync::CancellationToken;

use crate::limits::IMPORT_FOLD_INTERVAL;

/// Folds what the import brings until `stop` is cancelled. Where a node is running, it does that:
/// only one of them works at a time.
pub(super) async fn along(store: Store, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let more = match store.rollup_step().await {
            Ok(step) => step.is_some_and(|step| step.more),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot fold imported events into the statistics yet",
                );
                false
            }
        };
        if !more {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(IMPORT_FOLD_INTERVAL) => {}
            }
        }
    }
}

/// Folds what is left; leaves it to whoever is at it already.
pub(super) async fn rest(store: &Store) -> anyhow::Result<()> {
    Ok(store.rollup_to_end().await?)
}
