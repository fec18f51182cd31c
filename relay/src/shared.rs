//! What every session works with.

use std::net::SocketAddr;
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::event::Pubkey;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::Store;
use prometheus::Registry;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::RelayConfig;
use crate::front::gate::Gate;
use crate::front::nip11;
use crate::hub::Hub;
use crate::limits::{
    CONCURRENT_QUERIES, EXTRA_TCP_CONNECTIONS, EXTRA_TCP_CONNECTIONS_PER_IP, QUERY_TIMEOUT,
    RECONCILIATIONS,
};
use crate::metrics::RelayMetrics;

/// The relay's parts, for its sessions.
pub(crate) struct Shared {
    pub(crate) config: RelayConfig,
    pub(crate) store: Store,
    /// The node's own key.
    pub(crate) pubkey: Pubkey,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: RelayMetrics,
    pub(crate) hub: Hub,
    /// The NIP-11 document.
    pub(crate) document: String,
    /// TCP connections.
    pub(crate) connections: Gate,
    /// WebSocket connections.
    pub(crate) sessions: Gate,
    /// Room for reconciliations.
    pub(crate) reconciliations: std::sync::Arc<Semaphore>,
    queries: Semaphore,
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
}

impl QueryError {
    /// Says it to a client, without a word of the database.
    pub(crate) fn reply(&self) -> &'static str {
        match self {
            Self::Store(error) if error.is_retryable() => "the database is away, try again later",
            Self::Store(_) => "the database failed, try again later",
            Self::Timeout(_) => "that took too long, ask for less",
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
            hub: Hub::new(metrics.clone(), clock.clone()),
            clock,
            metrics,
            document: nip11::document(&config, pubkey),
            connections: Gate::new(
                limits.max_connections + EXTRA_TCP_CONNECTIONS,
                limits.max_connections_per_ip + EXTRA_TCP_CONNECTIONS_PER_IP,
            ),
            sessions: Gate::new(limits.max_connections, limits.max_connections_per_ip),
            reconciliations: std::sync::Arc::new(Semaphore::new(RECONCILIATIONS)),
            queries: Semaphore::new(CONCURRENT_QUERIES),
            config,
        })
    }

    /// Asks the database, when it is this question's turn.
    pub(crate) async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, QueryError> {
        let timer = self.metrics.query_seconds.start_timer();
        let answer = timeout(QUERY_TIMEOUT, async {
            // Never closed.
            let _turn = self.queries.acquire().await;
            question.await
        });
        let answer = answer.await;
        timer.observe_duration();
        match answer {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(QueryError::Timeout(QUERY_TIMEOUT)),
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
