//! The service: what every run shares, and how far it has come. The loop itself is in `run`.

use std::fmt;
use std::sync::Arc;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::service::{Service, ServiceContext, ServiceFuture, ServiceName};
use bigbrotr_schema::store::{FoundBy, Store};
use tokio::sync::watch;

use super::config::FinderConfig;
use super::error::FinderError;
use super::metrics::FinderMetrics;
use super::run::Run;
use crate::dial::Dialer;

/// Looks for relays in the archive and in lists on the web, and makes candidates of them.
///
/// Several of them, in any number of processes, share one database: the archive is read by one at
/// a time, and so is each list.
pub struct FinderService {
    pub(super) config: FinderConfig,
    pub(super) dialer: Dialer,
    pub(super) store: Store,
    pub(super) clock: SharedClock,
    pub(super) metrics: FinderMetrics,
    pub(super) progress: watch::Sender<FinderProgress>,
}

/// How far the finder has come since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FinderProgress {
    /// Looks that came to their end.
    pub cycles: u64,
    /// Archived events read.
    pub events: u64,
    /// Candidates that were new.
    pub candidates: u64,
    /// The last look left nothing to read, and no list was due.
    pub nothing_left: bool,
}

impl fmt::Debug for FinderService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinderService")
            .field("config", &self.config)
            .field("progress", &*self.progress.borrow())
            .finish_non_exhaustive()
    }
}

impl FinderService {
    /// Makes the service and registers its metrics.
    pub fn new(
        config: FinderConfig,
        dialer: Dialer,
        store: Store,
        clock: SharedClock,
        registry: &prometheus::Registry,
    ) -> Result<Arc<Self>, FinderError> {
        Ok(Arc::new(Self {
            config,
            dialer,
            store,
            clock,
            metrics: FinderMetrics::register(registry)?,
            progress: watch::Sender::new(FinderProgress::default()),
        }))
    }

    /// Follows how far the finder has come.
    pub fn progress(&self) -> watch::Receiver<FinderProgress> {
        self.progress.subscribe()
    }

    /// Lists the sources in the archive that are switched on and can be read: an archive without
    /// tags or content names no relays there.
    pub(super) fn archive_sources(&self) -> Vec<FoundBy> {
        let kept = self.store.archive_config();
        let is_kept = |source: &FoundBy| match source {
            FoundBy::Recommendations | FoundBy::Contacts => kept.content,
            _ => kept.tags,
        };
        let wanted = FoundBy::ARCHIVE
            .into_iter()
            .filter(|source| self.config.is_on(*source));
        let (readable, missing): (Vec<_>, Vec<_>) = wanted.partition(is_kept);
        if !missing.is_empty() {
            let missing: Vec<&str> = missing.iter().map(|source| source.as_str()).collect();
            tracing::info!(
                sources = missing.join(", "),
                "the archive does not keep what these sources are read from: relays are found in \
                 the others, in lists and among the seeds",
            );
        }
        readable
    }

    pub(super) fn note(&self, events: u64, candidates: u64) {
        self.progress.send_modify(|progress| {
            progress.events += events;
            progress.candidates += candidates;
        });
    }
}

impl Service for FinderService {
    fn name(&self) -> ServiceName {
        ServiceName::Finder
    }

    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
        Box::pin(async move {
            Run::new(self, context).until_stopped().await;
            Ok(())
        })
    }
}
