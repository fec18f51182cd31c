//! The parameters of questions: types, bounds and bringing values into their canonical form.

use std::collections::BTreeSet;
use std::fmt;

use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use nostr::nips::nip19::{FromBech32, Nip19, Nip19Event, Nip19Profile};
use nostr::{EventId, PublicKey};
use serde_json::{Value, json};

use super::error::CatalogError;
use super::filter;
use crate::limits::{
    MAX_CURSOR_CHARS, MAX_FILTERS, MAX_GROUP_CHARS, MAX_GROUPS, MAX_RELAYS, MAX_TEXT_CHARS,
};

/// The windows of time that statistics exist for.
pub(crate) const WINDOWS: [&str; 5] = ["1h", "24h", "7d", "30d", "all"];

/// A parameter of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// What values it takes.
    pub kind: ParamType,
    /// The value when none is given.
    pub default: Option<String>,
    /// Whether it may be left out without a default.
    pub optional: bool,
    /// One line for humans.
    pub help: String,
}

/// What values a parameter takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamType {
    /// `1h`, `24h`, `7d`, `30d` or `all`.
    Window,
    /// A whole number between two bounds, both included.
    Integer {
        /// The smallest value.
        min: i64,
        /// The largest value.
        max: i64,
    },
    /// One of these words.
    Enum(Vec<String>),
    /// A relay URL, in any form that the normaliser accepts.
    Relay,
    /// Up to ten relay URLs, with blanks between them.
    Relays,
    /// A NIP-01 filter, or a list of up to ten: JSON.
    Filter,
    /// Up to three fields or names of tags to group events by, with commas between them.
    Groups,
    /// A public key: hex, npub or nprofile.
    Pubkey,
    /// An event id: hex, note or nevent.
    EventId,
    /// A country: its two letters by ISO 3166-1, in either case.
    Country,
    /// Free text of at most [`MAX_TEXT_CHARS`] characters.
    Text,
    /// A page cursor from an answer's `meta.next`.
    Cursor,
}

impl ParamType {
    /// Parses a type as an entry's header writes it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (
                name,
                rest.strip_suffix(')')
                    .ok_or_else(|| format!("{text:?} has no )"))?,
            ),
            None => (text, ""),
        };
        match name {
            "window" => Ok(Self::Window),
            "relay" => Ok(Self::Relay),
            "relays" => Ok(Self::Relays),
            "filter" => Ok(Self::Filter),
            "groups" => Ok(Self::Groups),
            "pubkey" => Ok(Self::Pubkey),
            "event-id" => Ok(Self::EventId),
            "country" => Ok(Self::Country),
            "text" => Ok(Self::Text),
            "network" => Ok(Self::Enum(
                Network::ALL.map(|n| n.as_str().to_owned()).to_vec(),
            )),
            "kind" => Ok(Self::Integer {
                min: 0,
                max: 65_535,
            }),
            "integer" => {
                let bounds = arguments.split_once("..").and_then(|(min, max)| {
                    Some((min.trim().parse().ok()?, max.trim().parse().ok()?))
                });
                let (min, max) = bounds
                    .ok_or_else(|| format!("{text:?} needs bounds, as in integer(1..100)"))?;
                Ok(Self::Integer { min, max })
            }
            "enum" => {
                let words: Vec<String> = arguments
                    .split(',')
                    .map(|word| word.trim().to_owned())
                    .collect();
                if words.iter().any(String::is_empty) {
                    return Err(format!("{text:?} needs words, as in enum(a, b)"));
                }
                Ok(Self::Enum(words))
            }
            _ => Err(format!(
                "unknown type {name:?}: expected window, integer, enum, network, kind, relay, \
                 relays, filter, groups, pubkey, event-id, country or text"
            )),
        }
    }

    /// The SQL expression for a value bound as text at this position.
    pub(crate) fn sql(&self, position: usize) -> String {
        match self {
            Self::Integer { .. } => format!("(${position}::text)::bigint"),
            Self::Pubkey | Self::EventId => format!("decode(${position}::text, 'hex')"),
            _ => format!("${position}::text"),
        }
    }

    /// Writes a canonical value as JSON.
    pub(crate) fn to_json(&self, canonical: &str) -> Value {
        match self {
            Self::Integer { .. } => canonical.parse::<i64>().map_or(Value::Null, |n| json!(n)),
            Self::Filter => filter::to_json(canonical),
            _ => json!(canonical),
        }
    }
}

