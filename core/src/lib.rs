//! The domain and the foundations of BigBrotr.
//!
//! What every other crate builds on: events, filters, messages, relay URLs, configuration, keys,
//! clocks and the service trait. It opens no connections and speaks to no database; what is here
//! is pure, or touches a small local file at most.

pub mod address;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod error_chain;
pub mod event;
pub mod filter;
pub mod health;
pub mod keys;
pub mod limits;
pub mod message;
pub mod network;
pub mod other_relays;
pub mod relay_list;
pub mod relay_url;
pub mod selection;
pub mod service;
pub mod vanish;
