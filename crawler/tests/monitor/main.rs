//! The monitor against simulated relays and a real database: what is found, stored and published.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has to fail"
)]

mod access;
mod capabilities;
mod check;
mod forward;
mod information;
mod mmdb;
#[path = "../common/names.rs"]
mod names;
mod outage;
mod reports;
mod schedule;
mod scripted;
mod sharing;
mod support;
mod surroundings;
