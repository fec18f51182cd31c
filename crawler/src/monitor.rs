//! Measures relays on a schedule and reports what it finds ([NIP-66]).
//!
//! Owns the check of one relay ([`check_relay`], which needs no database), the reports and
//! announcements made of it, and the service that checks every relay that is due. How a
//! connection is made and what is said over it belongs to [`crate::dial`] and [`crate::session`];
//! schedule, leases and documents are kept by the store.
//!
//! - `check` asks a relay: `conversation` over its WebSocket, `ask` over HTTP and DNS
//! - `result` is what was found; `information` reads NIP-11, `headers` and `certificate` what came
//!   with it, `geo` where the relay is; `work` finds proof of work
//! - `findings` is the stored document; `report` and `announcement` are what is published
//! - `schedule` says when the relay is due again; `service` and `run` do it all for ever
//! - `forward` takes what is published to other relays
//!
//! [NIP-66]: https://github.com/nostr-protocol/nips/blob/master/66.md

mod announcement;
mod ask;
mod certificate;
mod check;
mod config;
mod conversation;
mod draft;
mod error;
mod findings;
#[cfg(test)]
mod fixtures;
mod forward;
mod geo;
mod headers;
mod information;
mod limits;
mod metrics;
mod report;
mod requirements;
mod result;
mod run;
mod schedule;
mod service;
mod work;

pub use self::announcement::announcements;
pub use self::certificate::Certificate;
pub use self::check::{Checker, check_relay};
pub use self::config::MonitorConfig;
pub use self::draft::Draft;
pub use self::error::MonitorError;
pub use self::findings::findings;
pub use self::geo::{AutonomousSystem, GeoDatabases, GeoError, Location, Place};
pub use self::headers::{Cors, ServerHeaders};
pub use self::information::{InformationError, Limitation, RelayInformation};
pub(crate) use self::metrics::MonitorMetrics;
pub use self::report::relay_report;
pub use self::requirements::Requirements;
pub use self::result::{
    CheckResult, DnsFinding, InformationFinding, OpenFinding, OpenTimings, Probe, SignedIn,
    TlsFinding,
};
pub use self::schedule::{Checked, Schedule, next_check};
pub use self::service::{MonitorProgress, MonitorService};
pub use self::work::{Work, WorkOutcome};
