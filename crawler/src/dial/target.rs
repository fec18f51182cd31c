//! Where a connection leads: host, port, TLS and network. It resolves nothing.

use std::fmt;
use std::net::IpAddr;

use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::RelayUrl;
use url::Url;

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
    /// Makes a target; the network follows from the host.
    pub fn new(host: &str, port: u16, tls: bool) -> Self {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
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
