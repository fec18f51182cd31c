//! Owns the one canonical form of a relay's address: what is refused, with which reason, and how
//! the rest is normalised. It resolves nothing and dials nothing; a name accepted here may still
//! resolve to an address that [`crate::address::is_special`] refuses.

mod error;
mod escape;
mod host;
mod overlay;
mod path;
mod text;

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use error::RelayUrlError;

use crate::network::Network;

/// Longest relay URL accepted and produced, in bytes. It fits an index key and a `u16`.
pub const MAX_URL_BYTES: usize = 2048;

/// What an operator may relax when relay URLs are parsed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UrlPolicy {
    /// Accepts local names and special-purpose addresses: for tests and private deployments.
    pub allow_private: bool,
    /// Keeps the query string as part of the key; by default it is dropped.
    pub keep_query: bool,
}

/// A relay's address in its canonical form, the key under which the relay is known everywhere.
///
/// Cheap to clone. Two spellings of one endpoint are equal; `ws` and `wss` are two endpoints.
/// Ordering, equality and hash are those of [`RelayUrl::as_str`].
#[derive(Clone)]
pub struct RelayUrl {
    text: Arc<str>,
    network: Network,
    port: u16,
    // Byte offsets into `text`, which `MAX_URL_BYTES` keeps below `u16::MAX`.
    host_end: u16,
    path_start: u16,
    path_end: u16,
}

impl RelayUrl {
    /// Parses and normalises a relay URL from any source.
    ///
    /// ```
    /// use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
    ///
    /// let url = RelayUrl::parse("WSS://Relay.Example.COM:443//inbox/", &UrlPolicy::default())?;
    /// assert_eq!(url.as_str(), "wss://relay.example.com/inbox");
    /// # Ok::<(), bigbrotr_core::relay_url::RelayUrlError>(())
    /// ```
    ///
    /// # Errors
    /// Refuses everything that is not one well-formed WebSocket URL, and unless the policy allows
    /// them, names and addresses that are not public. [`RelayUrlError::reason`] says which.
    ///
    /// # Security
    /// Made for strangers' input: bounded by [`MAX_URL_BYTES`], never panics, and drops user
    /// info, which is never repeated in an error either.
    pub fn parse(input: &str, policy: &UrlPolicy) -> Result<Self, RelayUrlError> {
        text::check(input)?;
        let parts = text::split(input)?;
        let host = host::parse(&parts.host, policy.allow_private)?;
        let port = parts.port.map(text::parse_port).transpose()?.flatten();
        let path = path::normalize(parts.path);
        let query = parts
            .query
            .filter(|_| policy.keep_query)
            .map(path::normalize_query);

        let default_port = default_port(parts.tls);
        let mut text = String::with_capacity(input.len());
        text.push_str(if parts.tls { "wss://" } else { "ws://" });
        text.push_str(&host.text);
        let host_end = text.len();
        if let Some(port) = port.filter(|&port| port != default_port) {
            text.push(':');
            text.push_str(&port.to_string());
        }
        let path_start = text.len();
        text.push_str(&path);
        let path_end = text.len();
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            text.push('?');
            text.push_str(&query);
        }
        // The root slash of the published form counts, so both forms stay parseable.
        let length_bytes = text.len() + usize::from(path.is_empty());
        if length_bytes > MAX_URL_BYTES {
            return Err(RelayUrlError::TooLong { length_bytes });
        }
        Ok(Self {
            text: text.into(),
            network: host.network,
            port: port.unwrap_or(default_port),
            host_end: host_end as u16,
            path_start: path_start as u16,
            path_end: path_end as u16,
        })
    }

    /// Takes back a URL that [`RelayUrl::as_str`] once gave out, such as a database key.
    ///
    /// It passes under any policy, since the policy was applied when the key was made.
    ///
    /// # Errors
    /// [`RelayUrlError::NotCanonical`] if the text is a relay URL in another spelling, otherwise
    /// the reason for which it is none.
    pub fn from_canonical(text: &str) -> Result<Self, RelayUrlError> {
        let url = Self::parse(
            text,
            &UrlPolicy {
                allow_private: true,
                keep_query: true,
            },
        )?;
        if url.as_str() == text {
            Ok(url)
        } else {
            Err(RelayUrlError::NotCanonical)
        }
    }

    /// Returns the canonical form, without a root slash: the database key.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the form published in the `d` tag of [NIP-66] reports, which is the canonical one
    /// with a root slash where the path is empty: `wss://relay.example.com/`.
    ///
    /// [NIP-66]: https://github.com/nostr-protocol/nips/blob/master/66.md
    pub fn d_tag(&self) -> Cow<'_, str> {
        if !self.path().is_empty() {
            return Cow::Borrowed(&self.text);
        }
        let (before, after) = self.text.split_at(self.path_start.into());
        Cow::Owned(format!("{before}/{after}"))
    }

    /// Returns the same URL with `http` or `https`, where [NIP-11] documents are served.
    ///
    /// [NIP-11]: https://github.com/nostr-protocol/nips/blob/master/11.md
    pub fn http_url(&self) -> String {
        let scheme = if self.is_tls() { "https" } else { "http" };
        format!("{scheme}{}", &self.text[self.scheme().len()..])
    }

    /// Returns the network the host belongs to.
    pub fn network(&self) -> Network {
        self.network
    }

    /// Returns `ws` or `wss`.
    pub fn scheme(&self) -> &'static str {
        if self.is_tls() { "wss" } else { "ws" }
    }

    /// Reports whether the scheme is `wss`.
    pub fn is_tls(&self) -> bool {
        self.text.starts_with("wss:")
    }

    /// Returns the host: an ASCII name or an IP address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        let host = &self.text[self.host_start()..self.host_end.into()];
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host)
    }

    /// Returns the host as an IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// Returns the port to connect to, the scheme's default where the URL has none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns host and port as the URL has them: IPv6 in brackets, no default port. This is the
    /// value of the HTTP `Host` header.
    pub fn authority(&self) -> &str {
        &self.text[self.host_start()..self.path_start.into()]
    }

    /// Returns the path: empty, or with a leading and no trailing slash.
    pub fn path(&self) -> &str {
        &self.text[self.path_start.into()..self.path_end.into()]
    }

    /// Returns the query string without its question mark, if the URL kept one.
    pub fn query(&self) -> Option<&str> {
        self.text[self.path_end.into()..].strip_prefix('?')
    }

    fn host_start(&self) -> usize {
        self.scheme().len() + "://".len()
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayUrl({:?})", self.text)
    }
}

impl PartialEq for RelayUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RelayUrl {}

impl PartialOrd for RelayUrl {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RelayUrl {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for RelayUrl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl AsRef<str> for RelayUrl {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// Lets a map keyed by `RelayUrl` be asked with a canonical `&str`.
impl Borrow<str> for RelayUrl {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl Serialize for RelayUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Reads what [`Serialize`] wrote, as [`RelayUrl::from_canonical`] does. A document from outside
/// is read as strings and parsed with the policy in force.
impl<'de> Deserialize<'de> for RelayUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_canonical(&text).map_err(serde::de::Error::custom)
    }
}
