//! What every session works with.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::event::Pubkey;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::{ServedFrom, Store};
use prometheus::Registry;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::RelayConfig;
use crate::front::gate::Gate;
use crate::front::nip11;
use crate::hub::Hub;
use crate::limits::{
    CONCURRENT_QUERIES, COUNTS_PER_SITE, EXTRA_TCP_CONNECTIONS, EXTRA_TCP_CONNECTIONS_PER_IP,
    RECONCILIATIONS,
};
use crate::metrics::RelayMetrics;
use crate::rate::{KeyedBuckets, Rate};
use crate::session::There;

/// The relay's parts, for its sessions.
pub(crate) struct Shared {
    pub(crate) config: RelayConfig,
    pub(crate) store: Store,
    /// The node's own key.
    pub(crate) pubkey: Pubkey,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: RelayMetrics,
    pub(crate) hub: Hub,
    pub(crate) there: There,
    /// The NIP-11 document.
    pub(crate) document: String,
    /// TCP connections.
    pub(crate) connections: Gate,
    /// WebSocket connections.
    pub(crate) sessions: Gate,
    /// Places for reconciliations.
    pub(crate) reconciliations: Arc<Semaphore>,
    /// Room for the events that they compare.
    pub(crate) reconciled_events: Arc<Semaphore>,
    /// Places for counting, of one address.
    pub(crate) counts: Gate,
    pub(crate) rates: Rates,
    /// Whether the archive is served: it is to be, its indexes are there, and new events of it are
    /// heard of.
    archive_is_open: AtomicBool,
    queries: Semaphore,
}

/// How much strangers may send.
pub(crate) struct Rates {
    /// From one address.
    pub(crate) addresses: KeyedBuckets<IpAddr>,
    /// By one author; `None`: any number.
    pub(crate) authors: Option<KeyedBuckets<Pubkey>>,
}

impl Rates {
    fn new(config: &RelayConfig) -> Self {
        let (limits, policy) = (&config.limits, &config.policy);
        let authors = (policy.events_per_minute_per_pubkey > 0).then(|| {
            let per_second = f64::from(policy.events_per_minute_per_pubkey) / 60.0;
            KeyedBuckets::new(Rate::new(per_second, policy.event_burst_per_pubkey))
        });
        Self {
            addresses: KeyedBuckets::new(Rate::new(
                f64::from(limits.messages_per_second_per_ip),
                limits.message_burst_per_ip,
            )),
            authors,
        }
    }
}

/// Why a question to the database has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// Too many events would have to be looked at.
    #[error("no answer within {0} events")]
    TooMuch(usize),
}

impl QueryError {
    /// Says it to a client, without a word of the database.
    pub(crate) fn reply(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "that took too long, ask for less",
            Self::TooMuch(_) => "too many events have to be looked at for that, ask for less",
            Self::Store(error) if error.is_timeout() => "that took too long, ask for less",
            Self::Store(error) if error.is_retryable() => "the database is away, try again later",
            Self::Store(_) => "the database failed, try again later",
        }
    }
}

impl Shared {
    pub(crate) fn new(
        config: RelayConfig,
        store: Store,
        pubkey: Pubkey,
        clock: SharedClock,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let metrics = RelayMetrics::register(registry)?;
        let limits = &config.limits;
        Ok(Self {
            store,
            pubkey,
            hub: Hub::new(
                metrics.clone(),
                clock.clone(),
                i64::try_from(config.archive.live_window.as_secs()).unwrap_or(i64::MAX),
            ),
            there: There::default(),
            clock,
            metrics,
            document: nip11::document(&config, pubkey),
            connections: Gate::new(
                limits.max_connections + EXTRA_TCP_CONNECTIONS,
                limits.max_connections_per_ip + EXTRA_TCP_CONNECTIONS_PER_IP,
            ),
            sessions: Gate::new(limits.max_connections, limits.max_connections_per_ip),
            reconciliations: Arc::new(Semaphore::new(RECONCILIATIONS)),
            reconciled_events: Arc::new(Semaphore::new(limits.max_reconcile_events_in_all)),
            counts: Gate::new(usize::MAX, COUNTS_PER_SITE),
            rates: Rates::new(&config),
            archive_is_open: AtomicBool::new(false),
            queries: Semaphore::new(CONCURRENT_QUERIES),
            config,
        })
    }

    /// Begins or ends to serve the archive.
    pub(crate) fn open_archive(&self, open: bool) {
        self.metrics.archive_open.set(i64::from(open));
        self.archive_is_open.store(open, Ordering::Release);
    }

    /// Returns what is served at this moment, in the order of questions.
    pub(crate) fn served(&self) -> &'static [ServedFrom] {
        if self.archive_is_open.load(Ordering::Acquire) {
            &[ServedFrom::RelayBesideArchive, ServedFrom::Archive]
        } else {
            &[ServedFrom::Relay]
        }
    }

    /// Asks the database, when it is this question's turn: no longer than `within`, the wait for
    /// its turn included. The database has to be told as well: it goes on when nobody waits.
    pub(crate) async fn ask<T>(
        &self,
        within: Duration,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, QueryError> {
        let timer = self.metrics.query_seconds.start_timer();
        let answer = timeout(within, async {
            // Never closed.
            let _turn = self.queries.acquire().await;
            question.await
        });
        let answer = answer.await;
        timer.observe_duration();
        match answer {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(QueryError::Timeout(within)),
        }
    }
}

/// Where a client is, and where it thinks that we are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// The client's address, as a trusted proxy tells it.
    pub(crate) client: std::net::IpAddr,
    /// Our end of the TCP connection.
    pub(crate) local: SocketAddr,
}
