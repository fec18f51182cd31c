//! The service that archives what relays carry.
//!
//! Owns the schedule: which relay's turn it is, how many at once, and what follows from how a
//! turn ended (`standing`). What is wanted of a relay is decided in `wanted` and `slices`; what is
//! asked, and what the answers prove, in `scan` (page by page) and `sweep` (by reconciliation);
//! the conversation is held in `turn`; writing belongs to [`bigbrotr_schema::ingest`].
//!
//! Relays are leased in Postgres, so any number of processes share the work. The cursor of a
//! relay (its [`Coverage`](bigbrotr_schema::store::Coverage)) is written only after everything
//! that it claims is durable: whatever happens to this process, at most the pages since then are
//! fetched again.

mod config;
mod error;
mod following;
mod labels;
mod likeness;
mod metrics;
mod rubbish;
mod scan;
mod slices;
mod standing;
mod sweep;
mod totals;
mod turn;
mod wanted;

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::network::Network;
use bigbrotr_core::service::{Service, ServiceContext, ServiceFuture, ServiceName};
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::ingest::Ingest;
use bigbrotr_schema::store::{RelayId, Store, SyncScope, SyncTask, SyncVerdict};
use nostr::Keys;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::config::{DenyConfig, LiveConfig, NegentropyConfig, RelayRules, SynchronizerConfig};
use self::following::{Followed, Following};
use self::metrics::Metrics;
pub(crate) use self::metrics::Metrics as SynchronizerMetrics;
use self::turn::{Turn, TurnEnd};
use self::wanted::Wanted;
use crate::dial::Dialer;
use crate::limits;

/// Archives the events of every readable relay, or of those on the operator's list.
pub struct SynchronizerService {
    scope: SyncScope,
    config: SynchronizerConfig,
    dialer: Dialer,
    store: Store,
    ingest: Ingest,
    keys: Keys,
    clock: SharedClock,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for SynchronizerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SynchronizerService")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What the turns of one run share.
struct Shared {
    scope: SyncScope,
    config: SynchronizerConfig,
    dialer: Dialer,
    store: Store,
    ingest: Ingest,
    keys: Keys,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    context: ServiceContext,
    /// Places for those who catch up.
    places: Arc<Semaphore>,
    /// The relays that are followed live.
    followed: Followed,
    /// The relays being worked on or followed. After a long outage their leases have run out, and
    /// this process must not take them a second time.
    active: Mutex<HashSet<RelayId>>,
}

impl SynchronizerService {
    /// Makes the service and registers its metrics. `scope` says which relays it archives, `keys`
    /// are who we are to relays that demand authentication.
    #[expect(clippy::too_many_arguments, reason = "wired once, by name")]
    pub fn new(
        scope: SyncScope,
        config: SynchronizerConfig,
        dialer: Dialer,
        store: Store,
        ingest: Ingest,
        keys: Keys,
        clock: SharedClock,
        registry: &prometheus::Registry,
    ) -> prometheus::Result<Arc<Self>> {
        let metrics = Arc::new(Metrics::register(scope, registry)?);
        Ok(Arc::new(Self {
            scope,
            config,
            dialer,
            store,
            ingest,
            keys,
            clock,
            metrics,
        }))
    }

    /// Says whether there is nothing to do for now: no relay is due or being worked on, here or
    /// in another process. After a start that means that every relay has had its turn.
    pub async fn is_idle(&self) -> Result<bool, StoreError> {
        let networks: Vec<Network> = self.dialer.config().enabled().collect();
        let pending = self.store.pending_work(&networks).await?;
        Ok(self.metrics.active.get() == 0 && pending.syncs == 0)
    }

    fn share(&self, context: ServiceContext) -> Arc<Shared> {
        Arc::new(Shared {
            scope: self.scope,
            config: self.config.clone(),
            dialer: self.dialer.clone(),
            store: self.store.clone(),
            ingest: self.ingest.clone(),
            keys: self.keys.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            context,
            places: Arc::new(Semaphore::new(self.config.concurrency.max(1) as usize)),
            followed: Followed::new(self.config.live.max_relays),
            active: Mutex::default(),
        })
    }
}

impl Service for SynchronizerService {
    fn name(&self) -> ServiceName {
        match self.scope {
            SyncScope::All => ServiceName::Synchronizer,
            SyncScope::Priority => ServiceName::PrioritySynchronizer,
        }
    }

    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
        let shared = self.share(context);
        Box::pin(async move {
            shared.schedule().await;
            Ok(())
        })
    }
}

