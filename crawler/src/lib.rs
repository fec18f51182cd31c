//! What goes out to relays: the dialer, the protocol session, and the services on top of them.
//!
//! Everything that opens a connection does so through [`dial::Dialer`].

pub mod dial;
pub mod finder;
pub mod limits;
pub mod metrics;
pub mod monitor;
mod reach;
pub mod session;
mod store_wait;
pub mod synchronizer;
pub mod validator;
