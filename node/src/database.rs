//! The database of this process: one that was given, or the data directory's own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::config::Secret;
use bigbrotr_core::health::HealthBoard;
use bigbrotr_core::service::{Health, ServiceName};
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres, Owner};
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::Store;
use tokio_util::sync::CancellationToken;

use crate::postgres_tools::PostgresTools;
use crate::settings::Settings;

/// How often the database is asked for a sign of life.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// How long it may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The name under which the database stands on the health board.
pub(crate) const PART: &str = "database";

/// A connected database, with its server where that is ours.
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) origin: String,
    server: Option<EmbeddedPostgres>,
    url: Secret,
    /// Nothing here writes, and what reads does so from a replica.
    reads_replica: bool,
}

impl Database {
    /// Connects to the configured database; without one, starts or joins the private server of
    /// the data directory.
    pub(crate) async fn open(
        settings: &Settings,
        owner: Owner,
        clock: SharedClock,
    ) -> anyhow::Result<Self> {
        let given = settings.database.url.expose();
        let (url, server, origin) = if given.is_empty() {
            let server = Box::pin(start(settings, owner)).await?;
            let origin = format!(
                "PostgreSQL {} in {}, port {}",
                server.version(),
                server.cluster().display(),
                server.port()
            );
            (server.connection_url(), Some(server), origin)
        } else {
            (given.to_owned(), None, "the given database".to_owned())
        };
        let config = Arc::new(settings.database.clone());
        let store = match Store::connect(&url, config, clock).await {
            Ok(store) => store,
            Err(error) => {
                if let Some(server) = server {
                    server.stop().await?;
                }
                return Err(error).context(
                    "Hint: check --database-url, and that the server runs and lets you in",
                );
            }
        };
        Ok(Self {
            store,
            origin,
            server,
            url: Secret::new(url),
            reads_replica: !settings.database.replica_url.expose().is_empty()
                && settings
                    .node
                    .services
                    .iter()
                    .all(|service| *service == ServiceName::Api),
        })
    }

    /// As [`open`](Self::open), for a command: beside a running node, or without one. Brings the
    /// schema up to date.
    pub(crate) async fn open_for_command(
        settings: &Settings,
        clock: SharedClock,
    ) -> anyhow::Result<Self> {
        let database = Self::open(settings, Owner::Command, clock).await?;
        if let Err(error) = database.prepare(settings).await {
            database.close().await?;
            return Err(error);
        }
        Ok(database)
    }

    /// Brings the schema up to date, the implementation's part included.
    async fn prepare(&self, settings: &Settings) -> anyhow::Result<()> {
        let overlays = settings.implementation.overlays()?;
        self.store.migrate().await?;
        self.store.apply_overlays(&overlays).await?;
        Ok(())
    }

    /// Returns PostgreSQL's own programs, for this database: past a pooler.
    pub(crate) fn tools(&self, settings: &Settings) -> anyhow::Result<PostgresTools> {
        let direct = &settings.database.direct_url;
        let url = if direct.expose().is_empty() {
            &self.url
        } else {
            direct
        };
        let bin_dir = self.server.as_ref().map(EmbeddedPostgres::bin_dir);
        PostgresTools::new(settings, url, bin_dir)
    }

    /// Watches the database: writes its state on the board, and brings the private server back
    /// when it is gone.
    pub(crate) async fn watch(&mut self, board: &HealthBoard, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let alive = tokio::time::timeout(PROBE_TIMEOUT, self.ping()).await;
            if let Ok(Ok(())) = alive {
                if !matches!(board.set(PART, Health::Ready), None | Some(Health::Ready)) {
                    tracing::info!("the database is back");
                }
            } else {
                let reason = "the database does not answer".to_owned();
                let before = board.set(PART, Health::Degraded(reason));
                if matches!(before, None | Some(Health::Ready)) {
                    tracing::warn!("the database does not answer");
                }
                self.revive().await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PROBE_INTERVAL) => {}
            }
        }
    }

    /// Asks the database that this process cannot do without.
    async fn ping(&self) -> Result<(), StoreError> {
        if self.reads_replica {
            self.store.ping_public().await
        } else {
            self.store.ping().await
        }
    }

    async fn revive(&mut self) {
        let Some(server) = self.server.as_mut() else {
            return;
        };
        match Box::pin(server.ensure_running()).await {
            Ok(true) => tracing::info!("the private Postgres was gone and runs again"),
            Ok(false) => {}
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                hint = error.hint(),
                "cannot bring the private Postgres back",
            ),
        }
    }

    /// Closes the connections and leaves the private server, which ends with its last user.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.store.close().await;
        if let Some(server) = self.server {
            server.stop().await?;
        }
        Ok(())
    }
}

async fn start(settings: &Settings, owner: Owner) -> anyhow::Result<EmbeddedPostgres> {
    let section = &settings.database.embedded;
    let mut config = EmbeddedConfig::new(&settings.node.data_dir);
    config.port = section.port;
    config.bin_dir = Some(section.bin_dir.clone()).filter(|dir| !dir.as_os_str().is_empty());
    config.settings = section.settings.clone();
    config.startup_timeout = section.startup_timeout;
    config.download = section.download;
    Box::pin(EmbeddedPostgres::join_or_start(config, owner))
        .await
        .map_err(|error| {
            let hint = error.hint();
            let error = anyhow::Error::from(error);
            match hint {
                Some(hint) => error.context(format!("Hint: {hint}")),
                None => error,
            }
        })
}
