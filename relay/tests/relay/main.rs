//! The relay over real sockets, on a real Postgres.
//!
//! Each test has several threads: dropping its database waits for connections that the relay may
//! be opening at that moment, and must not keep them from going on.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test needs and does not get fails it"
)]

mod archive;
mod archive_live;
mod archive_model;
mod auth;
mod connections;
mod count;
mod database;
mod fan_out;
mod helper;
mod hostile;
mod info;
mod messages;
mod monitors;
mod policies;
mod publish;
mod reconcile;
mod rubbish;
mod sdk;
mod search;
mod subscribe;
mod vanish;
