//! What a simulated relay is and does when nothing is wrong with it.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use super::faults::Fault;
use super::tls::TlsConfig;
use crate::population::SimEvent;

/// Describes a simulated relay. The default is a healthy, open relay without events.
#[derive(Debug, Clone)]
pub struct SimRelayConfig {
    /// The loopback address that it listens on: clients count connections per address, and
    /// thousands of relays on one are one crowded host to them.
    pub ip: Ipv4Addr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The events it starts with. Ephemeral ones are left out.
    pub events: Vec<SimEvent>,
    /// What it says about itself (NIP-11).
    pub information: Information,
    /// The most events per filter, as NIP-11 tells; `None` for no bound.
    pub max_limit: Option<usize>,
    /// Whether it answers COUNT (NIP-45).
    pub count: bool,
    /// Whether and how it reconciles (NIP-77).
    pub negentropy: Option<NegentropyConfig>,
    /// Who has to authenticate (NIP-42).
    pub auth: AuthPolicy,
    /// Encrypts with this certificate.
    pub tls: Option<TlsConfig>,
    /// What goes wrong from the start.
    pub faults: Vec<Fault>,
    /// Seeds whatever its faults draw.
    pub seed: u64,
}

impl Default for SimRelayConfig {
    fn default() -> Self {
        Self {
            ip: Ipv4Addr::LOCALHOST,
            port: 0,
            events: Vec::new(),
            information: Information::Default,
            max_limit: None,
            count: true,
            negentropy: Some(NegentropyConfig::default()),
            auth: AuthPolicy::Open,
            tls: None,
            faults: Vec::new(),
            seed: 0,
        }
    }
}

impl SimRelayConfig {
    /// Describes a healthy relay that has these events.
    pub fn with_events<E: Into<SimEvent>>(events: impl IntoIterator<Item = E>) -> Self {
        Self {
            events: events.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Describes an otherwise healthy relay with these faults.
    pub fn with_faults<F: Into<Fault>>(faults: impl IntoIterator<Item = F>) -> Self {
        Self {
            faults: faults.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

/// What a simulated relay answers to a NIP-11 request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Information {
    /// A correct document that fits its configuration.
    Default,
    /// This text, valid or not, with status 200.
    Raw(String),
    /// Status 404.
    Absent,
}

/// Who has to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthPolicy {
    /// Nobody, and no challenge is sent.
    Open,
    /// Nobody, but a challenge is sent on connection.
    Optional,
    /// Who wants to read.
    Reads,
    /// Who wants to write.
    Writes,
    /// Everybody.
    All,
}

impl AuthPolicy {
    pub(super) fn challenges(self) -> bool {
        self != Self::Open
    }

    pub(super) fn guards_reads(self) -> bool {
        matches!(self, Self::Reads | Self::All)
    }

    pub(super) fn guards_writes(self) -> bool {
        matches!(self, Self::Writes | Self::All)
    }
}

/// How a simulated relay reconciles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegentropyConfig {
    /// The largest message: bytes before hex; 0 for no bound.
    pub frame_limit_bytes: u64,
    /// Refuses (NEG-ERR `blocked`) sets that are larger than this.
    pub max_records: Option<usize>,
}

impl Default for NegentropyConfig {
    fn default() -> Self {
        Self {
            frame_limit_bytes: 500_000,
            max_records: None,
        }
    }
}

/// Writes the correct document for a relay of this configuration.
pub(super) fn default_information(config: &SimRelayConfig, address: SocketAddr) -> String {
    let mut nips = vec![1, 11];
    if config.auth.challenges() {
        nips.push(42);
    }
    if config.count {
        nips.push(45);
    }
    if config.negentropy.is_some() {
        nips.push(77);
    }
    let mut limitation = json!({
        "max_message_length": crate::limits::MAX_MESSAGE_BYTES,
        "max_subscriptions": crate::limits::MAX_SUBSCRIPTIONS,
        "auth_required": config.auth == AuthPolicy::All,
        "payment_required": false,
        "restricted_writes": config.auth.guards_writes(),
    });
    if let Some(limit) = config.max_limit {
        limitation["max_limit"] = limit.into();
    }
    json!({
        "name": format!("Simulated relay {}", address.port()),
        "description": "Serves made-up events for tests and demonstrations.",
        "software": "https://github.com/bigbrotr/bigbrotr",
        "version": env!("CARGO_PKG_VERSION"),
        "supported_nips": nips,
        "limitation": limitation,
    })
    .to_string()
}
