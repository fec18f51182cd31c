//! What the database says of all relays, as metrics.

use bigbrotr_schema::error::StoreError;

use super::Shared;
use crate::limits;

impl Shared {
    /// Counts now and then until the service has to stop. While the database is away the numbers
    /// stay as they were.
    pub(super) async fn watch_totals(&self) {
        loop {
            let count = self.store.count_syncs(self.scope);
            let count = tokio::time::timeout(limits::SYNC_STATEMENT_TIMEOUT, count);
            match self.context.stop.run_until_cancelled(count).await {
                None => return,
                Some(Ok(Ok(totals))) => self.metrics.totals(&totals),
                Some(Ok(Err(error))) => missed(&error),
                Some(Err(_)) => tracing::debug!("relays could not be counted in time"),
            }
            if !self.context.sleep(limits::SYNC_TOTALS_INTERVAL).await {
                return;
            }
        }
    }
}

/// Whether the database is there is reported by those who need it.
fn missed(error: &StoreError) {
    if error.is_retryable() {
        tracing::debug!(
            error = error as &dyn std::error::Error,
            "relays could not be counted"
        );
    } else {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "cannot count relays"
        );
    }
}
