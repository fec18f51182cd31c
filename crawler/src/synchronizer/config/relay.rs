//! What may be different for a single relay.

use std::collections::{BTreeMap, BTreeSet};

use bigbrotr_core::config::{ByteSize, Checks, Invalid};
use bigbrotr_core::limits::MAX_CREATED_AT;
use serde::{Deserialize, Serialize};

use crate::limits;

/// What is different for one relay. What is not given is as for all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelayRules {
    /// Whether the relay is archived.
    pub enabled: Option<bool>,
    /// The earliest `created_at`, Unix seconds.
    pub since: Option<i64>,
    /// The latest `created_at`, Unix seconds.
    pub until: Option<i64>,
    /// The kinds.
    pub kinds: Option<Vec<u16>>,
    /// Single-letter tags with values of which an event must have one.
    pub tags: Option<BTreeMap<char, BTreeSet<String>>>,
    /// The most events that are asked for at once.
    pub page_limit: Option<u32>,
    /// The largest event, bytes of JSON.
    pub max_event_bytes: Option<ByteSize>,
    /// Whether the relay is asked to reconcile.
    pub negentropy: Option<bool>,
    /// Whether the relay is followed live.
    pub live: Option<bool>,
}

impl RelayRules {
    pub(super) fn check(&self, checks: &mut Checks, url: &str) {
        let tags = self.tags.clone().unwrap_or_default();
        let prefix = format!("relays.{url}.");
        let times = (self.since, self.until);
        check_choice(checks, &prefix, times, self.kinds.as_deref(), &tags);
        if let Some(page_limit) = self.page_limit {
            let largest = limits::MAX_PAGE_EVENTS as u32;
            checks.range(&format!("{prefix}page_limit"), page_limit, 10..=largest);
        }
        if let Some(bytes) = self.max_event_bytes {
            let allowed = 1_024..=limits::MAX_MESSAGE_BYTES as u64;
            checks.range(&format!("{prefix}max_event_bytes"), bytes.bytes(), allowed);
        }
    }
}

/// Checks which events are wanted.
pub(super) fn check_choice(
    checks: &mut Checks,
    prefix: &str,
    (since, until): (Option<i64>, Option<i64>),
    kinds: Option<&[u16]>,
    tags: &BTreeMap<char, BTreeSet<String>>,
) {
    for (key, bound) in [("since", since), ("until", until)] {
        if let Some(bound) = bound {
            checks.range(&format!("{prefix}{key}"), bound, 0..=MAX_CREATED_AT);
        }
    }
    if let (Some(since), Some(until)) = (since, until) {
        let key = format!("{prefix}until");
        checks.require(since <= until, &key, "until is before since");
    }
    checks.require(
        kinds.is_none_or(|kinds| !kinds.is_empty()),
        &format!("{prefix}kinds"),
        "an empty list archives nothing: leave it out to archive all kinds",
    );
    for (letter, values) in tags {
        if !letter.is_ascii_alphabetic() || values.is_empty() {
            checks.push(
                Invalid::new(
                    format!("{prefix}tags.{letter}"),
                    "needs a single letter and at least one value",
                )
                .with_hint("for example t: [bitcoin]"),
            );
        }
    }
}
