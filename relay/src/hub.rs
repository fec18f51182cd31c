//! The live side: which subscriptions there are, and how a new event reaches them.
//!
//! One task ([`feed`]) hears of events from the database and hands each to [`Hub::fan_out`],
//! which parses it once and shares its text. The hub never waits for a client: what does not fit
//! in a client's queue ends the subscription, and the client is told.
//!
//! # Correctness
//! No event is lost or sent twice between the stored and the live phase of a REQ, because
//! 1. a subscription is registered before the database is asked, and holds live events back until
//!    the stored ones are sent;
//! 2. before it asks for events, it asks which of the latest numbers are there: those are stored
//!    events, which it skips when they come live. What is not among them is live, unless it was
//!    sent as a stored event all the same;
//! 3. a number counts as fanned out only after every subscription had the event.

pub(crate) mod feed;
mod recent;
mod registry;
pub(crate) mod subscription;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::event::Event;
use bigbrotr_core::message::ReplyPrefix;
use bigbrotr_schema::store::StoredEvent;

use self::recent::Recent;
use self::registry::Registry;
use self::subscription::{Delivery, Live, Subscription};
use crate::limits::OUT_OF_ORDER_EVENTS;
use crate::metrics::RelayMetrics;

/// All subscriptions of all clients.
pub(crate) struct Hub {
    registry: RwLock<Registry>,
    recent: Mutex<Recent>,
    /// Whether new events are heard of, or will be caught up with.
    open: AtomicBool,
    metrics: RelayMetrics,
    clock: SharedClock,
}

impl Hub {
    pub(crate) fn new(metrics: RelayMetrics, clock: SharedClock) -> Self {
        Self {
            registry: RwLock::default(),
            recent: Mutex::default(),
            open: AtomicBool::new(false),
            metrics,
            clock,
        }
    }

    /// Opens for subscriptions: a feed is there, which returns everything but these numbers.
    fn open(&self, delivered: impl Iterator<Item = i64>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        *recent = Recent::default();
        delivered.for_each(|seq| recent.insert(seq));
        drop(recent);
        self.open.store(true, Ordering::Release);
    }

    /// Closes for new subscriptions: nothing is heard of any more.
    fn shut(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// Says whether a subscription that begins now loses nothing.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Registers a subscription; from now on it holds live events back.
    pub(crate) fn register(&self, subscription: &Arc<Subscription>) {
        self.write().insert(subscription);
        self.metrics.subscriptions.inc();
    }

    /// Ends a subscription. Nothing is put in its client's queue afterwards.
    pub(crate) fn unregister(&self, subscription: &Subscription) {
        subscription.end();
        if self.write().remove(subscription) {
            self.metrics.subscriptions.dec();
        }
    }

    /// Returns a number up to which all events have been fanned out.
    pub(crate) fn fanned_out_up_to(&self) -> i64 {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.latest() - OUT_OF_ORDER_EVENTS
    }

    /// Says which of these stored events are still on their way to subscribers.
    pub(crate) fn on_their_way(&self, mut seqs: Vec<i64>) -> Vec<i64> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        seqs.retain(|seq| recent.is_awaited(*seq));
        seqs
    }

    /// Hands stored events to whoever subscribes to them.
    async fn fan_out(&self, events: Vec<StoredEvent>) {
        for stored in events {
            let timer = self.metrics.fanout_seconds.start_timer();
            match stored.event() {
                Ok(event) => self.pass_on(
                    &event,
                    &Live {
                        seq: Some(stored.seq),
                        json: stored.json.into(),
                    },
                ),
                Err(error) => {
                    tracing::error!(event.id = %stored.id, error = %error, "event not fanned out");
                }
            }
            timer.observe_duration();
            // Only now: see the module's notes on correctness.
            self.remember(stored.seq);
            // Matching takes a while where there are many subscriptions: let sessions write.
            tokio::task::yield_now().await;
        }
    }

    fn remember(&self, seq: i64) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.insert(seq);
    }

    /// Hands an event that is not stored (an ephemeral one) to whoever subscribes to it here.
    pub(crate) fn broadcast(&self, event: &Event) {
        let live = Live {
            seq: None,
            json: event.to_json().into(),
        };
        self.pass_on(event, &live);
    }

    fn pass_on(&self, event: &Event, live: &Live) {
        if event
            .expiration()
            .is_some_and(|expiry| expiry <= self.clock.now())
        {
            return;
        }
        let mut slow = Vec::new();
        {
            let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
            for subscription in registry.candidates(event.kind) {
                match subscription.deliver(event, live) {
                    Delivery::NotWanted => {}
                    Delivery::Queued => self.metrics.fanned_out.inc(),
                    Delivery::TooSlow => slow.push(subscription.clone()),
                }
            }
        }
        for subscription in slow {
            self.metrics
                .slow_clients
                .with_label_values(&["subscription_closed"])
                .inc();
            self.unregister(&subscription);
            let message = ReplyPrefix::Error.message("too slow: events were dropped");
            subscription.tell_closed(message);
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Registry> {
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
