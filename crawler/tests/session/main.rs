//! The session against simulated relays: what is believed, what is dropped, and how it ends.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has to fail"
)]

mod auth;
mod conversation;
mod page;
mod page_end;
mod probe;
mod publish;
mod reconcile;
mod reconcile_between;
mod reconcile_hostile;
mod reconcile_refused;
mod support;
