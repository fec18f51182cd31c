//! Every metric of this crate, for whoever lists them.

use prometheus::Registry;

use crate::ingest::IngestMetrics;
use crate::retention::RetentionMetrics;
use crate::rollup::RollupMetrics;

/// Registers every metric of this crate, as a process that runs all its services does.
///
/// # Errors
/// Metrics of the same names are registered already.
pub fn register_all(registry: &Registry) -> prometheus::Result<()> {
    IngestMetrics::register(registry)?;
    RollupMetrics::register(registry)?;
    RetentionMetrics::register(registry)?;
    Ok(())
}
