//! The section `networks`: which networks are used, how each is reached, and how gently.

use std::num::NonZeroU32;
use std::time::Duration;

use bigbrotr_core::config::{Checks, Invalid, Section, duration};
use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::UrlPolicy;
use serde::{Deserialize, Deserializer, Serialize};

use super::proxy_addr::ProxyAddr;

/// How the dialer reaches each network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworksConfig {
    /// Whether private, loopback and other special-purpose addresses may be dialled. Only for
    /// private deployments: relay URLs come from strangers.
    pub allow_private: bool,
    /// The public Internet.
    #[serde(deserialize_with = "over_clearnet")]
    pub clearnet: NetworkConfig,
    /// Tor, for `.onion`.
    #[serde(deserialize_with = "over_tor")]
    pub tor: NetworkConfig,
    /// I2P, for `.i2p`.
    #[serde(deserialize_with = "over_i2p")]
    pub i2p: NetworkConfig,
    /// Lokinet, for `.loki`.
    #[serde(deserialize_with = "over_loki")]
    pub loki: NetworkConfig,
}

impl Default for NetworksConfig {
    fn default() -> Self {
        Self {
            allow_private: false,
            clearnet: NetworkConfig::default_of(Network::Clearnet),
            tor: NetworkConfig::default_of(Network::Tor),
            i2p: NetworkConfig::default_of(Network::I2p),
            loki: NetworkConfig::default_of(Network::Loki),
        }
    }
}

impl NetworksConfig {
    /// Returns the configuration of one network.
    pub fn get(&self, network: Network) -> &NetworkConfig {
        match network {
            Network::Clearnet => &self.clearnet,
            Network::Tor => &self.tor,
            Network::I2p => &self.i2p,
            Network::Loki => &self.loki,
        }
    }

    /// Returns the policy for parsing relay URLs that fits what may be dialled.
    pub fn url_policy(&self) -> UrlPolicy {
        UrlPolicy {
            allow_private: self.allow_private,
            ..UrlPolicy::default()
        }
    }

    /// Lists the networks that are enabled.
    pub fn enabled(&self) -> impl Iterator<Item = Network> + '_ {
        Network::ALL
            .into_iter()
            .filter(|network| self.get(*network).enabled)
    }
}

impl Section for NetworksConfig {
    const NAME: &'static str = "networks";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        for network in Network::ALL {
            checks.nested(network.as_str(), self.get(network).validate(network));
        }
        checks.finish()
    }
}

/// How the dialer reaches one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkConfig {
    /// Whether relays of the network are dialled at all.
    pub enabled: bool,
    /// The SOCKS5 proxy, `host:port`. Overlay networks need one; on clearnet it hides the node,
    /// and resolves the names.
    pub proxy: Option<ProxyAddr>,
    /// The most connections open at once. The synchronizers have as many of their own, on
    /// clearnet as many as they may catch up with and follow at once if that is more.
    pub max_connections: NonZeroU32,
    /// The most connections open at once to one IPv4 address or one IPv6 /64, and to one name;
    /// behind a proxy the name is all that is known.
    pub max_connections_per_ip: NonZeroU32,
    /// The most connections begun in a second; none is no limit.
    pub max_dials_per_second: Option<NonZeroU32>,
    /// The most connections begun in a second to one IPv4 address or one IPv6 /64, and to one
    /// name; none is no limit.
    pub max_dials_per_second_per_ip: Option<NonZeroU32>,
    /// The time for a connection: resolving, connecting, proxy and TLS together.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Whether to go on when a certificate is not valid. What was wrong is reported either way;
    /// what is read then may come from anybody on the path (events are signed, documents not).
    pub accept_invalid_certs: bool,
}

impl NetworkConfig {
    /// Returns a network's defaults: clearnet is enabled, the overlays wait for their proxies.
    pub fn default_of(network: Network) -> Self {
        let (proxy_port, max_connections, per_second, timeout_secs) = match network {
            Network::Clearnet => (None, 1000, 400, 10),
            Network::Tor => (Some(9050), 50, 10, 60),
            Network::I2p => (Some(4447), 25, 5, 90),
            Network::Loki => (Some(1080), 25, 5, 30),
        };
        let per_second_per_ip = per_second.min(10);
        Self {
            enabled: proxy_port.is_none(),
            proxy: proxy_port.map(|port| ProxyAddr {
                host: "127.0.0.1".to_owned(),
                port,
            }),
            max_connections: non_zero(max_connections),
            max_connections_per_ip: non_zero(8),
            max_dials_per_second: Some(non_zero(per_second)),
            max_dials_per_second_per_ip: Some(non_zero(per_second_per_ip)),
            connect_timeout: Duration::from_secs(timeout_secs),
            accept_invalid_certs: false,
        }
    }

