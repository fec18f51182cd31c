//! The node's Postgres, with a database for each run, and what the benchmark looks up in it.

use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use bigbrotr_schema::store::Store;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub(crate) struct Server {
    postgres: EmbeddedPostgres,
    folder: tempfile::TempDir,
    databases: u32,
}

/// One run's database.
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) folder: std::path::PathBuf,
    connection: PgConnection,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = EmbeddedConfig::new(folder.path().join("postgres"));
        let postgres = EmbeddedPostgres::start(config).await.expect("a server");
        Self {
            postgres,
            folder,
            databases: 0,
        }
    }

    /// A new database with no relay and no event in it.
    pub(crate) async fn database(&mut self) -> Database {
        self.databases += 1;
        let name = format!("run_{}", self.databases);
        let folder = self.folder.path().join(&name);
        std::fs::create_dir(&folder).expect("a folder");
        let mut connection = connect(&self.postgres.connection_url()).await;
        sqlx::query(AssertSqlSafe(format!("create database {name}")))
            .execute(&mut connection)
            .await
            .expect("a database");
        let url = self.postgres.connection_url_for(&name);
        let store = store(&url).await;
        store.migrate().await.expect("migrations");
        store.close().await;
        Database {
            connection: connect(&url).await,
            url,
            folder,
        }
    }

    pub(crate) async fn stop(self) {
        self.postgres.stop().await.expect("a stop");
    }
}

impl Database {
    /// Makes more relays known to a node that runs: they are due at once.
    pub(crate) async fn insert(&self, relays: &[RelayUrl]) {
        let store = store(&self.url).await;
        let new = store.insert_relays(relays).await.expect("relays");
        assert_eq!(new as usize, relays.len(), "all relays are new");
        store.close().await;
    }

    /// How many events of relays the statistics have counted, each as often as it has relays.
    pub(crate) async fn counted(&mut self) -> u64 {
        let count: i64 = sqlx::query_scalar(
            "select coalesce(sum(events), 0)::bigint from relays_statistics
             where \"window\" = 'all'",
        )
        .fetch_one(&mut self.connection)
        .await
        .expect("a number");
        count as u64
    }

    /// How many events there are, and how many of each relay, from the base tables.
    pub(crate) async fn archived(&mut self) -> (u64, Vec<(String, u64)>) {
        let events: i64 = sqlx::query_scalar("select count(*) from events")
            .fetch_one(&mut self.connection)
            .await
            .expect("a number");
        let relays: Vec<(String, i64)> = sqlx::query_as(
            "select r.url, count(*) from events_relays p join relays r on r.id = p.relay_id
             group by r.url",
        )
        .fetch_all(&mut self.connection)
        .await
        .expect("numbers");
        let relays = relays.into_iter().map(|(url, count)| (url, count as u64));
        (events as u64, relays.collect())
    }

    /// Which of these events are archived.
    pub(crate) async fn present(&mut self, ids: &[[u8; 32]]) -> Vec<[u8; 32]> {
        let ids: Vec<&[u8]> = ids.iter().map(<[u8; 32]>::as_slice).collect();
        let found: Vec<Vec<u8>> = sqlx::query_scalar("select id from events where id = any ($1)")
            .bind(ids)
            .fetch_all(&mut self.connection)
            .await
            .expect("ids");
        let found = found.into_iter().map(|id| id.try_into().expect("an id"));
        found.collect()
    }
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("a connection")
}

async fn store(url: &str) -> Store {
    let config = Arc::new(DatabaseConfig::default());
    let store = Store::connect(url, config, Arc::new(SystemClock)).await;
    store.expect("a connection")
}
