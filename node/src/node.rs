//! A running node: what it starts, in which order, and how it ends.
//!
//! Which service is made of what stands in [`crate::wiring`]. Beside the services run: the intake
//! of the archive, the watch over the database, metrics and health.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bigbrotr_core::clock::{SharedClock, SystemClock};
use bigbrotr_core::config::Secret;
use bigbrotr_core::health::HealthBoard;
use bigbrotr_core::keys::{
    KeyError, KeySource, NodeKeys, SECRET_KEY_FILE_VARIABLE, SECRET_KEY_VARIABLE,
};
use bigbrotr_core::network::Network;
use bigbrotr_core::service::ServiceName;
use bigbrotr_crawler::dial::Dialer;
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::embedded::Owner;
use bigbrotr_schema::ingest::{Ingest, IngestMetrics};
use bigbrotr_schema::initializer::initialize;
use bigbrotr_schema::store::{PendingWork, Store};
use nostr::ToBech32;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::database::{self, Database};
use crate::exporter::Exporter;
use crate::metrics::NodeMetrics;
use crate::settings::Settings;
use crate::supervisor::Supervisor;
use crate::wiring::Wiring;
use crate::{open_files, relays, runtime_metrics, summary};

/// How long the intake of the archive may take to write what it holds, after the services.
const INTAKE_DRAIN: Duration = Duration::from_secs(10);

/// How long the private Postgres may take to stop: it writes a checkpoint.
const DATABASE_DRAIN: Duration = Duration::from_mins(1);

/// A node whose services run.
pub(crate) struct Node {
    /// The database, for whoever wants to look.
    pub(crate) store: Store,
    /// Where everything is, for the start-up summary.
    pub(crate) places: Places,
    database: Option<Database>,
    supervisor: Supervisor,
    intake: TaskTracker,
    helpers: TaskTracker,
    intake_stop: CancellationToken,
    helpers_stop: CancellationToken,
    stop: CancellationToken,
    drain_timeout: Duration,
    board: HealthBoard,
    networks: Vec<Network>,
}

/// Where the parts of a node can be found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// `ws://…` of the embedded relay.
    pub(crate) relay: Option<String>,
    /// `http://…` of the REST mirror.
    pub(crate) api: Option<String>,
    /// `http://…` of metrics and health.
    pub(crate) metrics: Option<String>,
    /// Our public key.
    pub(crate) npub: String,
    /// Where the key comes from.
    pub(crate) key_source: String,
    /// The database.
    pub(crate) database: String,
    /// The services that run here.
    pub(crate) services: Vec<ServiceName>,
    /// The implementation.
    pub(crate) implementation: String,
}

/// Obtains the node's key.
pub(crate) fn keys(settings: &Settings) -> anyhow::Result<NodeKeys> {
    let given = variable(SECRET_KEY_VARIABLE).map(Secret::new);
    if let Some(path) = variable(SECRET_KEY_FILE_VARIABLE) {
        anyhow::ensure!(given.is_none(), KeyError::GivenTwice);
        return Ok(NodeKeys::load_mounted(Path::new(&path))?);
    }
    let path = NodeKeys::default_path(&settings.node.data_dir);
    Ok(NodeKeys::obtain(given.as_ref(), &path, &mut rand::rng())?)
}

