//! `relay.archive`: what of the archive is served.

use std::time::Duration;

use bigbrotr_core::config::{Checks, Invalid, duration};
use serde::{Deserialize, Serialize};

/// What is served beside the relay's own events. Indexes are built when a switch is on at the start,
/// and stay when it is off again: `docs/relay.md` says what they cost and how to drop them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArchiveServingConfig {
    /// Serve the archive: the latest versions, and nothing that is deleted, vanished, expired,
    /// ephemeral or for its author alone to publish.
    pub enabled: bool,
    /// Full-text search (NIP-50), of whatever is served.
    pub search: bool,
    /// Subscribers get newly archived events that are not older than this, too.
    #[serde(with = "duration")]
    pub live_window: Duration,
}

impl Default for ArchiveServingConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            search: false,
            live_window: Duration::from_hours(1),
        }
    }
}

impl ArchiveServingConfig {
    pub(super) fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        checks.duration(
            "live_window",
            self.live_window,
            Duration::ZERO..=Duration::from_hours(24 * 365 * 100),
        );
        checks.finish()
    }
}
