//! The configuration section `relay`.

mod addresses;
mod archive;
mod limits;
mod policy;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bigbrotr_core::config::{Checks, Invalid, Section, duration};
use bigbrotr_core::event::Pubkey;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use serde::{Deserialize, Serialize};

pub use self::addresses::AddressRange;
pub use self::archive::ArchiveServingConfig;
pub use self::limits::LimitsConfig;
pub use self::policy::{AuthConfig, PolicyConfig};

/// Which header of a trusted proxy names the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, as most proxies send it.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

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
    /// Reverse proxies that are believed when they say who the client is, so that the limits per
    /// address count clients and not the proxy: addresses, or networks as `10.0.0.0/8`.
    pub trusted_proxies: BTreeSet<AddressRange>,
    /// The header in which they say it. The other one is a stranger's word.
    pub proxy_header: ProxyHeader,
    /// Addresses or networks whose connections are refused.
    pub denied_addresses: BTreeSet<AddressRange>,
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
    /// Whether the archive is served beside the relay's own events.
    pub archive: ArchiveServingConfig,
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
            trusted_proxies: BTreeSet::new(),
            proxy_header: ProxyHeader::XForwardedFor,
            denied_addresses: BTreeSet::new(),
            ping_interval: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(100),
            write_timeout: Duration::from_secs(30),
            expiry_interval: Duration::from_mins(1),
            archive: ArchiveServingConfig::default(),
            policy: PolicyConfig::default(),
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
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
        checks.nested("archive", self.archive.validate());
        checks.nested("policy", self.policy.validate());
        checks.nested("limits", self.limits.validate());
        checks.finish()
    }
}

#[cfg(test)]
mod tests {
    use bigbrotr_core::config::ByteSize;

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