impl Shared {
    /// Gives relays their turns until the service has to stop; then waits for those under way.
    async fn schedule(self: Arc<Self>) {
        let networks: Vec<Network> = self.dialer.config().enabled().collect();
        self.recall_denied().await;
        let keeper = self.clone();
        let keeping = async move { keeper.keep_leases().await };
        let keeping = self.context.tasks.spawn(keeping);
        let counter = self.clone();
        let counting = async move { counter.watch_totals().await };
        let counting = self.context.tasks.spawn(counting);
        while let Some(place) = self.free_place().await {
            let mut held = vec![place];
            while let Ok(place) = self.places.clone().try_acquire_owned() {
                held.push(place);
            }
            let most = held.len();
            let leased = self.lease(&networks, most as u32).await;
            let is_all = leased.len() < most;
            for (task, place) in leased.into_iter().zip(held.drain(..)) {
                if let Some(active) = Active::begin(&self, task.relay.id) {
                    let turn = self.clone().take_turn(task, active, place);
                    self.context.tasks.spawn(turn);
                }
            }
            drop(held);
            if is_all && !self.context.sleep(limits::SYNC_POLL).await {
                break;
            }
        }
        // Each turn notices the stop by itself, and its waits on the database are bounded.
        drop(
            self.places
                .acquire_many(self.config.concurrency.max(1))
                .await,
        );
        self.followed.left().await;
        drop(keeping.await);
        drop(counting.await);
    }

