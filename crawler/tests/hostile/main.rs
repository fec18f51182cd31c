//! What hostile relays do to a check: each ends in bounded time, after bounded bytes, with the
//! right verdict. Without any database.
//!
//! - `opening` TLS and the upgrade; `frames` the WebSocket; `words` what is said on it
//! - `documents` NIP-11: HTTP and JSON

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has to fail"
)]

mod documents;
mod frames;
mod opening;
mod support;
mod words;
