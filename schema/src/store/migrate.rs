//! Bringing a database to this version: roles, migrations, and what is taken from everybody.
//!
//! An implementation's own SQL comes after it: see [`crate::overlay`].

pub(super) mod roles;

use sha2::{Digest, Sha256};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::Store;
use crate::error::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Lets one process at a time prepare a database; the key of an advisory lock, arbitrary.
const PREPARE_LOCK: i64 = 0x6269_6762_726f_7472;

impl Store {
    /// Prepares the roles and brings the schema to this version. Safe when several processes do
    /// it at once, on this database and on others of the same server.
    ///
    /// # Errors
    /// [`StoreError::Privileges`] with the SQL for an administrator when the login may not do
    /// it, [`StoreError::Newer`] when a newer BigBrotr has migrated the database.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        // On a connection of its own, and directly: the locks belong to a session.
        let mut connection = self.direct.connect().await.map_err(StoreError::Connect)?;
        let outcome = migrate(&mut connection).await;
        let closed = connection.close().await;
        outcome?;
        Ok(closed?)
    }

    /// Lists what `readonly_public` may do although it should not, because only a superuser or
    /// the database's owner can forbid it.
    pub async fn list_public_excess(&self) -> Result<Vec<String>, StoreError> {
        roles::excess(&self.pool).await
    }

    /// Says whether the schema is at least at this program's version.
    pub async fn schema_is_current(&self) -> Result<bool, StoreError> {
        let exists: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
            .fetch_one(&self.pool)
            .await?;
        if !exists {
            return Ok(false);
        }
        let version: Option<i64> =
            sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
                .fetch_one(&self.pool)
                .await?;
        Ok(version.unwrap_or_default() >= Self::schema_version())
    }

    /// Returns the version of the newest migration that this program brings.
    pub fn schema_version() -> i64 {
        MIGRATIONS
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap_or_default()
    }

    /// Identifies the schema that the migrations make: changes with any of their statements.
    pub fn schema_fingerprint() -> String {
        let mut hasher = Sha256::new();
        for migration in MIGRATIONS.iter() {
            hasher.update(&migration.checksum);
        }
        hasher.update(roles::RESTRICT);
        hex::encode(&hasher.finalize()[..8])
    }
}

async fn migrate(connection: &mut PgConnection) -> Result<(), StoreError> {
    roles::prepare(connection).await?;
    roles::require_schema(connection).await?;
    // Released with the connection, whatever happens.
    sqlx::query("select pg_advisory_lock($1)")
        .bind(PREPARE_LOCK)
        .execute(&mut *connection)
        .await?;
    MIGRATIONS
        .run_direct(None, connection, false)
        .await
        .map_err(refusal)?;
    roles::restrict(connection).await
}

fn refusal(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(found) => StoreError::Newer {
            found,
            known: Store::schema_version(),
        },
        error => StoreError::Migrate(error),
    }
}
