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
//!
//! Of archived events (another task, [`archive`]) only those can come twice that were sent as
//! stored ones and are not fanned out yet: 1 and 3 hold, and those are remembered.

pub(crate) mod archive;
pub(crate) mod feed;
mod recent;
mod registry;
pub(crate) mod seen;
pub(crate) mod subscription;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::event::Event;
use bigbrotr_core::message::ReplyPrefix;
use bigbrotr_schema::store::{EventNumber, StoredEvent};

use self::recent::Recent;
use self::registry::Registry;
use self::seen::Seen;
use self::subscription::{Delivery, Live, Subscription};
use crate::limits::{ARCHIVE_RECENT_EVENTS, FANOUT_SLICE, OUT_OF_ORDER_EVENTS, RECENT_EVENTS};
use crate::metrics::RelayMetrics;

/// All subscriptions of all clients.
pub(crate) struct Hub {
    registry: RwLock<Registry>,
    recent: Mutex<Recent>,
    archived: Mutex<Archived>,
    /// Whether new events are heard of, or will be caught up with.
    open: AtomicBool,
    metrics: RelayMetrics,
    clock: SharedClock,
}

/// Which archived events have been fanned out.
#[derive(Debug)]
struct Archived {
    recent: Recent,
    /// The highest number that was looked at, whether it was to be fanned out or not.
    top: i64,
    /// How old those may be that are fanned out: seconds.
    window: i64,
}

impl Hub {
    /// `live_window`: how old archived events may be, in seconds, that subscribers are sent.
    pub(crate) fn new(metrics: RelayMetrics, clock: SharedClock, live_window: i64) -> Self {
        Self {
            registry: RwLock::default(),
            recent: Mutex::new(Recent::new(RECENT_EVENTS)),
            archived: Mutex::new(Archived {
                recent: Recent::new(ARCHIVE_RECENT_EVENTS),
                top: i64::MAX,
                window: live_window,
            }),
            open: AtomicBool::new(false),
            metrics,
            clock,
        }
    }

    /// Opens for subscriptions: a feed is there, which returns everything but these numbers.
    fn open(&self, delivered: impl Iterator<Item = i64>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        *recent = Recent::new(RECENT_EVENTS);
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

    /// Says whether an event that a subscription is sent as a stored one may come live as well, or
    /// have come since the subscription was registered.
    pub(crate) fn may_come_live(&self, event: &StoredEvent) -> bool {
        match event.number {
            EventNumber::Relay(_) => true,
            EventNumber::Archive(num) => {
                let archived = self.archived();
                event.created_at >= self.clock.now().saturating_sub(archived.window)
                    && archived.may_be_new(num)
            }
        }
    }

    /// Keeps of these stored events those that are still on their way to subscribers.
    pub(crate) fn retain_awaited(&self, seen: &mut Seen) {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let archived = self.archived();
        seen.retain(|number| match number {
            EventNumber::Relay(seq) => recent.is_awaited(seq),
            EventNumber::Archive(num) => archived.is_awaited(num),
        });
    }

    /// Hands stored events to whoever subscribes to them.
    async fn fan_out(&self, events: Vec<StoredEvent>) {
        let mut slice = Instant::now();
        for stored in events {
            let timer = self.metrics.fanout_seconds.start_timer();
            match stored.event() {
                Ok(event) => self.pass_on(
                    &event,
                    &Live {
                        number: Some(stored.number),
                        json: stored.json.into(),
                    },
                ),
                Err(error) => {
                    tracing::error!(event.id = %stored.id, error = %error, "event not fanned out");
                }
            }
            timer.observe_duration();
            // Only now: see the module's notes on correctness.
            self.remember(stored.number);
            // Matching takes a while where there are many subscriptions: let sessions write.
            if slice.elapsed() >= FANOUT_SLICE {
                tokio::task::yield_now().await;
                slice = Instant::now();
            }
        }
    }

    fn remember(&self, number: EventNumber) {
        match number {
            EventNumber::Relay(seq) => {
                let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
                recent.insert(seq);
            }
            EventNumber::Archive(num) => self.archived().recent.insert(num),
        }
    }

    /// Says whether anybody subscribes to anything.
    fn has_subscriptions(&self) -> bool {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        !registry.is_empty()
    }

    /// Ends all subscriptions and tells their clients why.
    fn end_all(&self, why: &str) {
        let all: Vec<_> = {
            let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
            registry.all().cloned().collect()
        };
        for subscription in all {
            self.unregister(&subscription);
            subscription.tell_closed(ReplyPrefix::Error.message(why));
        }
    }

    fn archived(&self) -> MutexGuard<'_, Archived> {
        self.archived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an event that is not stored (an ephemeral one) to whoever subscribes to it here.
    pub(crate) fn broadcast(&self, event: &Event) {
        let live = Live {
            number: None,
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

impl Archived {
    fn is_new(&self, number: EventNumber) -> bool {
        match number {
            EventNumber::Archive(num) => self.recent.is_awaited(num),
            EventNumber::Relay(_) => true,
        }
    }

    fn is_awaited(&self, num: i64) -> bool {
        self.may_be_new(num) && self.recent.is_awaited(num)
    }

    fn may_be_new(&self, num: i64) -> bool {
        num > self.top.saturating_sub(ARCHIVE_RECENT_EVENTS as i64)
    }
}
