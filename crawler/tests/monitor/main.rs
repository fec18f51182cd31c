//! The monitor against simulated relays and a real database: what is found, stored and published.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has to fail"
)]

mod check;
mod forward;
mod information;
mod outage;
mod reports;
mod schedule;
mod sharing;
mod support;
