//! The configuration section `api`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bigbrotr_core::config::{ByteSize, Checks, Invalid, Section, duration};
use serde::{Deserialize, Serialize};
use url::Url;

use super::proxy::TrustedProxy;
use crate::limits::MAX_CONNECTIONS;

/// How the REST mirror listens and what it bears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where clients reach it, for `/openapi.json`. Empty: that says `/`.
    pub public_url: String,
    /// Web pages that may ask from a browser, such as `https://example.com`; `*` is all.
    pub cors_origins: Vec<String>,
    /// Requests per second that one client may send in the long run.
    pub rate_per_second: u32,
    /// Requests that one client may send at once.
    pub rate_burst: u32,
    /// Reverse proxies whose `X-Forwarded-For` is believed, so that the rate limit counts clients
    /// and not the proxy: addresses, and networks such as `10.0.0.0/8`.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Connections that one client may hold: an IPv4 address or an IPv6 /64. Trusted proxies may
    /// hold any number.
    pub max_connections_per_client: usize,
    /// Whether the access log names clients by their addresses.
    pub log_client_addresses: bool,
    /// Whether to compress answers for clients that take it.
    pub gzip: bool,
    /// The most bytes of a request: its line and headers.
    pub max_request_size: ByteSize,
    /// How long a request may take, from its first byte to its answer.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_url: String::new(),
            cors_origins: vec!["*".to_owned()],
            rate_per_second: 10,
            rate_burst: 50,
            trusted_proxies: Vec::new(),
            max_connections_per_client: 64,
            log_client_addresses: false,
            gzip: true,
            max_request_size: ByteSize::kib(16),
            request_timeout: Duration::from_secs(15),
        }
    }
}

impl Section for ApiConfig {
    const NAME: &'static str = "api";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        if !self.public_url.is_empty() && !is_web_url(&self.public_url) {
            let message = format!("{:?} is no http:// or https:// URL", self.public_url);
            checks.push(Invalid::new("public_url", message));
        }
        for (n, origin) in self.cors_origins.iter().enumerate() {
            if origin != "*" && !is_origin(origin) {
                let message = format!("{origin:?} is no origin");
                let hint = "expected * or scheme and host, as in https://example.com";
                let key = format!("cors_origins[{n}]");
                checks.push(Invalid::new(key, message).with_hint(hint));
            }
        }
        checks.range("rate_per_second", self.rate_per_second, 1..=1_000_000);
        checks.range("rate_burst", self.rate_burst, 1..=1_000_000);
        checks.range(
            "max_connections_per_client",
            self.max_connections_per_client,
            1..=MAX_CONNECTIONS,
        );
        let size = self.max_request_size.bytes();
        if !(8_192..=1_048_576).contains(&size) {
            let message = format!("{} is out of range", self.max_request_size);
            let hint = "expected 8KiB to 1MiB";
            checks.push(Invalid::new("max_request_size", message).with_hint(hint));
        }
        checks.duration(
            "request_timeout",
            self.request_timeout,
            Duration::from_secs(1)..=Duration::from_mins(5),
        );
        checks.finish()
    }
}

fn is_web_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// An origin has no path, not even a slash.
fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_nonsense_is_refused_by_key() {
        ApiConfig::default().validate().unwrap();
        let config = ApiConfig {
            public_url: "example.com".into(),
            cors_origins: vec!["https://ok.example".into(), "https://no.example/".into()],
            rate_burst: 0,
            max_connections_per_client: 0,
            max_request_size: ByteSize::new(100),
            request_timeout: Duration::ZERO,
            ..ApiConfig::default()
        };
        let keys: Vec<String> = config
            .validate()
            .unwrap_err()
            .into_iter()
            .map(|invalid| invalid.key)
            .collect();
        let expected = [
            "public_url",
            "cors_origins[1]",
            "rate_burst",
            "max_connections_per_client",
            "max_request_size",
            "request_timeout",
        ];
        assert_eq!(keys, expected);
    }
}
