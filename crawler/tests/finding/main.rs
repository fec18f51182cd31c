//! The finder and the validator against archived events, lists on a real web server, simulated
//! relays and a real database.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has to fail"
)]

mod floods;
mod lists;
#[path = "../common/names.rs"]
mod names;
mod order;
mod proving;
mod proving_leases;
mod proving_outage;
mod sources;
mod support;
mod web;