impl fmt::Display for ParamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window => f.write_str(&WINDOWS.join(", ")),
            Self::Integer { min, max } => write!(f, "integer {min} to {max}"),
            Self::Enum(words) => f.write_str(&words.join(", ")),
            Self::Relay => f.write_str("relay URL"),
            Self::Relays => write!(
                f,
                "relay URLs with blanks between them, at most {MAX_RELAYS}"
            ),
            Self::Filter => write!(
                f,
                "NIP-01 filter, or a list of at most {MAX_FILTERS} (JSON)"
            ),
            Self::Groups => write!(
                f,
                "id, pubkey, created_at, kind, content, root, reply or the name of a tag; at most \
                 {MAX_GROUPS} with commas between them"
            ),
            Self::Pubkey => f.write_str("public key (hex, npub or nprofile)"),
            Self::EventId => f.write_str("event id (hex, note or nevent)"),
            Self::Country => f.write_str("country (two letters, ISO 3166-1 alpha-2)"),
            Self::Text => f.write_str("text"),
            Self::Cursor => f.write_str("cursor"),
        }
    }
}

impl Param {
    /// Returns the canonical form of a value, `None` when the parameter does not take it.
    pub fn canonical_value(&self, value: &str) -> Option<String> {
        self.canonical(value).ok()
    }

    /// Brings a value into its canonical form: what is bound to the SQL and echoed in `meta`.
    pub(crate) fn canonical(&self, value: &str) -> Result<String, CatalogError> {
        let refuse = |expected: &str| {
            CatalogError::invalid(&self.name, format!("{}: expected {expected}", self.name))
        };
        match &self.kind {
            ParamType::Window if WINDOWS.contains(&value) => Ok(value.to_owned()),
            ParamType::Enum(words) if words.iter().any(|word| word == value) => {
                Ok(value.to_owned())
            }
            ParamType::Window | ParamType::Enum(_) => Err(refuse(&format!("one of {}", self.kind))),
            ParamType::Integer { min, max } => match value.parse::<i64>() {
                Ok(number) if (*min..=*max).contains(&number) => Ok(number.to_string()),
                _ => Err(refuse(&format!("an {}", self.kind))),
            },
            ParamType::Relay => self.relay(value),
            ParamType::Relays => {
                let mut urls = BTreeSet::new();
                for url in value.split_ascii_whitespace().take(MAX_RELAYS + 1) {
                    urls.insert(self.relay(url)?);
                }
                if !(1..=MAX_RELAYS).contains(&urls.len()) {
                    return Err(refuse(&format!("1 to {MAX_RELAYS} relay URLs")));
                }
                Ok(urls.into_iter().collect::<Vec<_>>().join(" "))
            }
            ParamType::Filter => filter::read(value)
                .map(|filters| filter::canonical(&filters))
                .map_err(|reason| {
                    CatalogError::invalid(&self.name, format!("{}: {reason}", self.name))
                }),
            ParamType::Groups => {
                let names: Vec<&str> = value.split(',').map(str::trim).collect();
                let is_name = |name: &&str| {
                    (1..=MAX_GROUP_CHARS).contains(&name.chars().count())
                        && !name.contains(char::is_control)
                };
                let distinct = names.iter().collect::<BTreeSet<_>>().len() == names.len();
                if names.len() > MAX_GROUPS || !distinct || !names.iter().all(is_name) {
                    return Err(refuse(&self.kind.to_string()));
                }
                Ok(names.join(","))
            }
            ParamType::Pubkey => {
                pubkey(value).ok_or_else(|| refuse("a public key as hex, npub or nprofile"))
            }
            ParamType::EventId => {
                event_id(value).ok_or_else(|| refuse("an event id as hex, note or nevent"))
            }
            ParamType::Country => {
                if value.len() != 2 || !value.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                    return Err(refuse("two letters, such as DE"));
                }
                Ok(value.to_ascii_uppercase())
            }
            ParamType::Text | ParamType::Cursor => {
                let most = if self.kind == ParamType::Cursor {
                    MAX_CURSOR_CHARS
                } else {
                    MAX_TEXT_CHARS
                };
                if value.is_empty() || value.chars().count() > most || value.contains('\0') {
                    return Err(refuse(&format!("1 to {most} characters without NUL")));
                }
                Ok(value.to_owned())
            }
        }
    }
}

