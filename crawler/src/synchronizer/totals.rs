//! What the database says of all relays, as metrics.

use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::{SYNC_STATUSES, SyncScope, SyncTotals};
use prometheus::{IntGauge, IntGaugeVec, Registry};

use super::Shared;
use super::metrics::opts;
use crate::limits;

/// How things stand, whichever process did it.
#[derive(Debug)]
pub(super) struct TotalsMetrics {
    relays: IntGaugeVec,
    gaps: IntGauge,
    missing: IntGauge,
    /// Only that of the priority relays is promised to stay small.
    priority_lag: Option<IntGauge>,
}

impl TotalsMetrics {
    pub(super) fn register(scope: SyncScope, registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            relays: IntGaugeVec::new(
                opts(
                    scope,
                    "bigbrotr_synchronizer_relays",
                    "Relays in the database, those of the list alone in scope priority, by status: \
                     syncing, live (followed), caught_up, waiting (never caught up with), failing, \
                     put_aside.",
                ),
                &["status"],
            )?,
            gaps: IntGauge::with_opts(opts(
                scope,
                "bigbrotr_synchronizer_open_gaps",
                "Stretches of time in the database that are not archived and are tried again.",
            ))?,
            missing: IntGauge::with_opts(opts(
                scope,
                "bigbrotr_synchronizer_open_missing_events",
                "Events in the database that relays promised and that are not archived.",
            ))?,
            priority_lag: match scope {
                SyncScope::All => None,
                SyncScope::Priority => Some(IntGauge::new(
                    "bigbrotr_synchronizer_priority_lag_seconds",
                    "Time since the priority relay that waits longest was caught up with; those \
                     followed live are, those that fail or are put aside do not count.",
                )?),
            },
        };
        for status in SYNC_STATUSES {
            metrics.relays.with_label_values(&[status]);
        }
        registry.register(Box::new(metrics.relays.clone()))?;
        registry.register(Box::new(metrics.gaps.clone()))?;
        registry.register(Box::new(metrics.missing.clone()))?;
        if let Some(lag) = &metrics.priority_lag {
            registry.register(Box::new(lag.clone()))?;
        }
        Ok(metrics)
    }

    fn set(&self, totals: &SyncTotals) {
        for (status, count) in &totals.statuses {
            self.relays.with_label_values(&[status]).set(*count as i64);
        }
        self.gaps.set(totals.gaps as i64);
        self.missing.set(totals.missing_events as i64);
        if let Some(lag) = &self.priority_lag {
            lag.set(totals.lag_seconds as i64);
        }
    }
}

impl Shared {
    /// Counts now and then until the service has to stop. While the database is away the numbers
    /// stay as they were.
    pub(super) async fn watch_totals(&self) {
        loop {
            let count = self.store.count_syncs(self.scope);
            let count = tokio::time::timeout(limits::SYNC_STATEMENT_TIMEOUT, count);
            match self.context.stop.run_until_cancelled(count).await {
                None => return,
                Some(Ok(Ok(totals))) => self.metrics.totals.set(&totals),
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
