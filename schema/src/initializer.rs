//! Preparing the database: schema, roles, first relays. Safe to run again, and by several
//! processes at once.

use bigbrotr_core::relay_url::RelayUrl;

use crate::error::StoreError;
use crate::store::Store;

/// What [`initialize`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Initialized {
    /// The version of the schema.
    pub schema_version: i64,
    /// Relays that were not in the database.
    pub new_relays: u64,
}

/// Migrates the database and adds the relays to begin with; `priorities` are those that the
/// priority synchronizer follows.
pub async fn initialize(
    store: &Store,
    seeds: &[RelayUrl],
    priorities: &[RelayUrl],
) -> Result<Initialized, StoreError> {
    store.migrate().await?;
    let new_relays = store.insert_relays(seeds).await? + store.insert_relays(priorities).await?;
    store.set_priority_relays(priorities).await?;
    let schema_version = Store::schema_version();
    tracing::info!(
        schema.version = schema_version,
        relays.seeds = seeds.len(),
        relays.priorities = priorities.len(),
        relays.new = new_relays,
        "the database is ready",
    );
    Ok(Initialized {
        schema_version,
        new_relays,
    })
}
