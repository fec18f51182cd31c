//! Discovers relays: in archived events and in lists on the web.
//!
//! What it finds are candidates; whether they are relays is for [`crate::validator`] to prove. It
//! decides what counts as a mention, and how much of it is believed at once; the store keeps how
//! far the archive has been read, and the candidates.
//!
//! - `extract` finds URLs in one event, `list` and `json_path` in one document
//! - `budget` says how many of them may become candidates
//! - `archive` reads on in the archive, `lists` fetches what is due; `run` does both for ever
//!
//! # Security
//! Anybody can mention any number of URLs for nothing. What that can cost is bounded per event,
//! per host, per registrable name, per source and in total: decision 13.

mod archive;
mod budget;
mod config;
mod error;
mod extract;
mod json_path;
mod limits;
mod list;
mod lists;
mod metrics;
mod run;
mod service;

pub use self::config::{FinderConfig, ListConfig, ListFormat};
pub use self::error::FinderError;
pub(crate) use self::metrics::FinderMetrics;
pub use self::service::{FinderProgress, FinderService};
