//! Databases for tests, of this crate and of others (feature `testing`).

use std::sync::Arc;

use bigbrotr_core::clock::{SharedClock, SystemClock};
use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use sqlx::AssertSqlSafe;

use crate::config::DatabaseConfig;
use crate::embedded::testing::{TestDatabase, TestServer};
use crate::error::StoreError;
use crate::store::{ServedFrom, Store, Tx};

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

/// Runs a statement that only a test has use for, and returns its rows as a JSON array of objects:
/// other crates look into tables with it.
///
/// # Panics
/// When the database refuses, or what it returns is not JSON.
#[expect(clippy::panic, reason = "a test that cannot look has failed")]
pub async fn look(store: &Store, sql: &str) -> serde_json::Value {
    let sql = format!("select coalesce(json_agg(rows), '[]')::text from ({sql}) rows");
    let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql))
        .fetch_one(&store.pool)
        .await;
    let rows = rows.unwrap_or_else(|error| panic!("cannot look into the database: {error:?}"));
    serde_json::from_str(&rows).unwrap_or_else(|error| panic!("not JSON: {error}"))
}

/// Runs a statement that only a test has use for.
///
/// # Panics
/// When the database refuses.
#[expect(clippy::panic, reason = "a test that cannot be set up has failed")]
pub async fn execute(store: &Store, sql: &str) {
    if let Err(error) = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(&store.pool)
        .await
    {
        panic!("cannot run {sql:?}: {error:?}");
    }
}

/// How the database would read the page that [`Store::served_page`] asks for: the plan as text.
///
/// # Errors
/// Those of the database.
pub async fn plan_of_served(
    store: &Store,
    from: ServedFrom,
    filter: &Filter,
    rows: usize,
) -> Result<String, StoreError> {
    store.explain_served(from, filter, rows).await
}

/// A transaction that has written an event to the archive and does not end until it is told to:
/// the event has its number, and nobody sees it.
#[derive(Debug)]
pub struct OpenWriter(Tx);

impl OpenWriter {
    /// Writes the event.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn begin(store: &Store, event: &Event) -> Result<Self, StoreError> {
        let mut tx = store.pool.begin().await?;
        sqlx::query(
            "select insert_event(array[$1], array[$2], array[$3], array[$4], array[$5],
                array[$6], array[$7], '{}', '{}', '{}')",
        )
        .bind(event.id.0.as_slice())
        .bind(event.pubkey.0.as_slice())
        .bind(event.created_at)
        .bind(i32::from(event.kind))
        .bind(serde_json::json!(event.tags).to_string())
        .bind(serde_json::json!(event.content).to_string())
        .bind(event.sig.as_slice())
        .execute(&mut *tx)
        .await?;
        Ok(Self(tx))
    }

    /// Ends it: the event can be seen.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }
}
