//! The configuration section `relay`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bigbrotr_core::config::{ByteSize, Checks, Invalid, Section, duration};
use bigbrotr_core::event::Pubkey;
use bigbrotr_core::limits::MAX_SUBSCRIPTION_ID_CHARS;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use serde::{Deserialize, Serialize};

/// How the embedded relay listens, describes itself, and what it bears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelayConfig {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The URL under which clients know the relay, `wss://…`: NIP-42 and requests to vanish
    /// (NIP-62) name it. Empty: they have to name the address that the client is connected to.
    pub public_url: String,
    /// NIP-11: what the relay is called.
    pub name: String,
    /// NIP-11: what it is for.
    pub description: String,
    /// NIP-11: how to reach the operator, a URI. Empty: not said.
    pub contact: String,
    /// NIP-11: the operator's public key, hex. None: the node's own.
    pub operator: Option<Pubkey>,
    /// NIP-11: URL of an icon. Empty: none.
    pub icon: String,
    /// NIP-11: URL of a banner. Empty: none.
    pub banner: String,
    /// NIP-11: URL of the terms of service. Empty: none.
    pub terms_of_service: String,
    /// Reverse proxies whose `X-Forwarded-For` is believed, so that the limits per address count
    /// clients and not the proxy.
    pub trusted_proxies: Vec<IpAddr>,
    /// How often a client that says nothing is pinged.
    #[serde(with = "duration")]
    pub ping_interval: Duration,
    /// How long a client may say nothing, not even a pong.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// How long a client may take nothing of what is sent to it.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// How often expired events are deleted. They are never served, deleted or not.
    #[serde(with = "duration")]
    pub expiry_interval: Duration,
    /// Who may write what.
    pub policy: PolicyConfig,
    /// Who has to authenticate (NIP-42).
    pub auth: AuthConfig,
    /// What one client may ask for.
    pub limits: LimitsConfig,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7777)),
            public_url: String::new(),
            name: "BigBrotr".to_owned(),
            description: "Relay observatory: NIP-66 reports of relays, and answers to NIP-90 jobs \
                          about relays and events."
                .to_owned(),
            contact: String::new(),
            operator: None,
            icon: String::new(),
            banner: String::new(),
            terms_of_service: String::new(),
            trusted_proxies: Vec::new(),
            ping_interval: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(100),
            write_timeout: Duration::from_secs(30),
            expiry_interval: Duration::from_mins(1),
            policy: PolicyConfig::default(),
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
        }
    }
}

/// Who may write what. The node's own events are always taken, and so is a request to vanish that
/// names this relay (NIP-62), whoever's it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// Kinds that everybody may write: deletions and DVM requests.
    pub accepted_kinds: BTreeSet<u16>,
    /// Public keys, hex, that may write every kind.
    pub allowed_pubkeys: BTreeSet<Pubkey>,
    /// Public keys, hex, that may write nothing.
    pub denied_pubkeys: BTreeSet<Pubkey>,
    /// Leading zero bits that a stranger's event id needs (NIP-13); 0 asks for none.
    pub min_pow_difficulty: u8,
    /// How far in the past `created_at` may be. None: any time.
    #[serde(with = "duration::option")]
    pub created_at_lower_limit: Option<Duration>,
    /// How far in the future `created_at` may be.
    #[serde(with = "duration")]
    pub created_at_upper_limit: Duration,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            accepted_kinds: BTreeSet::from([5, 5400, 5450]),
            allowed_pubkeys: BTreeSet::new(),
            denied_pubkeys: BTreeSet::new(),
            min_pow_difficulty: 0,
            created_at_lower_limit: None,
            created_at_upper_limit: Duration::from_mins(15),
        }
    }
}

/// Who has to authenticate (NIP-42). Every client may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Whoever subscribes, counts or reconciles.
    pub to_read: bool,
    /// Whoever publishes.
    pub to_write: bool,
}

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
            max_connections: 1_000,
            max_connections_per_ip: 20,
            outgoing_messages: 2_000,
            outgoing_bytes: ByteSize::mib(2),
        }
    }
}

impl RelayConfig {
    /// Returns the public URL, if one is configured and is one.
    pub(crate) fn relay_url(&self) -> Option<RelayUrl> {
        RelayUrl::parse(&self.public_url, &URL_POLICY).ok()
    }
}

/// The operator may name the relay as it pleases, in a private network too.
pub(crate) const URL_POLICY: UrlPolicy = UrlPolicy {
    allow_private: true,
    keep_query: false,
};

impl Section for RelayConfig {
    const NAME: &'static str = "relay";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        if !self.public_url.is_empty()
            && let Err(error) = RelayUrl::parse(&self.public_url, &URL_POLICY)
        {
            checks.push(
                Invalid::new("public_url", error.to_string())
                    .with_hint("expected e.g. wss://relay.example.com"),
            );
        }
        let second = Duration::from_secs(1);
        checks.duration(
            "ping_interval",
            self.ping_interval,
            second..=Duration::from_hours(1),
        );
        checks.require(
            self.idle_timeout > self.ping_interval,
            "idle_timeout",
            "must be longer than ping_interval, or clients without pings of their own are cut off",
        );
        checks.duration(
            "write_timeout",
            self.write_timeout,
            second..=Duration::from_mins(10),
        );
        checks.duration(
            "expiry_interval",
            self.expiry_interval,
            second..=Duration::from_hours(24),
        );
        checks.nested("limits", self.limits.validate());
        checks.finish()
    }
}

impl LimitsConfig {
    fn validate(&self) -> Result<(), Vec<Invalid>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_reads_back() {
        let config = RelayConfig::default();
        config.validate().unwrap();
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<RelayConfig>(&json).unwrap(), config);
    }

    #[test]
    fn senseless_values_are_refused_by_key() {
        let config = RelayConfig {
            public_url: "https://not.a.relay".to_owned(),
            idle_timeout: Duration::from_secs(1),
            limits: LimitsConfig {
                default_limit: 501,
                outgoing_bytes: ByteSize::kib(1),
                ..LimitsConfig::default()
            },
            ..RelayConfig::default()
        };
        let keys: Vec<String> = config
            .validate()
            .unwrap_err()
            .into_iter()
            .map(|invalid| invalid.key)
            .collect();
        assert_eq!(
            keys,
            [
                "public_url",
                "idle_timeout",
                "limits.outgoing_bytes",
                "limits.default_limit"
            ]
        );
    }
}
