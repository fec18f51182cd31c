//! Proves that candidates speak Nostr, and makes relays of those that do.
//!
//! An open WebSocket proves nothing: any chat server has one. What counts is an answer to a REQ
//! that only a relay gives ([NIP-01], [NIP-42]): EVENT, EOSE, CLOSED, AUTH or NOTICE. Who gives
//! none is asked again, less and less often, and given up in the end. Where candidates come from
//! is the business of [`crate::finder`]; what a relay is worth, that of [`crate::monitor`].
//!
//! - `prove` asks one candidate
//! - `verdict` says what follows for the candidate
//! - `service` and `run` do it all for ever
//!
//! [NIP-01]: https://github.com/nostr-protocol/nips/blob/master/01.md
//! [NIP-42]: https://github.com/nostr-protocol/nips/blob/master/42.md

mod config;
mod error;
mod limits;
mod metrics;
mod prove;
mod run;
mod service;
mod verdict;

pub use self::config::ValidatorConfig;
pub use self::error::ValidatorError;
pub(crate) use self::metrics::ValidatorMetrics;
pub use self::service::{ValidatorProgress, ValidatorService};
