//! Owns what can be told from the raw text: rubbish that a lenient parser would quietly repair,
//! and where the parts of the URL begin and end. What is inside the parts is checked elsewhere.

use super::error::RelayUrlError;
use super::host::RawHost;
use super::{MAX_URL_BYTES, escape};

/// The parts of a URL as they were written, user info and fragment already dropped.
pub(super) struct Parts<'a> {
    pub(super) tls: bool,
    pub(super) host: RawHost<'a>,
    pub(super) port: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

/// Schemes that people paste in front of each other.
const WEB_SCHEMES: [&str; 4] = ["ws", "wss", "http", "https"];

/// Prefixes of the bech32 entities of NIP-19.
const NOSTR_PREFIXES: [&str; 7] = [
    "npub1",
    "nsec1",
    "nprofile1",
    "nevent1",
    "naddr1",
    "nrelay1",
    "note1",
];

/// Refuses text that cannot be one URL, whatever its structure.
pub(super) fn check(text: &str) -> Result<(), RelayUrlError> {
    if text.len() > MAX_URL_BYTES {
        return Err(RelayUrlError::TooLong {
            length_bytes: text.len(),
        });
    }
    if contains_ignore_case(text, "[object") {
        return Err(RelayUrlError::StringifiedObject);
    }
    check_nostr_entity(strip_prefix_ignore_case(text, "nostr:").unwrap_or(text))?;
    check_characters(text)
}

/// Refuses the bech32 entities of NIP-19, without repeating them: one may be a secret key.
pub(super) fn check_nostr_entity(text: &str) -> Result<(), RelayUrlError> {
    let entity = NOSTR_PREFIXES
        .into_iter()
        .find(|prefix| strip_prefix_ignore_case(text, prefix).is_some())
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    entity.map_or(Ok(()), |prefix| Err(RelayUrlError::NostrEntity { prefix }))
}

/// Refuses characters that have no place anywhere in a URL.
pub(super) fn check_characters(text: &str) -> Result<(), RelayUrlError> {
    // Joiners are part of words in some scripts; in front they can only be an accident.
    if let Some(character @ '\u{200c}'..='\u{200d}') = text.chars().next() {
        return Err(RelayUrlError::InvisibleCharacter { character });
    }
    text.chars().try_for_each(|character| {
        if character.is_whitespace() {
            Err(RelayUrlError::Whitespace { character })
        } else if character.is_control() {
            Err(RelayUrlError::ControlCharacter { character })
        } else if is_invisible(character) {
            Err(RelayUrlError::InvisibleCharacter { character })
        } else {
            Ok(())
        }
    })
}

/// Tells characters that show nothing or reorder what is shown: soft hyphen, zero-width space and
/// no-break space, word joiner and kin, direction marks.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Takes a URL apart.
pub(super) fn split(text: &str) -> Result<Parts<'_>, RelayUrlError> {
    let (tls, rest) = split_scheme(text)?;
    // Escaped letters are letters: normalising must not bring out what was refused.
    let plain = escape::normalize(rest, |byte| byte.is_ascii());
    if contains_ignore_case(&plain, ",ws://") || contains_ignore_case(&plain, ",wss://") {
        return Err(RelayUrlError::JoinedUrls);
    }
    let without_fragment = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (location, query) = match without_fragment.split_once('?') {
        Some((location, query)) => (location, Some(query)),
        None => (without_fragment, None),
    };
    if let Some((before, _)) = location.split_once("://") {
        return Err(match web_scheme(before) {
            Some(scheme) => RelayUrlError::NestedScheme { scheme },
            None => RelayUrlError::JoinedUrls,
        });
    }
    if location.contains('\\') {
        return Err(RelayUrlError::InvalidCharacter { character: '\\' });
    }
    let (authority, path) = location.split_at(location.find('/').unwrap_or(location.len()));
    let endpoint = authority
        .rsplit_once('@')
        .map_or(authority, |(_, endpoint)| endpoint);
    let (host, port) = split_endpoint(endpoint)?;
    Ok(Parts {
        tls,
        host,
        port,
        path,
        query,
    })
}

fn split_scheme(text: &str) -> Result<(bool, &str), RelayUrlError> {
    match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => Ok((true, rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => Ok((false, rest)),
        Some((scheme, _)) if is_scheme(scheme) => Err(RelayUrlError::UnsupportedScheme {
            scheme: scheme.to_ascii_lowercase(),
        }),
        _ => Err(without_scheme(text)),
    }
}

/// Finds the reason for text that does not start with `scheme://`.
fn without_scheme(text: &str) -> RelayUrlError {
    let Some((scheme, rest)) = text.split_once(':') else {
        return RelayUrlError::MissingScheme;
    };
    if scheme.eq_ignore_ascii_case("ws") || scheme.eq_ignore_ascii_case("wss") {
        return RelayUrlError::MissingSlashes;
    }
    // A dot before the colon or a digit after it is a host with a port.
    if is_scheme(scheme) && !scheme.contains('.') && !rest.starts_with(|c: char| c.is_ascii_digit())
    {
        return RelayUrlError::UnsupportedScheme {
            scheme: scheme.to_ascii_lowercase(),
        };
    }
    RelayUrlError::MissingScheme
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn web_scheme(text: &str) -> Option<&'static str> {
    WEB_SCHEMES
        .into_iter()
        .find(|scheme| text.eq_ignore_ascii_case(scheme))
}

/// Separates host and port.
fn split_endpoint(endpoint: &str) -> Result<(RawHost<'_>, Option<&str>), RelayUrlError> {
    if let Some(rest) = endpoint.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((address, "")) => Ok((RawHost::Bracketed(address), None)),
            Some((address, port)) if port.starts_with(':') => {
                Ok((RawHost::Bracketed(address), Some(&port[1..])))
            }
            _ => Err(RelayUrlError::InvalidIpv6 {
                address: endpoint.to_owned(),
            }),
        };
    }
    let Some((host, port)) = endpoint.split_once(':') else {
        return match web_scheme(endpoint) {
            Some(scheme) => Err(RelayUrlError::NestedScheme { scheme }),
            None => Ok((RawHost::Plain(endpoint), None)),
        };
    };
    if let Some(scheme) = web_scheme(host) {
        return Err(RelayUrlError::NestedScheme { scheme });
    }
    let is_ipv6_like = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
    };
    if port.contains(':') && is_ipv6_like(endpoint) {
        return Err(RelayUrlError::UnbracketedIpv6 {
            address: endpoint.to_owned(),
        });
    }
    Ok((RawHost::Plain(host), Some(port)))
}

/// Reads a port, leading zeros allowed. An empty one means the default (RFC 3986 section 6.2.3).
pub(super) fn parse_port(text: &str) -> Result<Option<u16>, RelayUrlError> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.trim_start_matches('0').parse::<u16>() {
        Ok(port) if digits_only => Ok(Some(port)),
        _ => Err(RelayUrlError::InvalidPort {
            port: text.to_owned(),
        }),
    }
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

fn contains_ignore_case(text: &str, needle: &str) -> bool {
    text.as_bytes()
        .windows(needle.len())
        .any(|w| w.eq_ignore_ascii_case(needle.as_bytes()))
}
