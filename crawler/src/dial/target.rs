//! Where a connection leads: host, port, TLS and network. It resolves nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::RelayUrl;
use url::Url;

/// The longest host name, bytes (RFC 1035).
const MAX_HOST_BYTES: usize = 253;

/// The end of a connection to be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// A host name in ASCII or an IP address, IPv6 without brackets, without a final dot.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The network that the host belongs to.
    pub network: Network,
}

/// A URL that names nothing that can be dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither http, https, ws nor wss.
    #[error("scheme {scheme:?} cannot be dialled")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// No host.
    #[error("url has no host")]
    NoHost,
}

impl Target {
    /// Makes a target; the network follows from the host. The numeric spellings of an IPv4
    /// address that browsers and C libraries know (`0x7f.1`, `2130706433`) become that address.
    pub fn new(host: &str, port: u16, tls: bool) -> Self {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let host = numeric_ip(&host).map_or(host, |ip| ip.to_string());
        let network = network_of(&host);
        Self {
            host,
            port,
            tls,
            network,
        }
    }

    /// Reads the target of an http, https, ws or wss URL.
    pub fn from_url(url: &Url) -> Result<Self, TargetError> {
        let tls = match url.scheme() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            scheme => {
                return Err(TargetError::Scheme {
                    scheme: scheme.to_owned(),
                });
            }
        };
        let port = url
            .port_or_known_default()
            .unwrap_or(if tls { 443 } else { 80 });
        let host = match url.host().ok_or(TargetError::NoHost)? {
            url::Host::Domain(name) => name.to_owned(),
            url::Host::Ipv4(ip) => ip.to_string(),
            url::Host::Ipv6(ip) => ip.to_string(),
        };
        Ok(Self::new(&host, port, tls))
    }

    /// Says whether the host is an IP address, or a name of the characters that names have and
    /// that nobody reads as an address.
    ///
    /// # Security
    /// What is no name is asked neither of DNS nor of a proxy, which may take it for an address
    /// of its own: `::1%lo`.
    pub(super) fn is_sound(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        self.ip().is_some()
            || (1..=MAX_HOST_BYTES).contains(&self.host.len())
                && self.host.bytes().all(plain)
                && !ends_in_number(&self.host)
    }

    /// Returns the host as an IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl From<&RelayUrl> for Target {
    fn from(url: &RelayUrl) -> Self {
        Self {
            host: url.host().to_owned(),
            port: url.port(),
            tls: url.is_tls(),
            network: url.network(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Reads the spellings of an IPv4 address other than four decimal numbers.
fn numeric_ip(host: &str) -> Option<Ipv4Addr> {
    match ends_in_number(host).then(|| url::Host::parse(host)) {
        Some(Ok(url::Host::Ipv4(ip))) => Some(ip),
        _ => None,
    }
}

/// Tells hosts that are an IPv4 address or nothing, as the WHATWG URL parser does.
fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    match last.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Tells the network by the last label. Only the label counts: a name that merely looks like an
/// onion address must not reach DNS either.
fn network_of(host: &str) -> Network {
    match host.rsplit('.').next() {
        Some("onion") => Network::Tor,
        Some("i2p") => Network::I2p,
        Some("loki") => Network::Loki,
        _ => Network::Clearnet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlay_names_are_recognised_in_every_spelling() {
        for (host, network) in [
            ("abc.onion", Network::Tor),
            ("ABC.ONION.", Network::Tor),
            ("onion", Network::Tor),
            ("x.b32.i2p", Network::I2p),
            ("y.loki", Network::Loki),
            ("onion.example.com", Network::Clearnet),
            ("10.0.0.1", Network::Clearnet),
        ] {
            assert_eq!(Target::new(host, 80, false).network, network, "{host}");
        }
    }

    #[test]
    fn an_address_is_one_in_every_spelling() {
        for host in [
            "127.1",
            "0x7f.1",
            "0X7F000001",
            "2130706433",
            "0177.0.0.01",
            "127.0.0.1.",
        ] {
            assert_eq!(Target::new(host, 80, false).host, "127.0.0.1", "{host}");
        }
        for host in [
            "relay.example",
            "https_1.x.com",
            "8.8.8.8",
            "2001:db8::1",
            "localhost",
        ] {
            assert!(Target::new(host, 80, false).is_sound(), "{host}");
        }
        let long = "a.".repeat(127) + "aa";
        for host in [
            "",
            "1.2.3.4.5",
            "256.1.1.1",
            "x.0xa",
            "::1%lo",
            "[::1]",
            "a b",
            "é.com",
            &long,
        ] {
            assert!(!Target::new(host, 80, false).is_sound(), "{host}");
        }
    }

    #[test]
    fn urls_become_targets() {
        let target = |url: &str| Target::from_url(&Url::parse(url).unwrap());
        let v6 = target("https://[2001:db8::1]/x").unwrap();
        assert_eq!(
            (v6.to_string().as_str(), v6.tls),
            ("[2001:db8::1]:443", true)
        );
        assert!(v6.ip().is_some());
        assert_eq!(
            target("http://Example.COM.:81/").unwrap().to_string(),
            "example.com:81"
        );
        assert!(matches!(
            target("ftp://example.com/"),
            Err(TargetError::Scheme { .. })
        ));
    }
}
