//! What the monitor publishes about itself: its announcement (10166), profile and relay list.
//!
//! Decides what they say and when they are published; publishing is the service's.

use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::RelayUrl;
use serde_json::json;

use super::config::MonitorConfig;
use super::draft::{Draft, tag};
use super::limits::ANNOUNCE_REFRESH_SECONDS;
use crate::dial::NetworksConfig;

/// The kind of a monitor's announcement ([NIP-66]).
///
/// [NIP-66]: https://github.com/nostr-protocol/nips/blob/master/66.md
pub(super) const ANNOUNCEMENT_KIND: u16 = 10_166;
/// The kind of a profile ([NIP-01](https://github.com/nostr-protocol/nips/blob/master/01.md)).
pub(super) const PROFILE_KIND: u16 = 0;
/// The kind of a relay list ([NIP-65](https://github.com/nostr-protocol/nips/blob/master/65.md)).
pub(super) const RELAY_LIST_KIND: u16 = 10_002;
/// All of these.
pub(super) const ANNOUNCED_KINDS: [u16; 3] = [ANNOUNCEMENT_KIND, PROFILE_KIND, RELAY_LIST_KIND];

/// Makes everything that a monitor with this configuration says about itself: the configuration
/// in effect, as [`super::Checker::config`] returns it. `relay` is where its reports can be read,
/// if that is public; they go to `targets` too.
pub fn announcements(
    config: &MonitorConfig,
    networks: &NetworksConfig,
    relay: Option<&RelayUrl>,
    targets: &[RelayUrl],
) -> Vec<Draft> {
    let mut drafts = vec![announcement(config, networks)];
    if !config.name.is_empty() {
        let mut profile = json!({ "name": config.name });
        if !config.about.is_empty() {
            profile["about"] = json!(config.about);
        }
        drafts.push(Draft {
            kind: PROFILE_KIND,
            tags: Vec::new(),
            content: profile.to_string(),
        });
    }
    let mut listed: Vec<&RelayUrl> = relay.into_iter().collect();
    listed.extend(targets.iter().filter(|target| Some(*target) != relay));
    if config.relay_list && !listed.is_empty() {
        let tags = listed.iter().map(|url| tag(["r", &url.d_tag()]));
        drafts.push(Draft {
            kind: RELAY_LIST_KIND,
            tags: tags.collect(),
            content: String::new(),
        });
    }
    drafts
}

fn announcement(config: &MonitorConfig, networks: &NetworksConfig) -> Draft {
    let frequency = config.publish_interval.as_secs();
    let mut tags = vec![tag(["frequency", &frequency.to_string()])];
    let checks = checks(config, networks);
    for (name, timeout) in &checks {
        if let Some(timeout) = timeout {
            // As the NIP's example and everybody's practice have it, not as its prose has it.
            tags.push(tag(["timeout", name, &timeout.as_millis().to_string()]));
        }
    }
    tags.extend(checks.iter().map(|(name, _)| tag(["c", name])));
    if !config.geohash.is_empty() {
        tags.push(tag(["g", &config.geohash]));
    }
    Draft {
        kind: ANNOUNCEMENT_KIND,
        tags,
        content: String::new(),
    }
}

/// Lists the checks that are switched on, by the names that others use where there are such, with
/// the time that each has of its own.
fn checks(
    config: &MonitorConfig,
    networks: &NetworksConfig,
) -> Vec<(&'static str, Option<Duration>)> {
    let tries = config.capabilities_timeout;
    [
        ("open", true, Some(open_timeout(config, networks))),
        ("read", config.read, Some(config.read_timeout)),
        ("write", config.write, Some(config.write_timeout)),
        (
            "auth",
            config.auth && (config.read || config.write),
            Some(config.auth_timeout),
        ),
        ("pow", config.pow && config.write, Some(config.pow_timeout)),
        ("nip11", config.nip11, Some(config.nip11_timeout)),
        ("http", config.nip11 && config.http, None),
        ("dns", config.dns, Some(config.dns_timeout)),
        ("ssl", true, None),
        ("geo", config.geo, None),
        ("net", config.net, None),
        ("count", config.count, Some(tries)),
        ("search", config.search, Some(tries)),
        ("negentropy", config.negentropy, Some(tries)),
    ]
    .into_iter()
    .filter(|(_, is_on, _)| *is_on)
    .map(|(name, _, timeout)| (name, timeout))
    .collect()
}

/// The longest time to a WebSocket on the network that most relays are on.
fn open_timeout(config: &MonitorConfig, networks: &NetworksConfig) -> Duration {
    let network = networks.enabled().next().unwrap_or(Network::Clearnet);
    networks.get(network).connect_timeout + config.open_timeout
}

