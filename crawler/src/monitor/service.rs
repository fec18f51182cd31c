//! The service: what every run shares, and how far it has come. The loops themselves are in `run`
//! and `forward`.

use std::fmt;
use std::sync::Arc;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_core::service::{Service, ServiceContext, ServiceFuture, ServiceName};
use bigbrotr_schema::store::Store;
use nostr::Keys;
use tokio::sync::watch;

use super::check::Checker;
use super::config::MonitorConfig;
use super::error::MonitorError;
use super::forward;
use super::metrics::MonitorMetrics;
use super::run::Run;
use crate::dial::Dialer;
use crate::reach::Reach;

/// Checks every relay that is due, stores what it finds and publishes the reports.
///
/// Several of them, in any number of processes, share one database: a relay is checked by one at
/// a time.
pub struct MonitorService {
    pub(super) config: MonitorConfig,
    pub(super) checker: Checker,
    pub(super) dialer: Dialer,
    pub(super) store: Store,
    pub(super) keys: Keys,
    pub(super) relay: Option<RelayUrl>,
    pub(super) targets: Vec<RelayUrl>,
    pub(super) clock: SharedClock,
    pub(super) reach: Reach,
    pub(super) metrics: MonitorMetrics,
    pub(super) progress: watch::Sender<MonitorProgress>,
}

/// How far the monitor has come since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MonitorProgress {
    /// Checks whose outcome is stored.
    pub checked: u64,
    /// Of these, relays that were online.
    pub online: u64,
    /// Reports on relays that were published with them.
    pub reports: u64,
    /// Checks under way.
    pub in_flight: usize,
    /// When it last asked, the database had no relay that is due and not leased.
    pub nothing_due: bool,
}

impl MonitorProgress {
    /// Says whether everything that was due has been checked.
    pub fn is_idle(&self) -> bool {
        self.nothing_due && self.in_flight == 0
    }
}

impl fmt::Debug for MonitorService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorService")
            .field("config", &self.config)
            .field("progress", &*self.progress.borrow())
            .finish_non_exhaustive()
    }
}

impl MonitorService {
    /// Makes the service and registers its metrics. `relay_public_url` is where our relay can be
    /// reached; an address that the dialer itself would refuse is not announced.
    pub fn new(
        config: MonitorConfig,
        dialer: Dialer,
        store: Store,
        keys: Keys,
        relay_public_url: Option<String>,
        clock: SharedClock,
        registry: &prometheus::Registry,
    ) -> Result<Arc<Self>, MonitorError> {
        let relay = match relay_public_url {
            Some(url) => public_relay(url, dialer.config().url_policy())?,
            None => None,
        };
        let targets = config
            .targets(dialer.config().url_policy())
            .map_err(|(url, source)| MonitorError::PublishTo { url, source })?;
        tell_what_is_left_out(&config);
        let checker = Checker::new(dialer.clone(), config, keys.clone());
        Ok(Arc::new(Self {
            reach: Reach::new(dialer.clone(), store.clone(), clock.clone()),
            config: checker.config().clone(),
            checker,
            dialer,
            store,
            keys,
            relay,
            targets,
            clock,
            metrics: MonitorMetrics::register(registry)?,
            progress: watch::Sender::new(MonitorProgress::default()),
        }))
    }

    /// Follows how far the monitor has come.
    pub fn progress(&self) -> watch::Receiver<MonitorProgress> {
        self.progress.subscribe()
    }

    /// Waits until every relay that is due has been checked and stored. Only a running monitor
    /// gets there.
    pub async fn idle(&self) -> MonitorProgress {
        let mut progress = self.progress();
        let idle = progress.wait_for(MonitorProgress::is_idle).await;
        // The sender is ours: it cannot be gone.
        idle.map(|progress| *progress).unwrap_or_default()
    }
}

/// Tells once which checks are switched on and have no database to look into.
fn tell_what_is_left_out(config: &MonitorConfig) {
    for (wanted, database, key) in [
        (
            config.geo,
            &config.geo_city_database,
            "monitor.geo_city_database",
        ),
        (
            config.net,
            &config.geo_asn_database,
            "monitor.geo_asn_database",
        ),
    ] {
        if wanted && database.as_os_str().is_empty() {
            tracing::info!(
                config.key = key,
                "no geo database is configured: checks go without it"
            );
        }
    }
}

/// Reads our relay's URL; `None` where only we can reach it.
fn public_relay(url: String, policy: UrlPolicy) -> Result<Option<RelayUrl>, MonitorError> {
    let anywhere = UrlPolicy {
        allow_private: true,
        ..policy
    };
    match (
        RelayUrl::parse(&url, &policy),
        RelayUrl::parse(&url, &anywhere),
    ) {
        (Ok(relay), _) => Ok(Some(relay)),
        (Err(_), Ok(_)) => Ok(None),
        (Err(source), Err(_)) => Err(MonitorError::RelayUrl { url, source }),
    }
}

impl Service for MonitorService {
    fn name(&self) -> ServiceName {
        ServiceName::Monitor
    }

    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
        Box::pin(async move {
            // Two tasks in one: neither waits for the other.
            tokio::join!(
                Box::pin(Run::new(self.clone(), context.clone()).until_stopped()),
                Box::pin(forward::until_stopped(&self, &context)),
            );
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_relay_that_others_can_reach_is_announced() {
        let strict = UrlPolicy::default();
        let relay = |url: &str| public_relay(url.to_owned(), strict);
        assert!(relay("wss://relay.example.com").unwrap().is_some());
        assert!(relay("ws://127.0.0.1:7777").unwrap().is_none());
        assert!(matches!(
            relay("https//x"),
            Err(MonitorError::RelayUrl { .. })
        ));
    }
}
