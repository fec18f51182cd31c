//! `relay.limits`: what one client may ask for, and what all of them together may cost.

use std::time::Duration;

use bigbrotr_core::config::{ByteSize, Checks, Invalid, duration};
use bigbrotr_core::limits::MAX_SUBSCRIPTION_ID_CHARS;
use serde::{Deserialize, Serialize};

/// What one client may ask for. NIP-11 says so too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// The longest message.
    pub max_message_bytes: ByteSize,
    /// Subscriptions open at once on a connection.
    pub max_subscriptions: usize,
    /// Filters in a REQ or COUNT.
    pub max_filters: usize,
    /// Values in a filter, all its lists together.
    pub max_filter_values: usize,
    /// Stored events that a filter returns at most.
    pub max_limit: usize,
    /// Stored events that a filter without a limit returns.
    pub default_limit: usize,
    /// Characters of a subscription id.
    pub max_subid_length: usize,
    /// Tags of an event.
    pub max_event_tags: usize,
    /// Characters of an event's content.
    pub max_content_length: usize,
    /// Messages in a second on a connection, in the long run.
    pub messages_per_second: u32,
    /// Messages that a connection may send at once after a silence.
    pub message_burst: u32,
    /// Messages in a second from one address, all its connections together.
    pub messages_per_second_per_ip: u32,
    /// Messages that one address may send at once after a silence.
    pub message_burst_per_ip: u32,
    /// How long the database may work on one REQ, COUNT or NEG-OPEN.
    #[serde(with = "duration")]
    pub query_timeout: Duration,
    /// Stored events that are looked at for one REQ, whether they are returned or not.
    pub max_scanned_events: usize,
    /// Events that a COUNT counts at most.
    pub max_count: u64,
    /// Events that one reconciliation (NIP-77) compares at most.
    pub max_reconcile_events: usize,
    /// Events that all open reconciliations together compare at most: 40 bytes of memory each.
    pub max_reconcile_events_in_all: usize,
    /// WebSocket connections.
    pub max_connections: usize,
    /// WebSocket connections of one IPv4 address or one IPv6 /64.
    pub max_connections_per_ip: usize,
    /// Messages that wait for a client to take them. A client further behind loses its
    /// subscriptions, and is told so.
    pub outgoing_messages: usize,
    /// The same in bytes.
    pub outgoing_bytes: ByteSize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_message_bytes: ByteSize::kib(256),
            max_subscriptions: 20,
            max_filters: 10,
            max_filter_values: 1_000,
            max_limit: 500,
            default_limit: 500,
            max_subid_length: MAX_SUBSCRIPTION_ID_CHARS,
            max_event_tags: 2_000,
            max_content_length: 128 * 1024,
            messages_per_second: 20,
            message_burst: 100,
            messages_per_second_per_ip: 100,
            message_burst_per_ip: 500,
            query_timeout: Duration::from_secs(10),
            max_scanned_events: 100_000,
            max_count: 1_000_000,
            max_reconcile_events: 500_000,
            max_reconcile_events_in_all: 1_600_000,
            max_connections: 1_000,
            max_connections_per_ip: 20,
            outgoing_messages: 2_000,
            outgoing_bytes: ByteSize::mib(2),
        }
    }
}

impl LimitsConfig {
    pub(super) fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        let bytes = self.max_message_bytes.bytes();
        checks.require(
            (ByteSize::kib(1).bytes()..=ByteSize::mib(16).bytes()).contains(&bytes),
            "max_message_bytes",
            format!(
                "{} is out of range: expected 1KiB to 16MiB",
                self.max_message_bytes
            ),
        );
        checks.require(
            self.outgoing_bytes >= self.max_message_bytes,
            "outgoing_bytes",
            "must hold at least one message of max_message_bytes",
        );
        checks.range("max_subscriptions", self.max_subscriptions, 1..=10_000);
        checks.range("max_filters", self.max_filters, 1..=1_000);
        checks.range("max_filter_values", self.max_filter_values, 1..=100_000);
        checks.range("max_limit", self.max_limit, 1..=5_000);
        checks.range(
            "default_limit",
            self.default_limit,
            1..=self.max_limit.max(1),
        );
        checks.range(
            "max_subid_length",
            self.max_subid_length,
            1..=MAX_SUBSCRIPTION_ID_CHARS,
        );
        checks.range("messages_per_second", self.messages_per_second, 1..=100_000);
        checks.range("message_burst", self.message_burst, 1..=1_000_000);
        checks.range(
            "messages_per_second_per_ip",
            self.messages_per_second_per_ip,
            1..=1_000_000,
        );
        checks.range(
            "message_burst_per_ip",
            self.message_burst_per_ip,
            1..=10_000_000,
        );
        checks.duration(
            "query_timeout",
            self.query_timeout,
            Duration::from_millis(100)..=Duration::from_mins(5),
        );
        checks.range(
            "max_scanned_events",
            self.max_scanned_events,
            self.max_limit..=100_000_000,
        );
        checks.range("max_count", self.max_count, 1..=1_000_000_000);
        checks.range(
            "max_reconcile_events",
            self.max_reconcile_events,
            1..=50_000_000,
        );
        checks.range(
            "max_reconcile_events_in_all",
            self.max_reconcile_events_in_all,
            self.max_reconcile_events..=500_000_000,
        );
        checks.range("max_connections", self.max_connections, 1..=100_000);
        checks.range(
            "max_connections_per_ip",
            self.max_connections_per_ip,
            1..=100_000,
        );
        checks.range("outgoing_messages", self.outgoing_messages, 16..=1_000_000);
        checks.finish()
    }
}
