//! What each service is made of.
//!
//! | service | crate | needs |
//! |---|---|---|
//! | initializer | schema | has run before anything else is made |
//! | rollup | schema | the store |
//! | retention | schema | the store |
//! | relay | relay | the store, our public key |
//! | api | dvm | the catalogue, the health board |
//! | dvm | dvm | the catalogue, the store, our key, other relays through the dialer |
//! | finder, validator | crawler | the dialer, the store |
//! | monitor | crawler | the dialer, the store, our key |
//! | synchronizer, priority-synchronizer | crawler | a dialer each, the intake of the archive, each its own lane |

use std::sync::Arc;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::event::Pubkey;
use bigbrotr_core::health::HealthBoard;
use bigbrotr_core::service::{Service, ServiceName};
use bigbrotr_crawler::dial::Dialer;
use bigbrotr_crawler::finder::FinderService;
use bigbrotr_crawler::monitor::MonitorService;
use bigbrotr_crawler::synchronizer::{SynchronizerConfig, SynchronizerService};
use bigbrotr_crawler::validator::ValidatorService;
use bigbrotr_dvm::{ApiService, DvmService, NodeFacts};
use bigbrotr_relay::RelayService;
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::ingest::Ingest;
use bigbrotr_schema::retention::RetentionService;
use bigbrotr_schema::rollup::RollupService;
use bigbrotr_schema::store::{Store, SyncScope};
use nostr::Keys;
use prometheus::Registry;

use crate::node::Places;
use crate::other_relays::Others;
use crate::settings::Settings;

/// What the services share.
pub(crate) struct Wiring<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) store: Store,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) dialer: Dialer,
    pub(crate) ingest: Ingest,
    pub(crate) keys: Keys,
    pub(crate) clock: SharedClock,
    pub(crate) registry: Registry,
    pub(crate) board: HealthBoard,
    /// Where our relay can be reached, once that is known.
    pub(crate) relay_url: Option<String>,
}

