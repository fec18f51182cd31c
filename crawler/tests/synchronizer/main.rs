//! The synchronizer against simulated relays and a real Postgres.
//!
//! What every test is after: the archive is exactly what the relays hold, with who had what, and
//! nothing is ever claimed to be covered that is not archived.
//!
//! The tests run on several threads: dropping a test's database blocks one, and connections that
//! are being greeted meanwhile would be cut by the server.

#![allow(clippy::unwrap_used, reason = "tests")]

mod archive;
mod caps;
mod choices;
mod faults;
mod gaps;
mod live;
mod outage;
mod reconcile;
mod resume;
mod sharing;
mod standing;
mod support;
