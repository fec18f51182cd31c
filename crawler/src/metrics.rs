//! Every metric of this crate, for whoever lists them.

use bigbrotr_schema::store::SyncScope;
use prometheus::Registry;

use crate::finder::FinderMetrics;
use crate::monitor::MonitorMetrics;
use crate::synchronizer::SynchronizerMetrics;
use crate::validator::ValidatorMetrics;

/// Registers every metric of this crate, as a process that runs all its services does.
///
/// # Errors
/// Metrics of the same names are registered already.
pub fn register_all(registry: &Registry) -> prometheus::Result<()> {
    FinderMetrics::register(registry)?;
    ValidatorMetrics::register(registry)?;
    MonitorMetrics::register(registry)?;
    for scope in [SyncScope::All, SyncScope::Priority] {
        SynchronizerMetrics::register(scope, registry)?;
    }
    Ok(())
}
