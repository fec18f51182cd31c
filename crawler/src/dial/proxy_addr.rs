//! How the address of a SOCKS5 proxy is written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The address of a SOCKS5 proxy: `host:port`, `[v6]:port`, optionally after `socks5://`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProxyAddr {
    /// Host name or IP address, IPv6 without brackets. Resolved by the operating system.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A text that is no proxy's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a socks5 proxy: expected host:port, e.g. 127.0.0.1:9050")]
pub struct ProxyAddrError {
    text: String,
}

impl FromStr for ProxyAddr {
    type Err = ProxyAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ProxyAddrError {
            text: text.to_owned(),
        };
        let address = text.strip_prefix("socks5://").unwrap_or(text);
        let (host, port) = address.rsplit_once(':').ok_or_else(error)?;
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_host = !host.is_empty() && host.chars().all(plain);
        let is_v6 = bracketed.is_some() && host.parse::<std::net::Ipv6Addr>().is_ok();
        match port.parse() {
            Ok(port) if port > 0 && (is_host || is_v6) => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for ProxyAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Serialize for ProxyAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProxyAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_host_and_port() {
        for (text, shown) in [
            ("127.0.0.1:9050", "127.0.0.1:9050"),
            ("socks5://tor:9050", "tor:9050"),
            ("[::1]:1080", "[::1]:1080"),
        ] {
            assert_eq!(text.parse::<ProxyAddr>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "tor",
            "tor:",
            ":9050",
            "tor:0",
            "tor:99999",
            "::1:80",
            "http://tor:80",
        ] {
            assert!(text.parse::<ProxyAddr>().is_err(), "{text}");
        }
    }
}
