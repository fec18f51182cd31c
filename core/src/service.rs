//! What a service is: the trait that the node's supervisor runs, and what it hands to it.
//!
//! Owns no tasks: the supervisor (in the node) starts, restarts and stops services. A service
//! owns the tasks it spawns through [`ServiceContext::tasks`] and ends with all of them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The services, in the order in which they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceName {
    /// Creates or migrates the database and loads the seed relays.
    Initializer,
    /// Keeps the statistics current.
    Rollup,
    /// Removes from the archive what the implementation does not keep.
    Retention,
    /// The embedded relay.
    Relay,
    /// The REST mirror.
    Api,
    /// Answers NIP-90 jobs.
    Dvm,
    /// Discovers relays.
    Finder,
    /// Proves that what was discovered are relays.
    Validator,
    /// Measures relays (NIP-66).
    Monitor,
    /// Archives the events of every readable relay.
    Synchronizer,
    /// Archives the events of the priority relays.
    PrioritySynchronizer,
}

impl ServiceName {
    /// All services in starting order.
    pub const ALL: [Self; 11] = [
        Self::Initializer,
        Self::Rollup,
        Self::Retention,
        Self::Relay,
        Self::Api,
        Self::Dvm,
        Self::Finder,
        Self::Validator,
        Self::Monitor,
        Self::Synchronizer,
        Self::PrioritySynchronizer,
    ];

    /// Names the service as in configuration, logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializer => "initializer",
            Self::Rollup => "rollup",
            Self::Retention => "retention",
            Self::Relay => "relay",
            Self::Api => "api",
            Self::Dvm => "dvm",
            Self::Finder => "finder",
            Self::Validator => "validator",
            Self::Monitor => "monitor",
            Self::Synchronizer => "synchronizer",
            Self::PrioritySynchronizer => "priority-synchronizer",
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is not a service's.
#[derive(Debug, thiserror::Error)]
#[error("unknown service {name:?}: expected one of {}", ServiceName::ALL.map(ServiceName::as_str).join(", "))]
pub struct UnknownService {
    name: String,
}

impl FromStr for ServiceName {
    type Err = UnknownService;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|service| service.as_str() == name)
            .ok_or_else(|| UnknownService {
                name: name.to_owned(),
            })
    }
}

/// Why a service ended before it was asked to. The supervisor logs the chain and starts it again.
pub type ServiceError = Box<dyn std::error::Error + Send + Sync>;

/// The future of a running service.
pub type ServiceFuture = Pin<Box<dyn Future<Output = Result<(), ServiceError>> + Send>>;

/// One of the node's services.
pub trait Service: Send + Sync + 'static {
    /// Names the service.
    fn name(&self) -> ServiceName;

    /// Runs until [`ServiceContext::stop`] is cancelled, then drains and returns `Ok`.
    ///
    /// Called again, with a fresh context, after a failure. A service calls
    /// [`ServiceContext::ready`] once it does its work; the next service starts after that.
    /// A service whose work is done (the initializer) returns `Ok` by itself.
    ///
    /// # Errors
    /// Whatever makes it impossible to go on. A database that is away is no such thing: services
    /// wait for it and report [`ServiceContext::degraded`].
    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture;
}

/// How a service is, as told by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Not ready yet.
    Starting,
    /// Doing its work.
    Ready,
    /// Running, but unable to do its work for now, for this reason.
    Degraded(String),
    /// Ended with an error; the supervisor will start it again.
    Failed(String),
    /// Ended as asked, or because its work is done.
    Stopped,
}

impl Health {
    /// The names of all states.
    pub const STATES: [&str; 5] = ["starting", "ready", "degraded", "failed", "stopped"];

    /// Names the state, one of [`Self::STATES`].
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded(_) => "degraded",
            Self::Failed(_) => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// Says why, where there is a reason.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Degraded(reason) | Self::Failed(reason) => Some(reason),
            _ => None,
        }
    }
}

/// What the supervisor gives to a running service.
#[derive(Debug, Clone)]
pub struct ServiceContext {
    /// Cancelled when the service has to stop: take no new work, finish what is begun.
    pub stop: CancellationToken,
    /// Holds every task that the service spawns; the supervisor waits for them.
    pub tasks: TaskTracker,
    health: watch::Sender<Health>,
}

impl ServiceContext {
    /// Makes a context, and the receiver on which the service's health can be watched.
    pub fn new(stop: CancellationToken) -> (Self, watch::Receiver<Health>) {
        let (health, receiver) = watch::channel(Health::Starting);
        (
            Self {
                stop,
                tasks: TaskTracker::new(),
                health,
            },
            receiver,
        )
    }

    /// Reports that the service does its work.
    pub fn ready(&self) {
        self.report(Health::Ready);
    }

    /// Reports that the service cannot do its work for now.
    pub fn degraded(&self, reason: impl fmt::Display) {
        self.report(Health::Degraded(reason.to_string()));
    }

    fn report(&self, health: Health) {
        self.health.send_if_modified(|current| {
            let changed = *current != health;
            if changed {
                *current = health;
            }
            changed
        });
    }

    /// Sleeps, or returns `false` at once when the service has to stop.
    pub async fn sleep(&self, duration: std::time::Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(duration) => true,
        }
    }
}
