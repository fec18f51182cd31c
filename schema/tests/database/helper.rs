//! Databases that nobody has prepared, and servers of a test's own.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::config::ConfigSource;
use bigbrotr_core::error_chain::error_chain;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::Store;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

/// A store on a database, with few connections: a test has many stores.
pub(crate) async fn connect(url: &str) -> Store {
    let config = DatabaseConfig {
        max_connections: 2,
        public_connections: 2,
        ..DatabaseConfig::default()
    };
    Store::connect(url, Arc::new(config), Arc::new(SystemClock))
        .await
        .unwrap()
}

/// A server on which nobody has made a role yet.
pub(crate) struct Server {
    postgres: EmbeddedPostgres,
    // After the server: it ends first.
    _dir: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut config = EmbeddedConfig::new(dir.path().join("data"));
        config.download = false;
        for (name, value) in [
            ("fsync", "off"),
            ("shared_buffers", "32MB"),
            ("max_connections", "100"),
        ] {
            config.settings.insert(name.to_owned(), value.to_owned());
        }
        Self {
            postgres: EmbeddedPostgres::start(config).await.unwrap(),
            _dir: dir,
        }
    }

    /// The URL of a database, for the superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        self.postgres
            .connection_url()
            .replace("/bigbrotr?", &format!("/{database}?"))
    }

    /// The URL of a database, for another login whose password is `secret`.
    pub(crate) fn url_as(&self, login: &str, database: &str) -> String {
        let port = self.postgres.port();
        format!("postgres://{login}:secret@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// Runs statements as the superuser, each by itself.
    pub(crate) async fn run(&self, database: &str, statements: &[&str]) {
        let mut connection = PgConnection::connect(&self.url(database)).await.unwrap();
        for statement in statements {
            execute(&mut connection, statement).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.postgres.stop().await.unwrap();
    }
}

/// Runs a statement that is not known when the test is compiled.
pub(crate) async fn execute(
    connection: &mut PgConnection,
    statement: &str,
) -> Result<(), sqlx::Error> {
    connection.execute(AssertSqlSafe(statement)).await.map(drop)
}

/// An error as the operator reads it.
pub(crate) fn text(error: &StoreError) -> String {
    error_chain(error)
}

/// The database section of an implementation that comes with the program.
pub(crate) fn implementation(name: &str) -> DatabaseConfig {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../implementations");
    ConfigSource::new()
        .with_dir(&std::path::Path::new(folder).join(name).join("config"))
        .unwrap()
        .section()
        .unwrap()
}
