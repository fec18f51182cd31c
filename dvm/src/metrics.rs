//! Every metric of this crate, for whoever lists them.

use prometheus::Registry;

use crate::api::ApiMetrics;
use crate::dvm::DvmMetrics;

/// Registers every metric of this crate, as a process that runs all its services does.
///
/// # Errors
/// Metrics of the same names are registered already.
pub fn register_all(registry: &Registry) -> prometheus::Result<()> {
    ApiMetrics::register(registry)?;
    DvmMetrics::register(registry)?;
    Ok(())
}
