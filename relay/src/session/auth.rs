//! AUTH: a client proves who it is ([NIP-42]). The event is never stored or passed on.
//!
//! [NIP-42]: https://github.com/nostr-protocol/nips/blob/master/42.md

use std::net::SocketAddr;

use bigbrotr_core::event::{Event, Pubkey};
use bigbrotr_core::message::ReplyPrefix;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_core::vanish::is_same_relay;

use super::Session;
use super::event::verify;
use crate::config::URL_POLICY;
use crate::limits::{AUTH_WINDOW_SECS, AUTHENTICATED_PUBKEYS, CHALLENGE_BYTES};
use crate::outbox::Gone;
use crate::policy::{KIND_AUTH, Refusal};

/// Who the client has proven to be.
#[derive(Debug)]
pub(super) struct Auth {
    challenge: String,
    pubkeys: Vec<Pubkey>,
    local: SocketAddr,
}

impl Auth {
    /// Begins with a new challenge. `local` is our end of the connection.
    pub(super) fn new(local: SocketAddr) -> Self {
        Self {
            challenge: hex::encode(rand::random::<[u8; CHALLENGE_BYTES]>()),
            pubkeys: Vec::new(),
            local,
        }
    }

    pub(super) fn challenge(&self) -> &str {
        &self.challenge
    }

    pub(super) fn pubkeys(&self) -> &[Pubkey] {
        &self.pubkeys
    }

    /// Checks everything but the signature.
    ///
    /// # Security
    /// The relay that the event names has to be us, or another relay could pass on our challenge
    /// and be us towards its client. So it is compared with what we know of ourselves, never with
    /// what the client says in its `Host` header.
    fn check(&self, event: &Event, public: Option<&RelayUrl>, now: i64) -> Result<(), Refusal> {
        let invalid = |text: &str| Err((ReplyPrefix::Invalid, text.to_owned()));
        if event.kind != KIND_AUTH {
            return invalid("authentication is kind 22242");
        }
        if now.abs_diff(event.created_at) > AUTH_WINDOW_SECS.unsigned_abs() {
            return invalid("created_at is not now");
        }
        if event.tag_value("challenge") != Some(&self.challenge) {
            return invalid("the challenge is not the one sent on this connection");
        }
        let named = event.tag_value("relay").unwrap_or_default();
        if !self.is_us(named, public) {
            return invalid("the relay tag names another relay");
        }
        if self.pubkeys.len() >= AUTHENTICATED_PUBKEYS && !self.pubkeys.contains(&event.pubkey) {
            let text = format!("more than {AUTHENTICATED_PUBKEYS} keys on one connection");
            return Err((ReplyPrefix::Restricted, text));
        }
        Ok(())
    }

    /// Compares host and port only, as NIP-42 allows: clients differ in schemes and slashes.
    fn is_us(&self, named: &str, public: Option<&RelayUrl>) -> bool {
        let Ok(named) = RelayUrl::parse(named, &URL_POLICY) else {
            return false;
        };
        match public {
            Some(public) => named.host() == public.host() && named.port() == public.port(),
            None => self.is_our_end(&named),
        }
    }

    /// Says whether a URL is of this relay, and of no other on the same host: for NIP-62.
    pub(super) fn is_this_relay(&self, named: &RelayUrl, public: Option<&RelayUrl>) -> bool {
        match public {
            Some(public) => is_same_relay(named, public),
            None => self.is_our_end(named),
        }
    }

    /// Says whether a URL is of the address that the client is connected to.
    fn is_our_end(&self, named: &RelayUrl) -> bool {
        let ip = self.local.ip().to_canonical();
        named.port() == self.local.port()
            && (named.ip() == Some(ip) || (ip.is_loopback() && named.host() == "localhost"))
    }
}

impl Session {
    pub(super) async fn on_auth(&mut self, event: Event) -> Result<(), Gone> {
        let id = event.id;
        let public = self.shared.config.relay_url();
        let now = self.shared.clock.now();
        if let Err(refusal) = self.auth.check(&event, public.as_ref(), now) {
            return self.reply_refused(id, refusal).await;
        }
        match verify(Box::new(event)).await {
            Ok(event) => {
                if !self.auth.pubkeys.contains(&event.pubkey) {
                    self.auth.pubkeys.push(event.pubkey);
                }
                self.reply_ok(id, "").await
            }
            Err(refusal) => self.reply_refused(id, refusal).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_relays_name_is_not_ours() {
        let auth = Auth::new("127.0.0.1:7777".parse().unwrap());
        for (named, expected) in [
            ("ws://127.0.0.1:7777", true),
            ("ws://localhost:7777/", true),
            ("ws://127.0.0.1:7778", false),
            ("ws://evil.example:7777", false),
            ("", false),
        ] {
            assert_eq!(auth.is_us(named, None), expected, "{named}");
        }
        let public = RelayUrl::parse("wss://relay.example.com", &URL_POLICY).unwrap();
        assert!(auth.is_us("WSS://Relay.Example.com:443/", Some(&public)));
        assert!(!auth.is_us("ws://127.0.0.1:7777", Some(&public)));
        let other = RelayUrl::parse("wss://relay.example.com/other", &URL_POLICY).unwrap();
        assert!(auth.is_this_relay(&public, Some(&public)));
        assert!(!auth.is_this_relay(&other, Some(&public)));
    }
}