    fn validate(&self, network: Network) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        let longest = Duration::from_hours(1);
        checks.duration(
            "connect_timeout",
            self.connect_timeout,
            Duration::from_millis(1)..=longest,
        );
        if self.enabled && self.proxy.is_none() && network != Network::Clearnet {
            let message = format!("{network} is enabled without a proxy");
            checks.push(Invalid::new("proxy", message).with_hint("set it to host:port"));
        }
        checks.finish()
    }
}

const fn non_zero(value: u32) -> NonZeroU32 {
    match NonZeroU32::new(value) {
        Some(value) => value,
        None => NonZeroU32::MIN,
    }
}

/// What a file says of a network: what it leaves out keeps that network's own default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    enabled: Option<bool>,
    #[serde(default)]
    proxy: Setting<ProxyAddr>,
    max_connections: Option<NonZeroU32>,
    max_connections_per_ip: Option<NonZeroU32>,
    #[serde(default)]
    max_dials_per_second: Setting<NonZeroU32>,
    #[serde(default)]
    max_dials_per_second_per_ip: Setting<NonZeroU32>,
    #[serde(default, with = "duration::option")]
    connect_timeout: Option<Duration>,
    accept_invalid_certs: Option<bool>,
}

/// A key that may be null, which is not the same as a key that is left out.
#[derive(Default)]
enum Setting<T> {
    #[default]
    Absent,
    To(Option<T>),
}

impl<T> Setting<T> {
    fn or(self, default: Option<T>) -> Option<T> {
        match self {
            Self::Absent => default,
            Self::To(value) => value,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::To)
    }
}

fn over<'de, D>(network: Network, deserializer: D) -> Result<NetworkConfig, D::Error>
where
    D: Deserializer<'de>,
{
    let written = Written::deserialize(deserializer)?;
    let default = NetworkConfig::default_of(network);
    Ok(NetworkConfig {
        enabled: written.enabled.unwrap_or(default.enabled),
        proxy: written.proxy.or(default.proxy),
        max_connections: written.max_connections.unwrap_or(default.max_connections),
        max_connections_per_ip: written
            .max_connections_per_ip
            .unwrap_or(default.max_connections_per_ip),
        max_dials_per_second: written
            .max_dials_per_second
            .or(default.max_dials_per_second),
        max_dials_per_second_per_ip: written
            .max_dials_per_second_per_ip
            .or(default.max_dials_per_second_per_ip),
        connect_timeout: written.connect_timeout.unwrap_or(default.connect_timeout),
        accept_invalid_certs: written
            .accept_invalid_certs
            .unwrap_or(default.accept_invalid_certs),
    })
}

fn over_clearnet<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NetworkConfig, D::Error> {
    over(Network::Clearnet, deserializer)
}

fn over_tor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NetworkConfig, D::Error> {
    over(Network::Tor, deserializer)
}

fn over_i2p<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NetworkConfig, D::Error> {
    over(Network::I2p, deserializer)
}

fn over_loki<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NetworkConfig, D::Error> {
    over(Network::Loki, deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<NetworksConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn what_a_file_leaves_out_keeps_that_networks_default() {
        let config =
            read(r#"{"tor":{"enabled":true},"clearnet":{"connect_timeout":"3s"}}"#).unwrap();
        assert_eq!(
            config.tor.proxy.as_ref().unwrap().to_string(),
            "127.0.0.1:9050"
        );
        assert_eq!(config.tor.connect_timeout, Duration::from_mins(1));
        assert_eq!(config.clearnet.connect_timeout, Duration::from_secs(3));
        assert_eq!(
            config.enabled().collect::<Vec<_>>(),
            [Network::Clearnet, Network::Tor]
        );
        let off = read(r#"{"tor":{"enabled":true,"proxy":null,"max_dials_per_second":null}}"#);
        let off = off.unwrap();
        assert_eq!(
            (off.tor.proxy.clone(), off.tor.max_dials_per_second),
            (None, None)
        );
        assert_eq!(off.validate().unwrap_err()[0].key, "tor.proxy");
        assert!(read(r#"{"tor":{"enable":true}}"#).is_err());
    }

    #[test]
    fn the_default_is_valid_and_reads_back() {
        let config = NetworksConfig::default();
        config.validate().unwrap();
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(read(&json).unwrap(), config);
    }
}
