//! Both faces of the catalogue against a real Postgres: jobs as our relay would take them in, and
//! HTTP over sockets.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod abroad;
mod chaining;
mod counting;
mod encrypted;
mod jobs;
mod limits;
mod outages;
mod parity;
mod paying;
mod recovery;
mod rest;
mod rest_http;
mod support;
