//! What the rollup tells: how current the statistics are, and how large the archive is.

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Registry};

use crate::store::ArchiveSize;

/// The rollup's metrics. A metric's help text is its documentation.
#[derive(Debug)]
pub(crate) struct RollupMetrics {
    pub(super) folded: IntCounter,
    pub(super) lag: Gauge,
    pub(super) step_seconds: Histogram,
    pub(super) last_success: IntGauge,
    events: IntGauge,
    database_bytes: IntGauge,
}

impl RollupMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            folded: IntCounter::new(
                "bigbrotr_rollup_events_total",
                "Events folded into the statistics by this process.",
            )?,
            lag: Gauge::new(
                "bigbrotr_rollup_lag_seconds",
                "Age of the oldest batch that the statistics do not hold yet. Stays as it was while \
                 the database is away.",
            )?,
            step_seconds: Histogram::with_opts(HistogramOpts::new(
                "bigbrotr_rollup_step_seconds",
                "Time of one rollup transaction.",
            ))?,
            last_success: IntGauge::new(
                "bigbrotr_rollup_last_success_timestamp_seconds",
                "When this process last found the statistics brought up to date, by itself or by \
                 another one. 0: never yet.",
            )?,
            events: IntGauge::new(
                "bigbrotr_archive_events",
                "Events in the archive, as the statistics hold them. Looked at once a minute.",
            )?,
            database_bytes: IntGauge::new(
                "bigbrotr_archive_database_bytes",
                "Size of the whole database on its disk. Looked at once a minute.",
            )?,
        };
        registry.register(Box::new(metrics.folded.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.step_seconds.clone()))?;
        registry.register(Box::new(metrics.last_success.clone()))?;
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.database_bytes.clone()))?;
        Ok(metrics)
    }

    pub(super) fn set_size(&self, size: ArchiveSize) {
        self.events.set(size.events as i64);
        self.database_bytes.set(size.database_bytes as i64);
    }
}
