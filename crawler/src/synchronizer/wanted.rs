//! What is wanted of one relay: the configuration with the relay's exceptions applied.

use std::collections::BTreeMap;

use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_core::selection::{KindSet, Selection};

use super::config::SynchronizerConfig;

/// What is wanted of one relay.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    /// Which events.
    pub(super) selection: Selection,
    /// The earliest `created_at`.
    pub(super) since: i64,
    /// The latest; none is the open end.
    pub(super) until: Option<i64>,
    /// The largest event, bytes of JSON.
    pub(super) max_event_bytes: usize,
    /// The most events asked for at once.
    pub(super) page_limit: usize,
    /// Whether to reconcile.
    pub(super) negentropy: bool,
    /// Whether to follow live.
    pub(super) live: bool,
}

impl Wanted {
    /// Returns what is wanted of a relay; `None` when it is denied.
    pub(super) fn of(config: &SynchronizerConfig, relay: &RelayUrl) -> Option<Self> {
        let rules = config
            .relays
            .get(relay.as_str())
            .cloned()
            .unwrap_or_default();
        if config.deny.denies(relay) || rules.enabled == Some(false) {
            return None;
        }
        let kinds = rules.kinds.as_ref().or(config.kinds.as_ref());
        let kinds = kinds.map_or_else(KindSet::all, |kinds| kinds.iter().copied().collect());
        let denied_kinds: KindSet = config.deny.kinds.iter().copied().collect();
        let tags: BTreeMap<_, _> = rules.tags.unwrap_or_else(|| config.tags.clone());
        let max_event_bytes = rules.max_event_bytes.unwrap_or(config.max_event_bytes);
        Some(Self {
            selection: Selection {
                kinds: kinds.subtract(&denied_kinds),
                tags,
                authors: None,
                denied: config.deny.pubkeys.clone(),
            },
            since: rules.since.or(config.since).unwrap_or(0),
            until: rules.until.or(config.until),
            max_event_bytes: max_event_bytes.as_usize(),
            page_limit: rules.page_limit.unwrap_or(config.page_limit) as usize,
            negentropy: rules.negentropy.unwrap_or(config.negentropy.enabled),
            live: rules.live.unwrap_or(config.live.enabled),
        })
    }
}

#[cfg(test)]
mod tests {
    use bigbrotr_core::relay_url::UrlPolicy;

    use super::super::config::{DenyConfig, RelayRules};
    use super::*;

    fn url(url: &str) -> RelayUrl {
        RelayUrl::parse(url, &UrlPolicy::default()).unwrap()
    }

    #[test]
    fn a_relay_s_rules_win_and_denials_hold_everywhere() {
        let rules = RelayRules {
            kinds: Some(vec![1, 7]),
            since: Some(5),
            live: Some(false),
            ..RelayRules::default()
        };
        let off = RelayRules {
            enabled: Some(false),
            ..RelayRules::default()
        };
        let config = SynchronizerConfig {
            deny: DenyConfig {
                kinds: [7].into(),
                ..DenyConfig::default()
            },
            relays: [
                ("wss://one.example.com".to_owned(), rules),
                ("wss://off.example.com".to_owned(), off),
            ]
            .into(),
            ..SynchronizerConfig::default()
        };
        let one = Wanted::of(&config, &url("wss://one.example.com")).unwrap();
        assert_eq!(one.selection.kinds, [1].into_iter().collect());
        assert_eq!((one.since, one.live, one.negentropy), (5, false, true));
        let other = Wanted::of(&config, &url("wss://other.example.com")).unwrap();
        assert_eq!(other.selection.kinds.len(), 65_535);
        assert_eq!(Wanted::of(&config, &url("wss://off.example.com")), None);
    }
}
