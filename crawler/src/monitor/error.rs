//! What can go wrong in the monitor itself; what is wrong with relays is a finding.

use bigbrotr_core::relay_url::RelayUrlError;
use bigbrotr_schema::error::StoreError;

use crate::store_wait;

/// Why the monitor cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// A metric cannot be registered.
    #[error("cannot register the monitor's metrics")]
    Metrics(#[from] prometheus::Error),
    /// The relay that it publishes on has no usable URL.
    #[error("our relay's public url {url:?} is not a relay url")]
    RelayUrl {
        /// The URL as given.
        url: String,
        /// Why not.
        #[source]
        source: RelayUrlError,
    },
    /// A relay that reports go to has no usable URL.
    #[error("cannot publish to {url:?}, which is not a relay url that may be dialed")]
    PublishTo {
        /// The URL as configured.
        url: String,
        /// Why not.
        #[source]
        source: RelayUrlError,
    },
}

/// Why a step of the monitor has to be repeated, or given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Store(#[from] store_wait::StepError),
    #[error("cannot sign")]
    Signing(#[from] nostr::event::builder::Error),
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}
