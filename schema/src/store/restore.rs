//! What a backup does not bring: roles, rights of this login's, and what the planner knows.
//!
//! The dump and its reading are PostgreSQL's own programs' work.

use sqlx::{ConnectOptions, Connection};

use super::Store;
use super::migrate::roles;
use crate::error::StoreError;
use crate::overlay::Overlays;

impl Store {
    /// Says whether the database has nothing in it.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        let there: bool = sqlx::query_scalar(
            "select exists (select from pg_class where relnamespace = to_regnamespace('public'))",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(!there)
    }

    /// Returns the name of the database.
    pub async fn database_name(&self) -> Result<String, StoreError> {
        Ok(sqlx::query_scalar("select current_database()::text")
            .fetch_one(&self.pool)
            .await?)
    }

    /// Prepares the roles that a backup grants rights to.
    ///
    /// # Errors
    /// As [`Store::migrate`].
    pub async fn prepare_roles(&self) -> Result<(), StoreError> {
        let mut connection = self.direct.connect().await.map_err(StoreError::Connect)?;
        let outcome = roles::prepare(&mut connection).await;
        let outcome = match outcome {
            Ok(()) => roles::require_schema(&mut connection).await,
            failed => failed,
        };
        let closed = connection.close().await;
        outcome?;
        Ok(closed?)
    }

    /// Completes what has been restored: rights on what this login will create, this version's
    /// schema, and what the planner has to know, without which lists are read from end to end.
    pub async fn finish_restore(&self, overlays: &Overlays) -> Result<(), StoreError> {
        let mut connection = self.direct.connect().await.map_err(StoreError::Connect)?;
        sqlx::raw_sql(include_str!("../sql/roles/defaults.sql"))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        self.migrate().await?;
        self.apply_overlays(overlays).await?;
        let mut connection = self.direct.connect().await.map_err(StoreError::Connect)?;
        sqlx::raw_sql("vacuum (analyze)")
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    }
}
