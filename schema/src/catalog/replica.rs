//! Whether the replica can answer the questions.

use tokio::time::Instant;

use super::Catalog;
use super::run::explain;
use crate::error::StoreError;
use crate::limits::{REPLICA_PATIENCE, REPLICA_PAUSE};

impl Catalog {
    /// Waits until the replica, where there is one, can answer every question. One that cannot be
    /// reached, or takes longer than [`REPLICA_PATIENCE`], is left to come: the log says so, and
    /// questions wait for it.
    ///
    /// # Errors
    /// When it refuses for a reason that does not pass, such as a right that its login lacks.
    pub(super) async fn await_replica(&self) -> Result<(), StoreError> {
        if self.store.config.replica_url.expose().is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + REPLICA_PATIENCE;
        loop {
            let Err(error) = self.try_replica().await else {
                return Ok(());
            };
            let is_behind = error.is_undefined();
            if !is_behind && !error.is_retryable() {
                return Err(error);
            }
            if !is_behind || Instant::now() >= deadline {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the replica cannot answer questions yet",
                );
                return Ok(());
            }
            tokio::time::sleep(REPLICA_PAUSE).await;
        }
    }

    /// Plans every question on the replica.
    async fn try_replica(&self) -> Result<(), StoreError> {
        for statement in self.entries.values().flat_map(|(_, statements)| statements) {
            let mut tx = self.begin().await?;
            explain(&mut *tx, statement).await?;
            tx.rollback().await?;
        }
        Ok(())
    }
}
