//! What the listener, the sessions and the handle of one relay share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::{Information, SimRelayConfig, default_information};
use super::faults::{Fault, Script};
use super::lock;
use super::stats::Counters;
use super::store::Store;
use crate::limits::MAX_LIVE_BACKLOG;
use crate::population::SimEvent;

/// An event published while sessions are open, with its number in the store.
pub(super) type Live = (u64, SimEvent);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: SimRelayConfig,
    pub(super) address: SocketAddr,
    pub(super) stop: CancellationToken,
    pub(super) store: Mutex<Store>,
    pub(super) counters: Arc<Counters>,
    pub(super) information: Mutex<Information>,
    /// When the last session ended, for bans.
    pub(super) last_end: Mutex<Option<Instant>>,
    /// Tells the listener whether the port has to be closed.
    pub(super) closed: watch::Sender<bool>,
    script: Mutex<Script>,
    live: Mutex<HashMap<u64, mpsc::Sender<Live>>>,
    sessions_stop: Mutex<CancellationToken>,
    next_session: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        mut config: SimRelayConfig,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> Self {
        let mut script = Script::default();
        script.replace(std::mem::take(&mut config.faults));
        let events = std::mem::take(&mut config.events);
        let shared = Self {
            information: Mutex::new(config.information.clone()),
            config,
            address,
            store: Mutex::default(),
            counters: Arc::default(),
            last_end: Mutex::default(),
            closed: watch::Sender::new(script.closes_port()),
            script: Mutex::new(script),
            live: Mutex::default(),
            sessions_stop: Mutex::new(stop.child_token()),
            next_session: AtomicU64::new(0),
            stop,
        };
        shared.load(events.into_iter());
        shared
    }

    pub(super) fn url(&self, scheme: &str) -> String {
        let secure = if self.config.tls.is_some() { "s" } else { "" };
        format!("{scheme}{secure}://{}", self.address)
    }

    pub(super) fn load(&self, events: impl Iterator<Item = SimEvent>) {
        let mut store = lock(&self.store);
        for event in events.filter(|event| !event.is_ephemeral()) {
            store.insert(&event);
        }
    }

    /// Keeps the event and hands it to all sessions. `false` if it is known.
    pub(super) fn publish(&self, event: &SimEvent) -> bool {
        let Some(number) = lock(&self.store).insert(event) else {
            return false;
        };
        // A session whose queue is full loses its sender, which ends it: told, not skipped.
        lock(&self.live).retain(|_, session| session.try_send((number, event.clone())).is_ok());
        true
    }

    /// Registers a session; returns its number, its live events and what ends it.
    pub(super) fn register(&self) -> (u64, mpsc::Receiver<Live>, CancellationToken) {
        let (sender, receiver) = mpsc::channel(MAX_LIVE_BACKLOG);
        let number = self.next_session.fetch_add(1, Ordering::Relaxed);
        lock(&self.live).insert(number, sender);
        Counters::bump(&self.counters.sessions);
        self.counters.open_sessions.fetch_add(1, Ordering::Relaxed);
        (number, receiver, lock(&self.sessions_stop).clone())
    }

    pub(super) fn unregister(&self, session: u64) {
        lock(&self.live).remove(&session);
        self.counters.end_reading(session);
        self.counters.open_sessions.fetch_sub(1, Ordering::Relaxed);
        *lock(&self.last_end) = Some(Instant::now());
    }

    pub(super) fn disconnect_all(&self) {
        let mut token = lock(&self.sessions_stop);
        token.cancel();
        *token = self.stop.child_token();
    }

    pub(super) fn change_faults(&self, change: impl FnOnce(&mut Script)) {
        let mut script = lock(&self.script);
        change(&mut script);
        self.closed.send_replace(script.closes_port());
    }

    /// Returns the faults of one stage for one request, and counts that request.
    pub(super) fn take_faults<T: Clone>(&self, stage: impl Fn(&Fault) -> Option<&T>) -> Vec<T> {
        lock(&self.script).take(stage)
    }

    /// Returns the NIP-11 document, `None` where there is none.
    pub(super) fn information_json(&self) -> Option<String> {
        match &*lock(&self.information) {
            Information::Default => Some(default_information(&self.config, self.address)),
            Information::Raw(text) => Some(text.clone()),
            Information::Absent => None,
        }
    }
}
