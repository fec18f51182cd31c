//! The dialer over real sockets: what it connects to, what it refuses, and what it tells.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has to fail"
)]

mod fairness;
mod guard;
mod http;
mod rebinding;
mod socks;
mod support;
mod tls;
mod transport;
