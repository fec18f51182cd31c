//! The only code that speaks SQL: one file per family of tables.
//!
//! Owns the connection pools, the migrations and the overlays of implementations. It does not own the server: a private one is
//! started by [`crate::embedded`].

mod archive;
mod candidates;
mod deliveries;
mod export;
mod health;
mod imports;
mod ingest;
mod jobs;
mod link;
mod metadata;
mod migrate;
mod outbox;
mod overlays;
mod refused;
mod relay_events;
mod relays;
mod restore;
mod retention;
mod rollup;
mod served;
mod sync;
mod verify;

use std::sync::Arc;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::relay_url::RelayUrl;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};
use url::Url;

pub use self::candidates::{
    ArchiveBarrier, Candidate, CandidateBounds, CandidateCount, CandidateFailure, CandidateStatus,
    CandidateUpkeep, DueList, Finding, FindingPage, Found, FoundBy, Mention, MentioningEvent,
    SiteBounds, Verdict,
};
pub use self::deliveries::{Delivery, DeliveryOutcome};
pub use self::export::{ArchiveOrder, ArchivePage, ArchivePosition, ArchiveQuery, ArchivedEvent};
pub use self::health::{ArchiveSize, DatabaseStatus, PendingWork};
pub use self::imports::{FileMark, ImportProgress, ImportRecord};
pub(crate) use self::ingest::Unconfirmed;
pub use self::ingest::{ArchivedEvents, Sighting};
pub use self::jobs::{Feedback, Job, JobOutcome, JobRecord, QueueRoom};
pub(crate) use self::link::{Link, Pool, Tx};
pub use self::metadata::{Document, Snapshot};
pub use self::outbox::{QueuedReport, ReportTarget};
pub use self::refused::RefusedEvent;
use self::relay_events::Publishing;
pub use self::relay_events::{
    EventNumber, PublishOutcome, RelayEventFeed, RelayEventPage, RelayEventStatus, StoredEvent,
};
pub use self::relays::{DueRelay, KnownRelay, RelayId};
pub use self::retention::{RetentionCursor, RetentionStep};
use self::rollup::PubkeyNumbers;
pub use self::rollup::RollupStep;
use self::served::Readers;
pub use self::served::{
    ArchiveFeed, MirrorStep, NumberRange, ScanBounds, ServedArchive, ServedCount, ServedFrom,
    ServedPage, hll_offset,
};
pub use self::sync::{
    Coverage, Gap, GapCause, KnownEvents, Lease, Links, MissingCause, RelayProgress, SYNC_STATUSES,
    Slice, SyncMethod, SyncOverview, SyncProgress, SyncScope, SyncState, SyncTask, SyncTotals,
    SyncVerdict,
};
pub use self::verify::Difference;
use crate::config::{ArchiveConfig, DatabaseConfig};
use crate::error::StoreError;