    /// Lets relays be looked at again that were denied by another configuration.
    async fn recall_denied(&self) {
        if let Err(error) = self.durably(|| self.store.recall_syncs("denied")).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot look for relays that are no longer denied",
            );
        }
    }

    /// Keeps the leases of the relays that are followed, all at once; a lost one ends its turn.
    async fn keep_leases(&self) {
        while self.context.sleep(self.config.lease / 3).await {
            let leases = self.followed.leases();
            if leases.is_empty() {
                continue;
            }
            let extend = || self.store.extend_syncs(&leases, self.lease_seconds());
            match self.durably(extend).await {
                Ok(ours) => self.followed.keep_only(&leases, &ours),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot keep the leases of relays that are followed",
                ),
            }
        }
    }

    /// Waits until a relay can be taken on; `None` when the service has to stop.
    async fn free_place(&self) -> Option<OwnedSemaphorePermit> {
        let acquired = self.places.clone().acquire_owned();
        let acquired = self.context.stop.run_until_cancelled(acquired).await;
        acquired.and_then(Result::ok)
    }

    async fn lease(&self, networks: &[Network], most: u32) -> Vec<SyncTask> {
        let ours: Vec<RelayId> = self.active().iter().copied().collect();
        let lease = || {
            let seconds = self.lease_seconds();
            self.store
                .lease_due_syncs(networks, most, seconds, self.scope, &ours)
        };
        match self.durably(lease).await {
            Ok(tasks) => tasks,
            Err(StoreError::Stopped) => Vec::new(),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot find relays that are due",
                );
                self.context.degraded(&error);
                Vec::new()
            }
        }
    }

    async fn take_turn(
        self: Arc<Self>,
        task: SyncTask,
        active: Active,
        place: OwnedSemaphorePermit,
    ) {
        let Some(wanted) = Wanted::of(&self.config, &task.relay.url) else {
            drop(active);
            self.give_back(&task, &self.denied(&task)).await;
            return;
        };
        let started = tokio::time::Instant::now();
        let mut turn = Turn::new(&self, &task, wanted, place);
        let end = Box::pin(turn.run()).await;
        let summary = turn.summary();
        // The place is given up last.
        let verdict = {
            let (now, rng) = (self.clock.now(), &mut rand::rng());
            standing::verdict(&self.config, &task, &end, &summary, now, rng)
        };
        tracing::debug!(
            relay.url = %task.relay.url, outcome = end.as_str(), pages = summary.pages,
            new = summary.new_events, known = summary.known_events, failures = verdict.failures,
            error = verdict.error.as_deref(), duration_ms = started.elapsed().as_millis() as u64,
            "turn on a relay ended",
        );
        let is_caught_up = matches!(end, TurnEnd::CaughtUp);
        self.metrics.turn(task.relay.id, end.as_str(), is_caught_up);
        // From here on the relay may be taken again, as soon as the lease has ended.
        drop(active);
        self.give_back(&task, &verdict).await;
        drop(turn);
    }

    /// What becomes of a relay that is denied.
    fn denied(&self, task: &SyncTask) -> SyncVerdict {
        let due_at = self.clock.now() + self.config.put_aside.as_secs() as i64;
        SyncVerdict {
            due_at,
            rank: due_at,
            put_aside: Some("denied"),
            novelty: task.novelty,
            ..SyncVerdict::default()
        }
    }

    /// Ends the lease and says when the relay is due again.
    async fn give_back(&self, task: &SyncTask, verdict: &SyncVerdict) {
        let finish = || self.store.finish_sync(task.relay.id, task.lease, verdict);
        if let Err(error) = self.durably(finish).await {
            tracing::warn!(
                relay.url = %task.relay.url, error = &error as &dyn std::error::Error,
                "cannot give a relay back: its lease has to run out",
            );
        }
    }

    /// Repeats a statement until the database has taken it. When the service has to stop it gets
    /// one last try.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] when the service stops first, or what the database says to a
    /// statement that it will never take.
    async fn durably<T, F>(&self, statement: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let (mut delay, longest) = limits::SYNC_DATABASE_RETRY;
        loop {
            let is_last = self.context.stop.is_cancelled();
            match self.attempt(statement()).await {
                Ok(Some(value)) => return Ok(value),
                Ok(None) if is_last => return Err(StoreError::Stopped),
                Ok(None) => {}
                Err(error) => return Err(error),
            }
            // When the stop comes now, the last try follows at once.
            let waited = self.context.sleep(delay).await;
            delay = if waited {
                (delay * 2).min(longest)
            } else {
                delay
            };
        }
    }

    /// Tries a statement once, within bounds, and reports whether the database is there. `None`
    /// when it may succeed later.
    async fn attempt<T>(
        &self,
        statement: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Option<T>, StoreError> {
        let stopped = async {
            self.context.stop.cancelled().await;
            tokio::time::sleep(limits::SYNC_STOP_GRACE).await;
        };
        let tried = tokio::select! {
            tried = tokio::time::timeout(limits::SYNC_STATEMENT_TIMEOUT, statement) => tried.ok(),
            () = stopped => None,
        };
        match tried {
            Some(Ok(value)) => {
                self.context.ready();
                return Ok(Some(value));
            }
            Some(Err(error)) if !error.is_retryable() => return Err(error),
            Some(Err(error)) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "database is away: trying again",
            ),
            None => tracing::debug!("database does not answer: trying again"),
        }
        self.context.degraded("database is away");
        Ok(None)
    }

    fn active(&self) -> MutexGuard<'_, HashSet<RelayId>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease_seconds(&self) -> i64 {
        self.config.lease.max(Duration::from_secs(1)).as_secs() as i64
    }
}

/// Marks a relay as being worked on for as long as it lives.
struct Active {
    shared: Arc<Shared>,
    relay: RelayId,
}

impl Active {
    /// Marks a relay; `None` when it is marked already.
    fn begin(shared: &Arc<Shared>, relay: RelayId) -> Option<Self> {
        let is_new = shared.active().insert(relay);
        is_new.then(|| {
            shared.metrics.active.inc();
            Self {
                shared: shared.clone(),
                relay,
            }
        })
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.shared.metrics.active.dec();
        self.shared.active().remove(&self.relay);
    }
}
