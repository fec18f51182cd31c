//! Who a client is, for the rate limit. Addresses are compared and forgotten, never logged.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use warp::http::HeaderMap;

use super::proxy::TrustedProxy;

/// Finds the client's address: the connection's, or what trusted proxies say.
///
/// # Security
/// `X-Forwarded-For` counts from the right, and only as long as a trusted proxy wrote it: whatever
/// a client puts there itself stands further left.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[TrustedProxy]) -> IpAddr {
    let mut address = peer.to_canonical();
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in forwarded.iter().rev() {
        if !is_trusted(address, trusted) {
            break;
        }
        match hop_address(hop.trim()) {
            Some(hop) => address = hop.to_canonical(),
            None => break,
        }
    }
    address
}

/// Says whether an address is a trusted proxy's.
pub(super) fn is_trusted(address: IpAddr, trusted: &[TrustedProxy]) -> bool {
    trusted.iter().any(|proxy| proxy.contains(address))
}

/// Reads one hop. Some proxies write the port too.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    bare.unwrap_or(hop)
        .parse()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|hop| hop.ip()))
}

/// The part of an address that tells clients apart: an IPv6 client owns at least a /64.
pub(super) fn key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<TrustedProxy> = trusted.iter().map(|ip| ip.parse().unwrap()).collect();
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = ["127.0.0.1", "10.0.0.1"];
        assert_eq!(seen("9.9.9.9", &["1.1.1.1"], &proxies), "9.9.9.9");
        assert_eq!(seen("127.0.0.1", &["1.1.1.1"], &proxies), "1.1.1.1");
        assert_eq!(
            seen("127.0.0.1", &["6.6.6.6, 1.1.1.1"], &proxies),
            "1.1.1.1"
        );
        let chain = ["6.6.6.6, 1.1.1.1", "10.0.0.1"];
        assert_eq!(seen("127.0.0.1", &chain, &proxies), "1.1.1.1");
        let network = ["10.0.0.0/8"];
        assert_eq!(
            seen("10.9.9.9", &["1.1.1.1, 10.1.1.1"], &network),
            "1.1.1.1"
        );
        assert_eq!(seen("10.9.9.9", &["1.1.1.1:4711"], &network), "1.1.1.1");
        assert_eq!(
            seen("10.9.9.9", &["[2001:db8::1]:443"], &network),
            "2001:db8::1"
        );
        assert_eq!(
            seen("10.9.9.9", &["[2001:db8::1]"], &network),
            "2001:db8::1"
        );
        assert_eq!(seen("::ffff:10.9.9.9", &["1.1.1.1"], &network), "1.1.1.1");
        assert_eq!(seen("127.0.0.1", &["rubbish"], &proxies), "127.0.0.1");
        assert_eq!(seen("::ffff:9.9.9.9", &[], &[]), "9.9.9.9");
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let key = |text: &str| key(text.parse().unwrap()).to_string();
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(key("192.0.2.7"), "192.0.2.7");
    }
}
