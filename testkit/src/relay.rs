//! A simulated relay on a real socket: [NIP-01], [NIP-11], [NIP-42], [NIP-45] and [NIP-77], and
//! whatever a script makes go wrong.
//!
//! Owns the relay's events, its listener and its sessions. It keeps everything it is given
//! (no replacement, no deletion), so that an oracle for its answers is simple; it is no model of
//! a real relay's storage. Everything it does ends when it is stopped or dropped.
//!
//! - `config` what the relay is; `faults` what goes wrong, `wire` down to the byte; `tls` its
//!   certificates
//! - `listener` accepts; `http` reads the request; `information` answers NIP-11
//! - `session` speaks on a WebSocket; `store` has the events; `stats` counts
//!
//! [NIP-01]: https://github.com/nostr-protocol/nips/blob/master/01.md
//! [NIP-11]: https://github.com/nostr-protocol/nips/blob/master/11.md
//! [NIP-42]: https://github.com/nostr-protocol/nips/blob/master/42.md
//! [NIP-45]: https://github.com/nostr-protocol/nips/blob/master/45.md
//! [NIP-77]: https://github.com/nostr-protocol/nips/blob/master/77.md

mod config;
pub mod faults;
mod http;
mod information;
mod io;
mod listener;
mod session;
mod shared;
mod stats;
mod store;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bigbrotr_core::event::EventId;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::{AuthPolicy, Information, NegentropyConfig, SimRelayConfig};
use self::faults::Fault;
use self::shared::Shared;
pub use self::stats::{RecordedReq, RelayStats};
pub use self::tls::{TestAuthority, TlsConfig, TlsKind};
use crate::population::SimEvent;

/// Why a simulated relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SimRelayError {
    /// The port cannot be opened.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for; port 0 for any.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The certificate cannot be made.
    #[error("cannot make a certificate")]
    Certificate(#[source] rcgen::Error),
    /// The certificate cannot be used.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// A running simulated relay. Dropping it ends it.
#[derive(Debug)]
pub struct SimRelay {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl SimRelay {
    /// Starts a relay on a loopback address.
    ///
    /// # Errors
    /// The address is not a loopback address, the port is taken, or the certificate cannot be made.
    pub async fn start(config: SimRelayConfig) -> Result<Self, SimRelayError> {
        let asked = SocketAddr::from((config.ip, config.port));
        let acceptor = config.tls.as_ref().map(TlsConfig::acceptor).transpose()?;
        let listening = listener::bind(asked);
        let (listener, address) = listening.await.map_err(|source| SimRelayError::Listen {
            address: asked,
            source,
        })?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let shared = Arc::new(Shared::new(config, address, stop.clone()));
        tasks.spawn(listener::run(
            shared.clone(),
            listener,
            acceptor,
            tasks.clone(),
        ));
        Ok(Self {
            shared,
            tasks,
            stop,
        })
    }

    /// Returns the WebSocket URL: `ws://ip:port`, or `wss` with TLS.
    pub fn url(&self) -> String {
        self.shared.url("ws")
    }

    /// Returns the URL of the NIP-11 document: the same with `http` or `https`.
    pub fn information_url(&self) -> String {
        self.shared.url("http")
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Publishes an event as if somebody had sent it: keeps it unless it is ephemeral, and sends
    /// it to live subscriptions. Returns `false` if the relay has it already.
    pub fn add(&self, event: impl Into<SimEvent>) -> bool {
        self.shared.publish(&event.into())
    }

    /// Adds events without sending them to live subscriptions, as if they had come while nobody
    /// was connected. Ephemeral ones are left out.
    pub fn load<E: Into<SimEvent>>(&self, events: impl IntoIterator<Item = E>) {
        self.shared.load(events.into_iter().map(Into::into));
    }

    /// Forgets an event. Returns `false` if the relay does not have it.
    pub fn remove(&self, id: EventId) -> bool {
        lock(&self.shared.store).remove(id)
    }

    /// Returns all events, newest first, lowest id first among equals.
    pub fn events(&self) -> Vec<SimEvent> {
        lock(&self.shared.store).iter().cloned().collect()
    }

    /// Counts the events.
    pub fn event_count(&self) -> usize {
        lock(&self.shared.store).len()
    }

    /// Returns what the relay saw and did so far.
    pub fn stats(&self) -> RelayStats {
        self.shared.counters.snapshot()
    }

    /// Puts these faults in force, in place of all others, from the next request on.
    ///
    /// A list of several stages needs [`Fault::from`] on each.
    pub fn set_faults<F: Into<Fault>>(&self, faults: impl IntoIterator<Item = F>) {
        self.shared
            .change_faults(|script| script.replace(faults.into_iter().map(Into::into)));
    }

    /// Adds a fault for the next `requests` requests of its stage: connections, documents, REQs,
    /// EVENTs or NEG-OPENs.
    pub fn fault_next(&self, requests: usize, fault: impl Into<Fault>) {
        self.shared
            .change_faults(|script| script.add(fault.into(), requests));
    }

    /// Makes the relay healthy again.
    pub fn clear_faults(&self) {
        self.set_faults::<Fault>([]);
    }

    /// Replaces the NIP-11 document.
    pub fn set_information(&self, information: Information) {
        *lock(&self.shared.information) = information;
    }

    /// Cuts all sessions, without a close frame. The relay takes new ones.
    pub fn disconnect_all(&self) {
        self.shared.disconnect_all();
    }

    /// Closes the port and all sessions, and waits until everything has ended.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for SimRelay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Locks; a panic elsewhere does not make the data unusable here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