/// Says where the key comes from.
pub(crate) fn describe_source(source: &KeySource) -> String {
    match source {
        KeySource::Environment => "from the environment".to_owned(),
        KeySource::File(path) => path.display().to_string(),
        KeySource::Generated(path) => format!("new, in {}", path.display()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the key is no part of the configuration files"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Node {
    /// Starts everything that the settings ask for, in order. When something cannot start, what
    /// was started is stopped again.
    pub(crate) async fn start(
        settings: &Settings,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        open_files::make_room(settings);
        let clock: SharedClock = Arc::new(SystemClock);
        let database = Box::pin(Database::open(settings, Owner::Node, clock.clone())).await?;
        let store = database.store.clone();
        let board = HealthBoard::default();
        let mut node = Self {
            store: store.clone(),
            places: Places {
                database: database.origin.clone(),
                implementation: settings.implementation.name.clone(),
                ..Places::default()
            },
            database: Some(database),
            supervisor: Supervisor::new(board.clone(), stop.clone()),
            intake: TaskTracker::new(),
            helpers: TaskTracker::new(),
            intake_stop: CancellationToken::new(),
            helpers_stop: CancellationToken::new(),
            stop,
            drain_timeout: settings.node.drain_timeout,
            board,
            networks: settings.networks.enabled().collect(),
        };
        match Box::pin(node.start_services(settings, clock)).await {
            Ok(()) => Ok(node),
            Err(error) => {
                node.stop.cancel();
                if let Err(second) = node.finish().await {
                    tracing::warn!(error = %second, "stopping after a failed start");
                }
                Err(error)
            }
        }
    }

    async fn start_services(
        &mut self,
        settings: &Settings,
        clock: SharedClock,
    ) -> anyhow::Result<()> {
        let wanted = &settings.node.services;
        let registry = Registry::new();
        runtime_metrics::register(&registry, Handle::current())?;
        let name = &settings.implementation.name;
        let (board, data_dir) = (self.board.clone(), &settings.node.data_dir);
        NodeMetrics::register(&registry, board, data_dir, name)?;
        self.prepare_database(settings).await?;
        self.watch_database();

        let keys = keys(settings)?;
        self.places.npub = keys.public_key().to_bech32()?;
        self.places.key_source = describe_source(keys.source());
        if settings.metrics.enabled {
            self.start_exporter(settings, registry.clone()).await?;
        }
        let mut wiring = self.wire(settings, &keys, clock, registry).await?;
        for name in ServiceName::ALL
            .into_iter()
            .filter(|name| wanted.contains(name))
        {
            if let Some(service) = wiring.make(name, &mut self.places).await? {
                tracing::debug!(service = %name, "starting");
                self.supervisor.start(service).await;
                self.places.services.push(name);
            }
        }
        Ok(())
    }

    /// Makes what services share.
    async fn wire<'a>(
        &self,
        settings: &'a Settings,
        keys: &NodeKeys,
        clock: SharedClock,
        registry: Registry,
    ) -> anyhow::Result<Wiring<'a>> {
        let store = self.store.clone();
        let additions = settings.implementation.catalog()?;
        let catalog = Arc::new(Catalog::load(store.clone(), &additions).await?);
        let dialer = Dialer::new(settings.networks.clone())?;
        let metrics = IngestMetrics::register(&registry)?;
        let ingest = Ingest::start(
            store.clone(),
            metrics,
            &self.intake,
            self.intake_stop.clone(),
        );
        Ok(Wiring {
            settings,
            store,
            catalog,
            dialer,
            ingest,
            keys: keys.keys().clone(),
            clock,
            registry,
            board: self.board.clone(),
            relay_url: Some(settings.relay.public_url.clone()).filter(|url| !url.is_empty()),
        })
    }

    /// Runs the initializer, or waits until somebody else's has prepared the database.
    async fn prepare_database(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let overlays = settings.implementation.overlays()?;
        if settings.node.services.contains(&ServiceName::Initializer) {
            let (seeds, priorities) = (relays::seeds(settings)?, relays::priorities(settings)?);
            initialize(&self.store, &overlays, &seeds, &priorities).await?;
            self.places.services.push(ServiceName::Initializer);
            return Ok(());
        }
        let mut waited = Duration::ZERO;
        while !(self.store.schema_is_current().await?
            && self.store.overlays_are_current(&overlays).await?)
        {
            if waited.is_zero() {
                tracing::info!("waiting for the initializer of another process");
            }
            anyhow::ensure!(
                waited < Duration::from_mins(1),
                "the database is not prepared for this version; run `bigbrotr init`, or the \
                 initializer service somewhere"
            );
            waited += Duration::from_millis(500);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    fn watch_database(&mut self) {
        self.board
            .set(database::PART, bigbrotr_core::service::Health::Ready);
        let Some(mut database) = self.database.take() else {
            return;
        };
        let (board, stop) = (self.board.clone(), self.helpers_stop.clone());
        self.helpers.spawn(async move {
            database.watch(&board, &stop).await;
            if let Err(error) = database.close().await {
                tracing::error!(%error, "cannot stop the private Postgres");
            }
        });
    }

    async fn start_exporter(
        &mut self,
        settings: &Settings,
        registry: Registry,
    ) -> anyhow::Result<()> {
        let exporter =
            Exporter::bind(settings.metrics.listen, registry, self.board.clone()).await?;
        self.places.metrics = Some(format!("http://{}", exporter.local_addr()?));
        self.helpers.spawn(exporter.run(self.helpers_stop.clone()));
        Ok(())
    }

    /// Waits until nothing waits for the services that run here (no relay is due, no batch to be
    /// counted, no job to be answered), or until the node is asked to stop.
    pub(crate) async fn until_done(&self) -> anyhow::Result<()> {
        let mut quiet = 0;
        while quiet < 2 && !self.stop.is_cancelled() {
            match self.store.pending_work(&self.networks).await {
                Ok(work) if !self.is_waited_for(&work) => quiet += 1,
                Ok(_) => quiet = 0,
                Err(error) if error.is_retryable() => quiet = 0,
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(300)) => {}
            }
        }
        Ok(())
    }

    /// Says whether work waits for a service that runs here.
    fn is_waited_for(&self, work: &PendingWork) -> bool {
        [
            (ServiceName::Monitor, work.checks),
            (ServiceName::Synchronizer, work.syncs),
            (ServiceName::PrioritySynchronizer, work.priority_syncs),
            (ServiceName::Rollup, work.batches),
            (ServiceName::Dvm, work.jobs),
        ]
        .into_iter()
        .any(|(name, waiting)| waiting > 0 && self.places.services.contains(&name))
    }

    /// Stops everything in order: services, intake, helpers, database.
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let drained = self.supervisor.drain(self.drain_timeout).await;
        self.intake_stop.cancel();
        self.intake.close();
        let written = tokio::time::timeout(INTAKE_DRAIN, self.intake.wait()).await;
        self.helpers_stop.cancel();
        self.helpers.close();
        let closed = tokio::time::timeout(DATABASE_DRAIN, self.helpers.wait()).await;
        if let Some(database) = self.database {
            database.close().await?;
        }
        drained?;
        written.context("the archive's intake did not finish in time")?;
        closed.context("the database did not close in time")
    }
}

impl Places {
    /// Writes the start-up summary.
    pub(crate) fn summary(&self) -> String {
        let services = self
            .services
            .iter()
            .map(|service| service.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let off = || "not here".to_owned();
        summary::table(
            &format!("BigBrotr {} is running", env!("CARGO_PKG_VERSION")),
            &[
                ("implementation", self.implementation.clone()),
                ("services", services),
                ("database", self.database.clone()),
                ("relay", self.relay.clone().unwrap_or_else(off)),
                ("REST", self.api.clone().unwrap_or_else(off)),
                (
                    "metrics",
                    self.metrics
                        .as_ref()
                        .map_or_else(off, |url| format!("{url}/metrics")),
                ),
                ("public key", self.npub.clone()),
                ("key", self.key_source.clone()),
            ],
        )
    }
}
