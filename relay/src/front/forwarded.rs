//! Who the client is, where a reverse proxy stands between.

use std::net::IpAddr;

use http::HeaderMap;

use crate::config::{ProxyHeader, RelayConfig};

/// Says whether an address is a proxy's that is believed.
pub(super) fn is_proxy(config: &RelayConfig, ip: IpAddr) -> bool {
    config
        .trusted_proxies
        .iter()
        .any(|range| range.contains(ip))
}

/// Returns the client's address: the peer's, unless that is a trusted proxy. Then it is the last
/// address that proxies have added which is no trusted proxy's own.
///
/// # Security
/// A client can send the header too, so what stands before the first address that we cannot vouch
/// for is anybody's word. So is the header that the operator's proxies do not set.
pub(super) fn client_ip(config: &RelayConfig, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let mut client = peer;
    let name = match config.proxy_header {
        ProxyHeader::XForwardedFor => "x-forwarded-for",
        ProxyHeader::Forwarded => "forwarded",
    };
    let values: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for value in values.into_iter().rev() {
        if !is_proxy(config, client) {
            break;
        }
        let added = match config.proxy_header {
            ProxyHeader::XForwardedFor => address(value),
            ProxyHeader::Forwarded => forwarded_for(value),
        };
        // `unknown` and the like: the proxy is all that is known.
        let Some(added) = added else { break };
        client = added;
    }
    client
}

/// Reads the `for` of one element ([RFC 7239, 4]).
///
/// [RFC 7239, 4]: https://datatracker.ietf.org/doc/html/rfc7239#section-4
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(node.trim().trim_matches('"'))
}

/// Reads an address, with or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => text.rsplit_once(':')?.0,
    };
    host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(header: ProxyHeader, values: &[&'static str], peer: &str) -> String {
        let config = RelayConfig {
            trusted_proxies: ["10.0.0.0/8", "::1"].map(|r| r.parse().unwrap()).into(),
            proxy_header: header,
            ..RelayConfig::default()
        };
        let mut headers = HeaderMap::new();
        let name = match header {
            ProxyHeader::XForwardedFor => "x-forwarded-for",
            ProxyHeader::Forwarded => "forwarded",
        };
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        client_ip(&config, &headers, peer.parse().unwrap()).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_have_added_counts() {
        let xff =
            |values: &[&'static str], peer: &str| client(ProxyHeader::XForwardedFor, values, peer);
        assert_eq!(xff(&["192.0.2.1"], "198.51.100.7"), "198.51.100.7");
        assert_eq!(xff(&["203.0.113.9, 192.0.2.1"], "10.0.0.1"), "192.0.2.1");
        assert_eq!(
            xff(&["203.0.113.9", "192.0.2.1, 10.2.2.2"], "10.0.0.1"),
            "192.0.2.1"
        );
        assert_eq!(xff(&["203.0.113.9, unknown"], "10.0.0.1"), "10.0.0.1");
        assert_eq!(xff(&[], "10.0.0.1"), "10.0.0.1");
        assert_eq!(xff(&["192.0.2.1:4711"], "::1"), "192.0.2.1");
        assert_eq!(
            xff(&["[2001:db8::1]:443"], "::ffff:10.0.0.1"),
            "2001:db8::1"
        );
    }

    #[test]
    fn the_standard_header_is_read_where_it_is_configured() {
        let forwarded =
            |values: &[&'static str]| client(ProxyHeader::Forwarded, values, "10.0.0.1");
        assert_eq!(
            forwarded(&["for=203.0.113.9, For=\"[2001:db8::1]:4711\";proto=https"]),
            "2001:db8::1"
        );
        assert_eq!(forwarded(&["proto=http;for=192.0.2.43"]), "192.0.2.43");
        assert_eq!(forwarded(&["for=_hidden"]), "10.0.0.1");
    }
}
