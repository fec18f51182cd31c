//! Ingest and statistics under crashes, races, outages and refusals: nothing acknowledged is lost,
//! nothing is counted twice.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod conflicts;
mod counts;
mod harness;
mod memory;
mod model;
mod network;
mod pressure;
mod processes;
mod refused;
mod server;
mod statistics;
