//! What the database may spend on one message of a client.

use std::time::Duration;

use bigbrotr_schema::error::StoreError;
use tokio::time::Instant;

use crate::shared::{QueryError, Shared};

/// Time and rows that are left.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Duration,
    time: Duration,
    max_rows: usize,
    rows: usize,
}

impl Budget {
    /// Begins with all that a message may have: so many rows, and the configured time.
    pub(super) fn new(shared: &Shared, rows: usize) -> Self {
        let limit = shared.config.limits.query_timeout;
        Self {
            limit,
            time: limit,
            max_rows: rows,
            rows,
        }
    }

    /// How long the next question may take.
    pub(super) fn time(&self) -> Duration {
        self.time
    }

    /// How many of these rows the next question may look at.
    pub(super) fn rows(&self, wanted: usize) -> Result<usize, QueryError> {
        if self.rows == 0 {
            return Err(QueryError::TooMuch(self.max_rows));
        }
        Ok(wanted.min(self.rows))
    }

    /// Asks a question and takes off the time that it took. What the client takes to read the
    /// answer is not counted.
    pub(super) async fn ask<T>(
        &mut self,
        shared: &Shared,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, QueryError> {
        if self.time.is_zero() {
            return Err(QueryError::Timeout(self.limit));
        }
        let asked = Instant::now();
        let answer = shared.ask(self.time, question).await;
        self.time = self.time.saturating_sub(asked.elapsed());
        match answer {
            Err(QueryError::Timeout(_)) => Err(QueryError::Timeout(self.limit)),
            answer => answer,
        }
    }

    /// Takes off rows that were looked at.
    pub(super) fn spend(&mut self, rows: usize) {
        self.rows = self.rows.saturating_sub(rows);
    }
}
