//! The embedded Nostr relay.
//!
//! Owns the protocol towards clients: HTTP and WebSocket, NIP-11, sessions, policy, live fan-out.
//! It does not own the events: they are in the database, which decides what replaces and deletes
//! what ([`Store::publish`](bigbrotr_schema::store::Store::publish)), and through which every
//! process of the node hears of them.
//!
//! From outside in: `front` takes connections and makes sessions of them; a `session` reads one
//! client's messages and answers through its `outbox`; `policy` decides what may be written; the
//! `hub` brings new events to the sessions' subscriptions. [`RelayService`] runs it all.

mod config;
mod error;
mod front;
mod hub;
mod limits;
mod metrics;
mod mirror;
mod outbox;
mod policy;
mod rate;
mod service;
mod session;
mod shared;

pub use config::{
    AddressRange, ArchiveServingConfig, AuthConfig, LimitsConfig, PolicyConfig, ProxyHeader,
    RelayConfig,
};
pub use error::RelayError;
pub use metrics::register_metrics;
pub use service::RelayService;