impl Wiring<'_> {
    /// Makes a service and notes where it can be found; `None` for the initializer, which runs
    /// before.
    pub(crate) async fn make(
        &mut self,
        name: ServiceName,
        places: &mut Places,
    ) -> anyhow::Result<Option<Arc<dyn Service>>> {
        let synchronizer = &self.settings.synchronizer;
        let priority = &self.settings.priority_synchronizer.0;
        Ok(Some(match name {
            ServiceName::Initializer => return Ok(None),
            ServiceName::Rollup => RollupService::new(self.store.clone(), &self.registry)?,
            ServiceName::Retention => RetentionService::new(self.store.clone(), &self.registry)?,
            ServiceName::Relay => self.relay(places).await?,
            ServiceName::Api => self.api(places).await?,
            ServiceName::Dvm => self.dvm()?,
            ServiceName::Finder => self.finder()?,
            ServiceName::Validator => self.validator()?,
            ServiceName::Monitor => self.monitor()?,
            ServiceName::Synchronizer => self.synchronizer(SyncScope::All, synchronizer)?,
            ServiceName::PrioritySynchronizer => {
                self.synchronizer(SyncScope::Priority, priority)?
            }
        }))
    }

    async fn relay(&mut self, places: &mut Places) -> anyhow::Result<Arc<dyn Service>> {
        let kept = self.store.archive_config();
        anyhow::ensure!(
            !self.settings.relay.archive.enabled || kept.tags && kept.content && kept.signatures,
            "relay.archive.enabled: this archive keeps no whole events (database.archive), so there \
             is nothing to serve. Hint: set it to false"
        );
        let mut config = self.settings.relay.clone();
        // Whoever may prove payments has to be able to tell.
        if let Ok(provider) = Pubkey::from_hex(&self.settings.dvm.zap_provider) {
            config.policy.allowed_pubkeys.insert(provider);
        }
        let relay = RelayService::new(
            config,
            self.store.clone(),
            Pubkey(self.keys.public_key().to_bytes()),
            self.clock.clone(),
            &self.registry,
        )?;
        let address = relay
            .bind()
            .await
            .map_err(|error| hinted(error.hint(), error, "--relay-listen"))?;
        let url = format!("ws://{address}");
        self.relay_url.get_or_insert_with(|| url.clone());
        places.relay = Some(url);
        Ok(relay)
    }

    async fn api(&self, places: &mut Places) -> anyhow::Result<Arc<dyn Service>> {
        let api = ApiService::bind(
            self.settings.api.clone(),
            self.catalog.clone(),
            self.board.clone(),
            self.clock.clone(),
            &self.registry,
        )
        .await
        .map_err(|error| hinted(error.hint(), error, "--api-listen"))?;
        api.introduce(NodeFacts {
            pubkey: self.keys.public_key().to_hex(),
            relay_url: self.relay_for_browsers(),
            job_kind: self.settings.dvm.kind,
        });
        places.api = Some(format!("http://{}", api.local_addr()));
        Ok(api)
    }

    /// Where browsers find our relay: its public URL, its address when it runs here, or else where
    /// it is configured to listen in a process of its own.
    fn relay_for_browsers(&self) -> Option<String> {
        let listen = self.settings.relay.listen;
        let elsewhere = (listen.port() != 0).then(|| format!("ws://{listen}"));
        self.relay_url.clone().or(elsewhere)
    }

    fn dvm(&self) -> anyhow::Result<Arc<dyn Service>> {
        let mut config = self.settings.dvm.clone();
        // Answers name the relay where they can be found: ours, unless configured.
        if let (true, Some(relay)) = (config.relay_url.is_empty(), &self.relay_url) {
            config.relay_url.clone_from(relay);
        }
        let dvm = DvmService::new(
            config,
            self.catalog.clone(),
            self.store.clone(),
            self.keys.clone(),
            self.clock.clone(),
            &self.registry,
        )?;
        let others = Others::new(self.dialer.clone(), self.keys.clone());
        dvm.reach_through(Arc::new(others));
        Ok(dvm)
    }

    fn finder(&self) -> anyhow::Result<Arc<dyn Service>> {
        Ok(FinderService::new(
            self.settings.finder.clone(),
            self.dialer.clone(),
            self.store.clone(),
            self.clock.clone(),
            &self.registry,
        )?)
    }

    fn validator(&self) -> anyhow::Result<Arc<dyn Service>> {
        Ok(ValidatorService::new(
            self.settings.validator.clone(),
            self.dialer.clone(),
            self.store.clone(),
            self.clock.clone(),
            &self.registry,
        )?)
    }

    fn monitor(&self) -> anyhow::Result<Arc<dyn Service>> {
        Ok(MonitorService::new(
            self.settings.monitor.clone(),
            self.dialer.clone(),
            self.store.clone(),
            self.keys.clone(),
            self.relay_url.clone(),
            self.clock.clone(),
            &self.registry,
        )?)
    }

    fn synchronizer(
        &self,
        scope: SyncScope,
        config: &SynchronizerConfig,
    ) -> anyhow::Result<Arc<dyn Service>> {
        // Relays that are followed keep their connections: they must not take those of checks, nor
        // the relays of the one synchronizer those of the other.
        let connections = config.concurrency.saturating_add(config.live.max_relays);
        let ingest = match scope {
            SyncScope::All => self.ingest.clone(),
            SyncScope::Priority => self.ingest.prioritised(),
        };
        Ok(SynchronizerService::new(
            scope,
            config.clone(),
            self.dialer.apart(connections),
            self.store.clone(),
            ingest,
            self.keys.clone(),
            self.clock.clone(),
            &self.registry,
        )?)
    }
}

/// Joins an error with what to do about it.
fn hinted<E>(hint: Option<&'static str>, error: E, flag: &str) -> anyhow::Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    let error = anyhow::Error::from(error);
    match hint {
        Some(hint) => error.context(format!("Hint: {hint} (flag {flag})")),
        None => error,
    }
}
