//! The two public faces of the catalogue.
//!
//! [`dvm`] answers NIP-90 jobs over our own relay, [`api`] answers HTTP. Both ask the same
//! [`Catalog`](bigbrotr_schema::catalog::Catalog) and give its bytes as they are, its errors
//! included, so this crate knows no question by name. [`ask`] is the other side of NIP-90: what a
//! customer needs to ask us. No SQL here, and no connections to relays.

pub mod api;
pub mod ask;
pub mod dvm;
pub mod limits;
pub mod metrics;
mod problem;
mod question;
mod rate;

pub use self::api::{ApiConfig, ApiService, BindError, NodeFacts, TrustedProxy};
pub use self::dvm::{DvmConfig, DvmService};
