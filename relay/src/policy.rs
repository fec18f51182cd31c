//! Who may write what: decisions on an event before it costs a signature check or the database.
//!
//! Pure: takes the configuration, the time and who is asking.

use bigbrotr_core::event::{Event, Pubkey};
use bigbrotr_core::message::ReplyPrefix;
use bigbrotr_core::vanish::KIND_VANISH;

use crate::config::RelayConfig;

/// An authentication event: never published.
pub(crate) const KIND_AUTH: u16 = 22_242;

/// A refusal: the prefix and a text for humans.
pub(crate) type Refusal = (ReplyPrefix, String);

/// Refuses an event for its form, its time, its author or its kind.
///
/// `authenticated` are the keys that the client has authenticated as. `vanish`: the event is a
/// request to vanish from this relay (NIP-62), which is to be followed whoever its author is and
/// whatever else may be written here.
pub(crate) fn admit(
    event: &Event,
    vanish: bool,
    config: &RelayConfig,
    own: Pubkey,
    authenticated: &[Pubkey],
    now: i64,
) -> Result<(), Refusal> {
    form(event, config)?;
    if event.kind == KIND_VANISH && !vanish {
        let text = "this request to vanish names other relays";
        return refuse(ReplyPrefix::Blocked, text);
    }
    time(event, vanish, config, now)?;
    if config.auth.to_write && authenticated.is_empty() {
        return refuse(ReplyPrefix::AuthRequired, "authenticate to publish");
    }
    let stranger = event.pubkey != own && !vanish;
    if stranger {
        author(event, config)?;
    }
    protection(event, authenticated)?;
    if stranger {
        proof_of_work(event, config.policy.min_pow_difficulty)?;
    }
    Ok(())
}

fn refuse(prefix: ReplyPrefix, text: impl Into<String>) -> Result<(), Refusal> {
    Err((prefix, text.into()))
}

fn form(event: &Event, config: &RelayConfig) -> Result<(), Refusal> {
    let limits = &config.limits;
    if event.kind == KIND_AUTH {
        return refuse(
            ReplyPrefix::Invalid,
            "kind 22242 is for AUTH, not for publishing",
        );
    }
    if event.tags.len() > limits.max_event_tags {
        let text = format!("more than {} tags", limits.max_event_tags);
        return refuse(ReplyPrefix::Invalid, text);
    }
    if event.content.len() > limits.max_content_length
        && event.content.chars().count() > limits.max_content_length
    {
        let text = format!(
            "content is longer than {} characters",
            limits.max_content_length
        );
        return refuse(ReplyPrefix::Invalid, text);
    }
    Ok(())
}

fn time(event: &Event, vanish: bool, config: &RelayConfig, now: i64) -> Result<(), Refusal> {
    let seconds =
        |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let policy = &config.policy;
    let latest = now.saturating_add(seconds(policy.created_at_upper_limit));
    if event.created_at > latest {
        return refuse(ReplyPrefix::Invalid, "created_at is too far in the future");
    }
    if let Some(limit) = policy.created_at_lower_limit
        && !vanish
        && event.created_at < now.saturating_sub(seconds(limit))
    {
        return refuse(ReplyPrefix::Invalid, "created_at is too far in the past");
    }
    if event.expiration().is_some_and(|expiry| expiry <= now) {
        return refuse(ReplyPrefix::Invalid, "the event has expired");
    }
    Ok(())
}

/// What strangers may write.
fn author(event: &Event, config: &RelayConfig) -> Result<(), Refusal> {
    let policy = &config.policy;
    if policy.denied_pubkeys.contains(&event.pubkey) {
        return refuse(ReplyPrefix::Blocked, "the author is banned");
    }
    if !policy.allowed_pubkeys.contains(&event.pubkey)
        && !policy.accepted_kinds.contains(&event.kind)
    {
        let text = format!("kind {} is not accepted here", event.kind);
        return refuse(ReplyPrefix::Blocked, text);
    }
    Ok(())
}

/// NIP-70.
fn protection(event: &Event, authenticated: &[Pubkey]) -> Result<(), Refusal> {
    if event.is_protected() && !authenticated.contains(&event.pubkey) {
        let prefix = if authenticated.is_empty() {
            ReplyPrefix::AuthRequired
        } else {
            ReplyPrefix::Restricted
        };
        return refuse(prefix, "this event may only be published by its author");
    }
    Ok(())
}

/// NIP-13: the id's leading zero bits, and the target that the author committed to.
fn proof_of_work(event: &Event, difficulty: u8) -> Result<(), Refusal> {
    let difficulty = u32::from(difficulty);
    if difficulty == 0 {
        return Ok(());
    }
    let found = leading_zero_bits(&event.id.0);
    if found < difficulty {
        let text = format!("difficulty {found} is less than {difficulty}");
        return refuse(ReplyPrefix::Pow, text);
    }
    let nonce = event
        .tags
        .iter()
        .find(|tag| tag.first().is_some_and(|name| name == "nonce"));
    let committed: Option<u32> = nonce.and_then(|tag| tag.get(2)?.parse().ok());
    match committed {
        Some(target) if target >= difficulty => Ok(()),
        Some(target) => {
            let text = format!("the nonce commits to {target}, less than {difficulty}");
            refuse(ReplyPrefix::Pow, text)
        }
        None => refuse(
            ReplyPrefix::Pow,
            "there is no nonce tag with a target difficulty",
        ),
    }
}

