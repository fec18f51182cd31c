//! The database of BigBrotr.
//!
//! Owns the schema (`migrations/`), the only code that speaks SQL ([`store::Store`]), the intake
//! of the archive ([`ingest`]), the catalogue of public questions ([`catalog`]), the relay's events
//! behind rust-nostr's contract ([`nostr_database`]) and the node's private Postgres
//! ([`embedded`]). It knows nothing of sockets to relays or clients.

pub mod catalog;
pub mod config;
mod copy;
pub mod embedded;
pub mod error;
mod filter_sql;
pub mod ingest;
pub mod initializer;
pub mod limits;
pub mod metrics;
pub mod nostr_database;
pub mod overlay;
mod recent;
pub mod retention;
pub mod rollup;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