impl Param {
    fn relay(&self, url: &str) -> Result<String, CatalogError> {
        // Private addresses can be asked about where they are archived.
        let policy = UrlPolicy {
            allow_private: true,
            keep_query: true,
        };
        RelayUrl::parse(url, &policy)
            .map(|url| url.as_str().to_owned())
            .map_err(|error| {
                let message = format!("{}: not a relay URL: {error}", self.name);
                CatalogError::invalid(&self.name, message)
            })
    }
}

fn pubkey(text: &str) -> Option<String> {
    let key = match text.get(..4) {
        Some("npub") => PublicKey::from_bech32(text).ok()?,
        Some("npro") => Nip19Profile::from_bech32(text).ok()?.public_key,
        _ if text.len() == 64 => PublicKey::from_hex(&text.to_ascii_lowercase()).ok()?,
        _ => return None,
    };
    Some(key.to_hex())
}

fn event_id(text: &str) -> Option<String> {
    let id = match text.get(..4) {
        Some("note") => EventId::from_bech32(text).ok()?,
        Some("neve") => match Nip19::from_bech32(text).ok()? {
            Nip19::Event(Nip19Event { event_id, .. }) => event_id,
            _ => return None,
        },
        _ if text.len() == 64 => EventId::from_hex(&text.to_ascii_lowercase()).ok()?,
        _ => return None,
    };
    Some(id.to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(kind: &str) -> Param {
        Param {
            name: "p".into(),
            kind: ParamType::parse(kind).unwrap(),
            default: None,
            optional: false,
            help: String::new(),
        }
    }

    #[test]
    fn values_become_canonical_or_are_refused_with_what_is_allowed() {
        let hex = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d";
        let npub = "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6";
        for (kind, value, expected) in [
            ("integer(1..10)", "007", "7"),
            (
                "relay",
                "WSS://Relay.Example.com:443/",
                "wss://relay.example.com",
            ),
            ("pubkey", npub, hex),
            ("pubkey", hex, hex),
            ("enum(a, b)", "b", "b"),
            ("network", "tor", "tor"),
            ("country", "de", "DE"),
            ("window", "7d", "7d"),
            (
                "relays",
                " wss://b.example  WSS://A.example/ wss://b.example",
                "wss://a.example wss://b.example",
            ),
            ("filter", r#"[{"kinds":[1]}]"#, r#"{"kinds":[1]}"#),
            ("groups", "pubkey, t", "pubkey,t"),
        ] {
            assert_eq!(param(kind).canonical(value).unwrap(), expected);
        }
        for (kind, value) in [
            ("integer(1..10)", "11"),
            ("integer(1..10)", "1.5"),
            ("integer(1..10)", ""),
            ("enum(a, b)", "c"),
            ("window", "2h"),
            ("pubkey", "npub1xyz"),
            ("pubkey", "héé"),
            ("event-id", hex.get(1..).unwrap()),
            ("relay", "example.com"),
            ("country", "DEU"),
            ("country", "é"),
            ("text", "a\0b"),
            ("relays", " "),
            ("relays", "wss://a.example b"),
            ("filter", "{"),
            ("filter", r#"{"limit":1}"#),
            ("groups", ""),
            ("groups", "a,b,c,d"),
            ("groups", "a,a"),
            ("groups", "a\0"),
        ] {
            let error = param(kind).canonical(value).unwrap_err();
            assert_eq!(error.code(), "invalid_param", "{kind} {value}");
            assert!(error.to_string().starts_with("p: "), "{error}");
        }
    }
}
