//! Requests to vanish ([NIP-62]): whom a request is addressed to.
//!
//! Pure. What a relay does about a request is the business of its database.
//!
//! [NIP-62]: https://github.com/nostr-protocol/nips/blob/master/62.md

use crate::event::Event;
use crate::relay_url::{RelayUrl, UrlPolicy};

/// A request to vanish.
pub const KIND_VANISH: u16 = 62;

/// The value of the `relay` tag that names every relay there is.
pub const ALL_RELAYS: &str = "ALL_RELAYS";

/// Says whether the event is a request to vanish from a relay: it names that relay, as `is_us`
/// tells, or all of them.
///
/// # Security
/// The tags come from a stranger: what is no relay URL names nobody.
pub fn is_vanish_request(event: &Event, is_us: impl Fn(&RelayUrl) -> bool) -> bool {
    // The operator may have named the relay as it pleases, in a private network too.
    let policy = UrlPolicy {
        allow_private: true,
        keep_query: false,
    };
    event.kind == KIND_VANISH
        && event.tag_values("relay").any(|named| {
            named == ALL_RELAYS || RelayUrl::parse(named, &policy).is_ok_and(|url| is_us(&url))
        })
}

/// Says whether two URLs are of one relay: the same host, port and path. Clients differ in
/// schemes.
pub fn is_same_relay(a: &RelayUrl, b: &RelayUrl) -> bool {
    a.host() == b.host() && a.port() == b.port() && a.path() == b.path()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventId, Pubkey};

    fn names_us(kind: u16, tags: &[&[&str]]) -> bool {
        let event = Event {
            id: EventId([0; 32]),
            pubkey: Pubkey([1; 32]),
            created_at: 0,
            kind,
            tags: tags
                .iter()
                .map(|tag| tag.iter().map(ToString::to_string).collect())
                .collect(),
            content: String::new(),
            sig: [0; 64],
        };
        let us = RelayUrl::parse("wss://relay.example.com/in", &UrlPolicy::default()).unwrap();
        is_vanish_request(&event, |url| is_same_relay(url, &us))
    }

    #[test]
    fn a_request_names_this_relay_or_all_of_them() {
        assert!(names_us(62, &[&["relay", "ALL_RELAYS"]]));
        assert!(names_us(62, &[&["relay", "ws://relay.example.com:443/in"]]));
        assert!(names_us(
            62,
            &[
                &["relay", "not a url"],
                &["relay", "wss://other.example.com"],
                &["relay", "WSS://Relay.Example.Com:443/in/"],
            ]
        ));
    }

    #[test]
    fn nothing_else_is_one() {
        assert!(!names_us(62, &[]));
        assert!(!names_us(62, &[&["relay"], &[]]));
        assert!(!names_us(62, &[&["relay", "all_relays"]]));
        assert!(!names_us(62, &[&["relay", "", "ALL_RELAYS"]]));
        assert!(!names_us(62, &[&["r", "ALL_RELAYS"]]));
        assert!(!names_us(62, &[&["relay", "wss://relay.example.com/out"]]));
        assert!(!names_us(5, &[&["relay", "ALL_RELAYS"]]));
    }
}