fn leading_zero_bits(bytes: &[u8]) -> u32 {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    zeros as u32 * 8 + bytes.get(zeros).map_or(0, |byte| byte.leading_zeros())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bigbrotr_core::event::EventId;
    use bigbrotr_core::vanish::is_vanish_request;

    use super::*;

    const NOW: i64 = 1_700_000_000;
    const OWN: Pubkey = Pubkey([9; 32]);
    const STRANGER: Pubkey = Pubkey([1; 32]);

    fn event(pubkey: Pubkey, kind: u16, tags: &[&[&str]]) -> Event {
        let mut id = [0xff; 32];
        id[..2].copy_from_slice(&[0, 0x0f]);
        Event {
            id: EventId(id),
            pubkey,
            created_at: NOW,
            kind,
            tags: tags
                .iter()
                .map(|tag| tag.iter().map(ToString::to_string).collect())
                .collect(),
            content: String::new(),
            sig: [0; 64],
        }
    }

    fn prefix(event: &Event, config: &RelayConfig, authenticated: &[Pubkey]) -> &'static str {
        let vanish = is_vanish_request(event, |_| false);
        match admit(event, vanish, config, OWN, authenticated, NOW) {
            Ok(()) => "",
            Err((prefix, _)) => prefix.as_str(),
        }
    }

    #[test]
    fn strangers_write_the_accepted_kinds_and_the_node_everything() {
        let mut config = RelayConfig::default();
        assert_eq!(prefix(&event(STRANGER, 5, &[]), &config, &[]), "");
        assert_eq!(prefix(&event(STRANGER, 5450, &[]), &config, &[]), "");
        assert_eq!(prefix(&event(STRANGER, 1, &[]), &config, &[]), "blocked");
        assert_eq!(prefix(&event(OWN, 30_166, &[]), &config, &[]), "");
        config.policy.allowed_pubkeys.insert(STRANGER);
        assert_eq!(prefix(&event(STRANGER, 1, &[]), &config, &[]), "");
        config.policy.denied_pubkeys.insert(STRANGER);
        assert_eq!(prefix(&event(STRANGER, 5, &[]), &config, &[]), "blocked");
        assert_eq!(prefix(&event(OWN, KIND_AUTH, &[]), &config, &[]), "invalid");
    }

    #[test]
    fn requests_to_vanish_are_followed_whoever_asks() {
        let mut config = RelayConfig::default();
        config.policy.denied_pubkeys.insert(STRANGER);
        config.policy.min_pow_difficulty = 30;
        config.policy.created_at_lower_limit = Some(Duration::from_mins(1));
        let request = |relay| Event {
            created_at: NOW - 1_000_000,
            ..event(STRANGER, 62, &[&["relay", relay]])
        };
        assert_eq!(prefix(&request("ALL_RELAYS"), &config, &[]), "");
        // Not even the node itself leaves here what is meant for others.
        let elsewhere = request("wss://other.example.com");
        assert_eq!(prefix(&elsewhere, &config, &[]), "blocked");
        let own = Event {
            pubkey: OWN,
            created_at: NOW,
            ..elsewhere
        };
        assert_eq!(prefix(&own, &config, &[]), "blocked");
        let future = Event {
            created_at: NOW + 901,
            ..request("ALL_RELAYS")
        };
        assert_eq!(prefix(&future, &config, &[]), "invalid");
        config.auth.to_write = true;
        assert_eq!(
            prefix(&request("ALL_RELAYS"), &config, &[]),
            "auth-required"
        );
    }

    #[test]
    fn protected_events_need_their_author() {
        let config = RelayConfig::default();
        let protected = event(STRANGER, 5450, &[&["-"]]);
        assert_eq!(prefix(&protected, &config, &[]), "auth-required");
        assert_eq!(prefix(&protected, &config, &[OWN]), "restricted");
        assert_eq!(prefix(&protected, &config, &[OWN, STRANGER]), "");
    }

    #[test]
    fn times_are_bounded_and_expired_events_refused() {
        let mut config = RelayConfig::default();
        config.policy.created_at_lower_limit = Some(Duration::from_mins(1));
        let at = |created_at| Event {
            created_at,
            ..event(STRANGER, 5450, &[])
        };
        assert_eq!(prefix(&at(NOW + 900), &config, &[]), "");
        assert_eq!(prefix(&at(NOW + 901), &config, &[]), "invalid");
        assert_eq!(prefix(&at(NOW - 60), &config, &[]), "");
        assert_eq!(prefix(&at(NOW - 61), &config, &[]), "invalid");
        let expired = event(STRANGER, 5450, &[&["expiration", "1700000000"]]);
        assert_eq!(prefix(&expired, &config, &[]), "invalid");
    }

    #[test]
    fn work_counts_only_when_committed_to() {
        let mut config = RelayConfig::default();
        config.policy.min_pow_difficulty = 12;
        let work = |tags: &[&[&str]]| event(STRANGER, 5450, tags);
        assert_eq!(prefix(&work(&[&["nonce", "7", "12"]]), &config, &[]), "");
        assert_eq!(prefix(&work(&[&["nonce", "7", "11"]]), &config, &[]), "pow");
        assert_eq!(prefix(&work(&[&["nonce", "7"]]), &config, &[]), "pow");
        assert_eq!(prefix(&event(OWN, 1, &[]), &config, &[]), "");
        config.policy.min_pow_difficulty = 13;
        assert_eq!(prefix(&work(&[&["nonce", "7", "20"]]), &config, &[]), "pow");
    }
}
