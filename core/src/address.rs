//! Owns the answer to "is this IP address somewhere on the public Internet?". It knows addresses
//! only: the URL rules and the dialer, which asks again after DNS resolution, both use it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reports whether an address is for a special purpose, so a stranger's URL must not lead there.
///
/// Covers every block of the IANA [IPv4] and [IPv6] special-purpose registries (RFC 6890), the
/// globally reachable ones included, since none of them can be a relay's home; multicast; and the
/// IPv6 forms that carry an IPv4 address. Of those only the well-known NAT64 prefix
/// `64:ff9b::/96` is judged by the address inside, because on an IPv6-only host behind DNS64 every
/// public IPv4 relay resolves to it.
///
/// # Security
/// A URL's host name says nothing about where it resolves: call this on every resolved address
/// and again on every redirect.
///
/// [IPv4]: https://www.iana.org/assignments/iana-ipv4-special-registry
/// [IPv6]: https://www.iana.org/assignments/iana-ipv6-special-registry
pub fn is_special(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_special_v4(ip),
        IpAddr::V6(ip) => is_special_v6(ip),
    }
}

fn is_special_v4(ip: Ipv4Addr) -> bool {
    SPECIAL_V4.iter().any(|&(block, prefix_bits)| {
        (u32::from(ip) ^ u32::from(Ipv4Addr::from_octets(block))) >> (32 - prefix_bits) == 0
    })
}

fn is_special_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = segments {
        return is_special_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    }
    SPECIAL_V6.iter().any(|&(block, prefix_bits)| {
        (u128::from(ip) ^ u128::from(Ipv6Addr::from_segments(block))) >> (128 - prefix_bits) == 0
    })
}

/// Blocks as (first address, prefix length in bits).
const SPECIAL_V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),       // this network, unspecified (RFC 791)
    ([10, 0, 0, 0], 8),      // private use (RFC 1918)
    ([100, 64, 0, 0], 10),   // shared address space of carriers (RFC 6598)
    ([127, 0, 0, 0], 8),     // loopback (RFC 1122)
    ([169, 254, 0, 0], 16),  // link-local, cloud metadata services (RFC 3927)
    ([172, 16, 0, 0], 12),   // private use (RFC 1918)
    ([192, 0, 0, 0], 24),    // IETF protocol assignments (RFC 6890)
    ([192, 0, 2, 0], 24),    // documentation, TEST-NET-1 (RFC 5737)
    ([192, 31, 196, 0], 24), // AS112 (RFC 7535)
    ([192, 52, 193, 0], 24), // automatic multicast tunnelling (RFC 7450)
    ([192, 88, 99, 0], 24),  // 6to4 relay anycast, deprecated (RFC 7526)
    ([192, 168, 0, 0], 16),  // private use (RFC 1918)
    ([192, 175, 48, 0], 24), // direct delegation AS112 (RFC 7534)
    ([198, 18, 0, 0], 15),   // benchmarking (RFC 2544)
    ([198, 51, 100, 0], 24), // documentation, TEST-NET-2 (RFC 5737)
    ([203, 0, 113, 0], 24),  // documentation, TEST-NET-3 (RFC 5737)
    ([224, 0, 0, 0], 4),     // multicast (RFC 5771)
    ([240, 0, 0, 0], 4),     // reserved, and limited broadcast (RFC 1112, RFC 8190)
];

/// Blocks as (first address, prefix length in bits).
const SPECIAL_V6: &[([u16; 8], u32)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 96), // unspecified, loopback, IPv4-compatible (RFC 4291)
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), // IPv4-mapped (RFC 4291)
    ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), // IPv4-translated (RFC 2765)
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), // NAT64 for local use (RFC 8215)
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64), // discard only (RFC 6666)
    ([0x100, 0, 0, 1, 0, 0, 0, 0], 64), // dummy prefix (RFC 9780)
    ([0x200, 0, 0, 0, 0, 0, 0, 0], 7), // never allocated, lives on in private meshes (RFC 4048)
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // IETF protocol assignments, Teredo in them (RFC 2928)
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation (RFC 3849)
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4, its relays are gone (RFC 3056, RFC 7526)
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), // direct delegation AS112 (RFC 7534)
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation (RFC 9637)
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), // segment routing identifiers (RFC 9602)
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), // unique local (RFC 4193)
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), // link-local (RFC 4291)
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), // site-local, deprecated (RFC 3879)
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), // multicast (RFC 4291)
];

#[cfg(test)]
mod tests {
    use super::*;

    /// First and last address of every block, and forms that hide an IPv4 address.
    const SPECIAL: &[&str] = &[
        "0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255",
        "127.0.0.1 127.255.255.255 169.254.0.0 169.254.169.254 172.16.0.0 172.31.255.255",
        "192.0.0.0 192.0.0.9 192.0.0.255 192.0.2.0 192.0.2.255 192.31.196.1 192.52.193.1",
        "192.88.99.1 192.168.0.0 192.168.255.255 192.175.48.6 198.18.0.0 198.19.255.255",
        "198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.255 240.0.0.0 255.255.255.255",
        ":: ::1 ::7f00:1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:10.0.0.1",
        "64:ff9b::127.0.0.1 64:ff9b::10.1.2.3 64:ff9b::169.254.169.254",
        "64:ff9b:1:: 64:ff9b:1:ffff:ffff:ffff:ffff:ffff 100::1 100:0:0:1::1 200::1 3ff::1",
        "2001::1 2001:0:7f00:1:: 2001:1::1 2001:2::1 2001:10::1 2001:20::1 2001:1ff::1",
        "2001:db8::1 2001:db8:ffff::1 2002:7f00:1:: 2002:a00:1::1 2002:c0a8:101::1",
        "2620:4f:8000::1 3fff::1 3fff:fff::1 5f00::1 fc00::1 fdff:ffff::1",
        "fe80::1 febf::1 fec0::1 feff::1 ff02::1 ffff:ffff::1",
    ];

    /// The neighbours of those blocks, and well-known public hosts.
    const PUBLIC: &[&str] = &[
        "1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0",
        "126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0",
        "191.255.255.255 192.0.1.0 192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255",
        "192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255",
        "203.0.114.0 223.255.255.255",
        "64:ff9b::8.8.8.8 2001:200::1 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9::1",
        "2003::1 2606:4700:4700::1111 2620:4f:7fff::1 2620:4f:8001::1 2a00:1450::1 3fff:1000::1",
    ];

    fn addresses(lines: &[&'static str]) -> Vec<IpAddr> {
        lines
            .iter()
            .flat_map(|line| line.split(' '))
            .map(|ip| ip.parse().unwrap())
            .collect()
    }

    #[test]
    fn special_purpose_addresses_are_special() {
        for ip in addresses(SPECIAL) {
            assert!(is_special(ip), "{ip} must not be dialled");
        }
    }

    #[test]
    fn public_addresses_next_to_special_blocks_are_not() {
        for ip in addresses(PUBLIC) {
            assert!(!is_special(ip), "{ip} is public");
        }
    }
}
