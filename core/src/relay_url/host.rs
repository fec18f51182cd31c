//! Owns the host of a relay URL: names (percent escapes, UTS 46, DNS limits), IP addresses, and
//! which of them are not public. Addresses of overlay networks are checked in `overlay`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;

use super::error::RelayUrlError;
use super::{escape, overlay, text};
use crate::address::is_special;
use crate::network::Network;

/// Longest label of a host name, in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;
/// Longest host name, in bytes, without the root's dot (RFC 1035 section 2.3.4).
const MAX_HOST_BYTES: usize = 253;
/// Top-level names that never lead to a public host (RFC 6761, RFC 6762, and ICANN's reservation
/// of `internal`).
const PRIVATE_TLDS: [&str; 5] = ["localhost", "local", "internal", "test", "example"];

/// A host as it was written.
pub(super) enum RawHost<'a> {
    /// What stood between brackets.
    Bracketed(&'a str),
    /// A name or an IPv4 address.
    Plain(&'a str),
}

/// A host in its canonical form.
pub(super) struct Host {
    pub(super) text: String,
    pub(super) network: Network,
}

/// Normalises and checks a host.
pub(super) fn parse(raw: &RawHost<'_>, allow_private: bool) -> Result<Host, RelayUrlError> {
    match *raw {
        RawHost::Bracketed(address) => {
            let Ok(ip) = address.parse::<Ipv6Addr>() else {
                return Err(RelayUrlError::InvalidIpv6 {
                    address: address.to_owned(),
                });
            };
            check_ip(ip.into(), allow_private)?;
            Ok(Host {
                text: format!("[{ip}]"),
                network: Network::Clearnet,
            })
        }
        RawHost::Plain(raw) => {
            let host = to_ascii(raw)?;
            let network = if is_ipv4_like(&host) {
                let Ok(ip) = host.parse::<Ipv4Addr>() else {
                    return Err(RelayUrlError::InvalidIpv4 { host });
                };
                check_ip(ip.into(), allow_private)?;
                Network::Clearnet
            } else {
                check_name(&host, allow_private)?
            };
            Ok(Host {
                text: host,
                network,
            })
        }
    }
}

/// Returns the ASCII form of a host name, lower case and without the root's dot (UTS 46).
fn to_ascii(raw: &str) -> Result<String, RelayUrlError> {
    let Ok(decoded) = String::from_utf8(escape::decode(raw)) else {
        return Err(RelayUrlError::InvalidName {
            host: raw.to_owned(),
        });
    };
    // An escape may hide what was refused in the open.
    text::check_characters(&decoded)?;
    let Ok(ascii) = idna::domain_to_ascii_cow(decoded.as_bytes(), AsciiDenyList::EMPTY) else {
        return Err(RelayUrlError::InvalidName { host: decoded });
    };
    let host = ascii.strip_suffix('.').unwrap_or(&ascii);
    if host.is_empty() {
        return Err(RelayUrlError::EmptyHost);
    }
    Ok(host.to_owned())
}

fn check_ip(ip: IpAddr, allow_private: bool) -> Result<(), RelayUrlError> {
    if is_special(ip) && !allow_private {
        return Err(RelayUrlError::SpecialAddress { ip });
    }
    Ok(())
}

/// Tells hosts that some resolver would read as an IPv4 address: `0x7f.1` is 127.0.0.1 to many.
fn is_ipv4_like(host: &str) -> bool {
    host.split('.').all(is_number)
}

/// Tells decimal, octal and hexadecimal numbers, as the WHATWG URL parser does.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn check_name(host: &str, allow_private: bool) -> Result<Network, RelayUrlError> {
    if host.len() > MAX_HOST_BYTES {
        return Err(RelayUrlError::HostTooLong {
            length_bytes: host.len(),
        });
    }
    host.split('.')
        .try_for_each(|label| check_label(label, host))?;
    let Some((parent, tld)) = host.rsplit_once('.') else {
        return check_single_label(host, allow_private);
    };
    if is_number(tld) {
        return Err(RelayUrlError::NumericTld {
            host: host.to_owned(),
        });
    }
    if PRIVATE_TLDS.contains(&tld) && !allow_private {
        return Err(RelayUrlError::PrivateName {
            host: host.to_owned(),
        });
    }
    overlay::check(parent, tld)
}

fn check_single_label(label: &str, allow_private: bool) -> Result<Network, RelayUrlError> {
    text::check_nostr_entity(label)?;
    if label != "localhost" {
        return Err(RelayUrlError::SingleLabel {
            host: label.to_owned(),
        });
    }
    if !allow_private {
        return Err(RelayUrlError::PrivateName {
            host: label.to_owned(),
        });
    }
    Ok(Network::Clearnet)
}

/// Checks one label. Underscores are not for host names, but relays use them and DNS serves them.
fn check_label(label: &str, host: &str) -> Result<(), RelayUrlError> {
    if label.is_empty() {
        return Err(RelayUrlError::EmptyLabel {
            host: host.to_owned(),
        });
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if let Some(character) = label.chars().find(|&c| !is_allowed(c)) {
        return Err(RelayUrlError::InvalidCharacter { character });
    }
    if label.len() > MAX_LABEL_BYTES {
        return Err(RelayUrlError::LabelTooLong {
            length_bytes: label.len(),
        });
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(RelayUrlError::LabelHyphen {
            label: label.to_owned(),
        });
    }
    Ok(())
}
