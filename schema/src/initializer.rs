//! Preparing the database: schema, roles, first relays. Safe to run again, and by several
//! processes at once.

use bigbrotr_core::relay_url::RelayUrl;

use crate::error::StoreError;
use crate::overlay::{AppliedOverlay, Overlays};
use crate::store::Store;

/// What [`initialize`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialized {
    /// The version of the schema.
    pub schema_version: i64,
    /// The overlays that have been run on this database, now or before.
    pub overlays: Vec<AppliedOverlay>,
    /// Those of them that were run now.
    pub new_overlays: Vec<AppliedOverlay>,
    /// What `readonly_public` may do beyond reading views, because only a superuser can forbid it.
    pub public_excess: Vec<String>,
    /// Relays that were not in the database.
    pub new_relays: u64,
}

/// Migrates the database, runs the implementation's overlays and adds the relays to begin with;
/// `priorities` are those that the priority synchronizer follows.
pub async fn initialize(
    store: &Store,
    overlays: &Overlays,
    seeds: &[RelayUrl],
    priorities: &[RelayUrl],
) -> Result<Initialized, StoreError> {
    store.migrate().await?;
    let new_overlays = store.apply_overlays(overlays).await?;
    let public_excess = store.list_public_excess().await?;
    if !public_excess.is_empty() {
        tracing::info!(
            excess = public_excess.join(", "),
            "the public role has more than it needs: `bigbrotr init` with the URL of a superuser \
             takes it away",
        );
    }
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
        overlays: store.list_overlays().await?,
        new_overlays,
        public_excess,
        new_relays,
    })
}
