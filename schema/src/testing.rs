//! Databases for tests, of this crate and of others (feature `testing`).

use std::sync::Arc;

use bigbrotr_core::clock::{SharedClock, SystemClock};

use crate::config::DatabaseConfig;
use crate::embedded::testing::{TestDatabase, TestServer};
use crate::error::StoreError;
use crate::store::Store;

/// A migrated database of its own on the tests' server, and a store on it. The database is
/// dropped with the second value: keep it until the test ends.
///
/// # Panics
/// When there is no Postgres to start, or a migration fails.
pub async fn test_store() -> (Store, TestDatabase) {
    test_store_with(DatabaseConfig::default(), Arc::new(SystemClock)).await
}

/// As [`test_store`], with another configuration or clock.
///
/// # Panics
/// As [`test_store`].
#[expect(
    clippy::panic,
    reason = "a test that cannot have its database has failed"
)]
pub async fn test_store_with(config: DatabaseConfig, clock: SharedClock) -> (Store, TestDatabase) {
    let key = Store::schema_fingerprint();
    let migrate = async |url: String| -> Result<(), StoreError> {
        let config = Arc::new(DatabaseConfig {
            max_connections: 1,
            ..DatabaseConfig::default()
        });
        let store = Store::connect(&url, config, Arc::new(SystemClock)).await?;
        store.migrate().await?;
        store.close().await;
        Ok(())
    };
    let database = TestServer::shared()
        .await
        .database_from_template(&key, migrate)
        .await;
    match Store::connect(&database.url(), Arc::new(config), clock).await {
        Ok(store) => (store, database),
        Err(error) => panic!("cannot connect to the test's database: {error:?}"),
    }
}