/// Says whether a draft has to be published in place of what our relay has: when it says
/// something else, or the announcement gets old. `now` is in Unix seconds.
pub(super) fn is_news(draft: &Draft, current: Option<&Event>, now: i64) -> bool {
    let Some(current) = current else { return true };
    let age = now.saturating_sub(current.created_at);
    current.tags != draft.tags
        || current.content != draft.content
        || (draft.kind == ANNOUNCEMENT_KIND && age >= ANNOUNCE_REFRESH_SECONDS)
}

/// Dates an announcement so that it replaces what our relay has.
pub(super) fn date_after(current: Option<&Event>, now: i64) -> i64 {
    current.map_or(now, |current| now.max(current.created_at.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use bigbrotr_core::relay_url::UrlPolicy;
    use serde_json::Value;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn shown(drafts: &[Draft]) -> Value {
        drafts
            .iter()
            .map(|draft| json!({"kind": draft.kind, "tags": draft.tags, "content": draft.content}))
            .collect()
    }

    #[test]
    fn what_a_configured_monitor_says_about_itself() {
        let config = MonitorConfig {
            geohash: "ezs42".into(),
            name: "Example monitor".into(),
            about: "Measures relays.".into(),
            ..MonitorConfig::default()
        };
        let relay = RelayUrl::parse("wss://monitor.example.com", &UrlPolicy::default()).unwrap();
        let drafts = announcements(&config, &NetworksConfig::default(), Some(&relay), &[]);
        insta::assert_json_snapshot!(shown(&drafts));
    }

    #[test]
    fn without_name_and_relay_only_the_checks_done_are_announced() {
        let config = MonitorConfig {
            write: false,
            nip11: false,
            auth: false,
            dns: false,
            geo: false,
            net: false,
            search: false,
            ..MonitorConfig::default()
        };
        let drafts = announcements(&config, &NetworksConfig::default(), None, &[]);
        insta::assert_json_snapshot!(shown(&drafts));
    }

    #[test]
    fn the_relay_list_names_every_relay_that_reports_go_to_once() {
        let config = MonitorConfig::default();
        let [ours, other] = ["wss://monitor.example.com", "wss://other.example.com"]
            .map(|url| RelayUrl::parse(url, &UrlPolicy::default()).unwrap());
        let listed = |relay, targets: &[RelayUrl]| {
            let drafts = announcements(&config, &NetworksConfig::default(), relay, targets);
            let list = drafts.into_iter().find(|d| d.kind == RELAY_LIST_KIND);
            list.map(|list| list.tags)
        };
        let both = [ours.clone(), other.clone()];
        let tags = vec![tag(["r", &ours.d_tag()]), tag(["r", &other.d_tag()])];
        assert_eq!(listed(Some(&ours), &both), Some(tags));
        assert_eq!(
            listed(None, std::slice::from_ref(&other)),
            Some(vec![tag(["r", &other.d_tag()])])
        );
        assert_eq!(listed(None, &[]), None);
    }

    #[test]
    fn only_news_and_old_announcements_are_published() {
        let config = MonitorConfig {
            name: "Example".into(),
            ..MonitorConfig::default()
        };
        let drafts = announcements(&config, &NetworksConfig::default(), None, &[]);
        let [announcement, profile] = drafts.as_slice() else {
            panic!("{drafts:?}");
        };
        let keys = nostr::Keys::generate();
        let current = announcement.clone().sign(&keys, NOW).unwrap();
        assert!(is_news(announcement, None, NOW));
        assert!(!is_news(announcement, Some(&current), NOW + 60));
        assert!(is_news(
            announcement,
            Some(&current),
            NOW + ANNOUNCE_REFRESH_SECONDS
        ));
        let mut other = announcement.clone();
        other.tags.pop();
        assert!(is_news(&other, Some(&current), NOW + 60));
        let current = profile.clone().sign(&keys, NOW).unwrap();
        assert!(!is_news(
            profile,
            Some(&current),
            NOW + 10 * ANNOUNCE_REFRESH_SECONDS
        ));
    }

    #[test]
    fn what_replaces_is_newer_even_within_a_second() {
        let draft = announcement(&MonitorConfig::default(), &NetworksConfig::default());
        let current = draft.sign(&nostr::Keys::generate(), NOW).unwrap();
        assert_eq!(date_after(Some(&current), NOW), NOW + 1);
        assert_eq!(date_after(Some(&current), NOW + 9), NOW + 9);
        assert_eq!(date_after(None, NOW), NOW);
    }
}