/// A handle to the database; clones share their pools.
#[derive(Clone)]
pub struct Store {
    pub(crate) pool: Pool,
    pub(crate) public: Pool,
    pub(crate) config: Arc<DatabaseConfig>,
    pub(crate) clock: SharedClock,
    pubkey_numbers: PubkeyNumbers,
    direct: PgConnectOptions,
    readers: Arc<Readers>,
    publishing: Arc<Publishing>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("host", &self.direct.get_host())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Connects to the database at `url`; the configuration says how many connections.
    ///
    /// # Errors
    /// [`StoreError::Connect`] when it cannot be reached, [`StoreError::TooOld`] before
    /// PostgreSQL 15.
    pub async fn connect(
        url: &str,
        config: Arc<DatabaseConfig>,
        clock: SharedClock,
    ) -> Result<Self, StoreError> {
        let options = options(url, &config)?;
        // Nobody names a second way to the server but where `url` leads to a pooler.
        let (direct, pooler) = match config.direct_url.expose() {
            "" => (options.clone(), false),
            url => (self::options(url, &config)?, true),
        };
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(config.acquire_timeout)
            .connect_with(options.clone())
            .await;
        let pool = match pool {
            Ok(pool) => Pool::new(pool, pooler),
            Err(error) => return Err(StoreError::Connect(reason(error, &options, &config).await)),
        };
        let replica = match config.replica_url.expose() {
            "" => options,
            url => self::options(url, &config)?,
        };
        // Lazy: a replica that is away must not keep the node from starting.
        let public = PgPoolOptions::new()
            .max_connections(config.public_connections)
            .acquire_timeout(config.acquire_timeout)
            .connect_lazy_with(replica);
        let public = Pool::new(public, pooler);
        let version: i32 =
            sqlx::query_scalar("select current_setting('server_version_num')::int / 10000")
                .fetch_one(&pool)
                .await?;
        if version < 15 {
            return Err(StoreError::TooOld { version });
        }
        Ok(Self {
            pool,
            public,
            config,
            clock,
            pubkey_numbers: PubkeyNumbers::default(),
            direct,
            readers: Arc::default(),
            publishing: Arc::default(),
        })
    }

    /// Opens a connection that listens: to the server itself, never through a pooler.
    pub(crate) async fn listener(&self) -> Result<PgListener, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.config.acquire_timeout)
            .connect_lazy_with(self.direct.clone());
        PgListener::connect_with(&pool)
            .await
            .map_err(StoreError::Connect)
    }

    /// Opens a connection of its own to the server itself, for work that a pooler cannot pass on.
    pub(crate) async fn direct_connection(&self) -> Result<PgConnection, StoreError> {
        PgConnection::connect_with(&self.direct)
            .await
            .map_err(StoreError::Connect)
    }

    /// Tells what is kept of each event.
    pub fn archive_config(&self) -> ArchiveConfig {
        self.config.archive
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        self.readers.close().await;
        self.public.close().await;
        self.pool.close().await;
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }
}

/// Why no connection was to be had: a pool goes on trying and says only that it gave up.
async fn reason(
    error: sqlx::Error,
    options: &PgConnectOptions,
    config: &DatabaseConfig,
) -> sqlx::Error {
    if !matches!(error, sqlx::Error::PoolTimedOut) {
        return error;
    }
    let connecting = PgConnection::connect_with(options);
    match tokio::time::timeout(config.acquire_timeout, connecting).await {
        Ok(Err(reason)) => reason,
        _ => error,
    }
}

fn options(url: &str, config: &DatabaseConfig) -> Result<PgConnectOptions, StoreError> {
    let mut options: PgConnectOptions = url.parse().map_err(StoreError::Connect)?;
    if !config.password.is_empty() && !holds_password(url) {
        options = options.password(config.password.expose());
    }
    Ok(options
        .application_name("bigbrotr")
        .log_slow_statements(tracing::log::LevelFilter::Off, std::time::Duration::ZERO))
}

/// Says whether a URL brings a password, as `user:password@` or as a parameter.
fn holds_password(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
    })
}

/// Reads a 32-byte column.
pub(crate) fn bytes32(bytes: &[u8], what: &'static str) -> Result<[u8; 32], StoreError> {
    <[u8; 32]>::try_from(bytes).map_err(|error| StoreError::Corrupt {
        what,
        reason: format!("{} bytes instead of 32: {error}", bytes.len()),
    })
}

/// Reads a column with a canonical relay URL.
fn relay_url(text: &str, what: &'static str) -> Result<RelayUrl, StoreError> {
    RelayUrl::from_canonical(text).map_err(|error| StoreError::Corrupt {
        what,
        reason: error.to_string(),
    })
}

/// The longest error that is kept: characters.
const MAX_ERROR_CHARS: usize = 500;

/// Brings a text that may quote a relay into a form that the database takes.
fn storable(text: &str) -> String {
    text.chars()
        .take(MAX_ERROR_CHARS)
        .map(|c| {
            if c == '\0' {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}
