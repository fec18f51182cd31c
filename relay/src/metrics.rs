//! What the relay counts. Labels come from closed sets: never a URL, a key or a peer's text.

use bigbrotr_core::message::ReplyPrefix;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

const LIMITS: [&str; 3] = ["total", "address", "denied"];

const MESSAGE_TYPES: [&str; 9] = [
    "event",
    "req",
    "close",
    "auth",
    "count",
    "neg_open",
    "neg_msg",
    "neg_close",
    "invalid",
];

const OUTCOMES: [&str; 4] = ["stored", "broadcast", "duplicate", "older"];

/// The prefixes that this relay uses.
const PREFIXES: [ReplyPrefix; 8] = [
    ReplyPrefix::Pow,
    ReplyPrefix::Blocked,
    ReplyPrefix::RateLimited,
    ReplyPrefix::Invalid,
    ReplyPrefix::Restricted,
    ReplyPrefix::Error,
    ReplyPrefix::AuthRequired,
    ReplyPrefix::Unsupported,
];

const SLOWNESS: [&str; 2] = ["subscription_closed", "disconnected"];

/// Registers every metric of this crate, for whoever lists them.
///
/// # Errors
/// Metrics of the same names are registered already.
pub fn register_metrics(registry: &Registry) -> prometheus::Result<()> {
    RelayMetrics::register(registry).map(drop)
}

/// The relay's metrics. A metric's help text is its documentation.
#[derive(Debug, Clone)]
pub(crate) struct RelayMetrics {
    pub(crate) connections: IntGauge,
    pub(crate) connections_refused: IntCounterVec,
    pub(crate) subscriptions: IntGauge,
    pub(crate) messages: IntCounterVec,
    pub(crate) events: IntCounterVec,
    pub(crate) refusals: IntCounterVec,
    pub(crate) query_seconds: Histogram,
    pub(crate) publish_seconds: Histogram,
    pub(crate) fanout_seconds: Histogram,
    pub(crate) fanned_out: IntCounter,
    pub(crate) feed_failures: IntCounter,
    pub(crate) slow_clients: IntCounterVec,
    pub(crate) expired: IntCounter,
    pub(crate) mirrored: IntCounter,
    pub(crate) archive_open: IntGauge,
}

impl RelayMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            connections: IntGauge::new(
                "bigbrotr_relay_connections",
                "WebSocket connections open.",
            )?,
            connections_refused: counters(
                "bigbrotr_relay_connections_refused_total",
                "Connections refused, by limit: total, address, denied.",
                ("limit", &LIMITS),
            )?,
            subscriptions: IntGauge::new("bigbrotr_relay_subscriptions", "Subscriptions open.")?,
            messages: counters(
                "bigbrotr_relay_messages_total",
                "Messages received, by type: event, req, close, auth, count, neg_open, neg_msg, \
                 neg_close, invalid.",
                ("type", &MESSAGE_TYPES),
            )?,
            events: counters(
                "bigbrotr_relay_events_total",
                "Events received and taken, by outcome: stored, broadcast, duplicate, older.",
                ("outcome", &OUTCOMES),
            )?,
            refusals: counters(
                "bigbrotr_relay_refusals_total",
                "Messages refused, by the prefix of the answer.",
                ("prefix", &PREFIXES.map(ReplyPrefix::as_str)),
            )?,
            query_seconds: histogram(
                "bigbrotr_relay_query_seconds",
                "Time of one question to the database, the wait for its turn included.",
            )?,
            publish_seconds: histogram(
                "bigbrotr_relay_publish_seconds",
                "Time to store one event.",
            )?,
            fanout_seconds: histogram(
                "bigbrotr_relay_fanout_seconds",
                "Time from hearing of an event to having it queued for every subscriber.",
            )?,
            fanned_out: IntCounter::new(
                "bigbrotr_relay_fanout_messages_total",
                "Live events queued for subscribers.",
            )?,
            feed_failures: IntCounter::new(
                "bigbrotr_relay_feed_failures_total",
                "Times that the connection on which new events are announced was lost.",
            )?,
            slow_clients: counters(
                "bigbrotr_relay_slow_clients_total",
                "What became of clients that do not keep up: subscription_closed, disconnected.",
                ("action", &SLOWNESS),
            )?,
            expired: IntCounter::new(
                "bigbrotr_relay_expired_events_total",
                "Expired events deleted.",
            )?,
            mirrored: IntCounter::new(
                "bigbrotr_relay_mirrored_events_total",
                "Archived reports of other monitors, and deletions that concern them, that became \
                 the relay's own events.",
            )?,
            archive_open: IntGauge::new(
                "bigbrotr_relay_archive_open",
                "1 while the archive is served, 0 where that is off or being prepared.",
            )?,
        };
        metrics.register_all(registry)?;
        Ok(metrics)
    }

    fn register_all(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.connections.clone()))?;
        registry.register(Box::new(self.connections_refused.clone()))?;
        registry.register(Box::new(self.subscriptions.clone()))?;
        registry.register(Box::new(self.messages.clone()))?;
        registry.register(Box::new(self.events.clone()))?;
        registry.register(Box::new(self.refusals.clone()))?;
        registry.register(Box::new(self.query_seconds.clone()))?;
        registry.register(Box::new(self.publish_seconds.clone()))?;
        registry.register(Box::new(self.fanout_seconds.clone()))?;
        registry.register(Box::new(self.fanned_out.clone()))?;
        registry.register(Box::new(self.feed_failures.clone()))?;
        registry.register(Box::new(self.slow_clients.clone()))?;
        registry.register(Box::new(self.expired.clone()))?;
        registry.register(Box::new(self.mirrored.clone()))?;
        registry.register(Box::new(self.archive_open.clone()))
    }
}

/// Counters by one label; those of all its values are there from the start, at zero.
fn counters(
    name: &str,
    help: &str,
    (label, values): (&str, &[&str]),
) -> prometheus::Result<IntCounterVec> {
    let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
    for value in values {
        counters.get_metric_with_label_values(&[value])?;
    }
    Ok(counters)
}

fn histogram(name: &str, help: &str) -> prometheus::Result<Histogram> {
    // From half a millisecond to a few seconds.
    let buckets = prometheus::exponential_buckets(0.000_5, 2.5, 11)?;
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
}
