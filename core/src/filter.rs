//! The filter of [NIP-01]: which events somebody wants.
//!
//! Owns the strict parser and the in-memory matcher, which is the oracle for the filter's SQL in
//! the schema crate. Unlike client libraries' filters it refuses a kind above 65535 instead of
//! truncating it, and says which field is wrong.
//!
//! [NIP-01]: https://github.com/nostr-protocol/nips/blob/master/01.md

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};

use crate::event::{Event, EventId, Pubkey};

/// Conditions that an event must all meet. A field that is `None` is no condition; an empty set
/// matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Event ids.
    pub ids: Option<BTreeSet<EventId>>,
    /// Authors.
    pub authors: Option<BTreeSet<Pubkey>>,
    /// Kinds.
    pub kinds: Option<BTreeSet<u16>>,
    /// Single-letter tags: any of the values must be the first value of such a tag.
    pub tags: BTreeMap<char, BTreeSet<String>>,
    /// Earliest `created_at`, inclusive: Unix seconds.
    pub since: Option<i64>,
    /// Latest `created_at`, inclusive: Unix seconds.
    pub until: Option<i64>,
    /// The most stored events to return.
    pub limit: Option<usize>,
    /// Full-text query (NIP-50).
    pub search: Option<String>,
}

impl Filter {
    /// Parses a filter from JSON.
    ///
    /// # Errors
    /// A message that names the field and what it must be.
    ///
    /// # Security
    /// The text comes from a peer: its length must be bounded before this is called.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Writes the filter as compact JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Says whether the event meets every condition but `limit` and `search`.
    pub fn matches(&self, event: &Event) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&event.id))
            && self
                .authors
                .as_ref()
                .is_none_or(|authors| authors.contains(&event.pubkey))
            && self
                .kinds
                .as_ref()
                .is_none_or(|kinds| kinds.contains(&event.kind))
            && self.since.is_none_or(|since| event.created_at >= since)
            && self.until.is_none_or(|until| event.created_at <= until)
            && has_tags(event, &self.tags)
    }

    /// Says whether no event can meet the filter: an empty set, or `since` after `until`.
    pub fn is_void(&self) -> bool {
        self.ids.as_ref().is_some_and(BTreeSet::is_empty)
            || self.authors.as_ref().is_some_and(BTreeSet::is_empty)
            || self.kinds.as_ref().is_some_and(BTreeSet::is_empty)
            || self.tags.values().any(BTreeSet::is_empty)
            || matches!((self.since, self.until), (Some(since), Some(until)) if since > until)
    }

    /// Counts the values in all sets: a measure of what the filter costs to answer.
    pub fn value_count(&self) -> usize {
        self.ids.as_ref().map_or(0, BTreeSet::len)
            + self.authors.as_ref().map_or(0, BTreeSet::len)
            + self.kinds.as_ref().map_or(0, BTreeSet::len)
            + self.tags.values().map(BTreeSet::len).sum::<usize>()
    }
}

/// Says whether an event has, for each of these letters, a tag with one of the values.
pub(crate) fn has_tags(event: &Event, tags: &BTreeMap<char, BTreeSet<String>>) -> bool {
    tags.iter().all(|(name, wanted)| {
        let mut buffer = [0; 4];
        event
            .tag_values(name.encode_utf8(&mut buffer))
            .any(|value| wanted.contains(value))
    })
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(ids) = &self.ids {
            map.serialize_entry("ids", ids)?;
        }
        if let Some(authors) = &self.authors {
            map.serialize_entry("authors", authors)?;
        }
        if let Some(kinds) = &self.kinds {
            map.serialize_entry("kinds", kinds)?;
        }
        for (name, values) in &self.tags {
            map.serialize_entry(&format!("#{name}"), values)?;
        }
        if let Some(since) = self.since {
            map.serialize_entry("since", &since)?;
        }
        if let Some(until) = self.until {
            map.serialize_entry("until", &until)?;
        }
        if let Some(limit) = self.limit {
            map.serialize_entry("limit", &limit)?;
        }
        if let Some(search) = &self.search {
            map.serialize_entry("search", search)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FilterVisitor)
    }
}

struct FilterVisitor;

impl FilterVisitor {
    fn field<'de, A, T>(map: &mut A, name: &str) -> Result<T, A::Error>
    where
        A: de::MapAccess<'de>,
        T: Deserialize<'de>,
    {
        map.next_value()
            .map_err(|error| de::Error::custom(format_args!("filter field {name:?}: {error}")))
    }
}

impl<'de> de::Visitor<'de> for FilterVisitor {
    type Value = Filter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a filter object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Filter, A::Error> {
        let mut filter = Filter::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "ids" => filter.ids = Some(Self::field(&mut map, &key)?),
                "authors" => filter.authors = Some(Self::field(&mut map, &key)?),
                "kinds" => filter.kinds = Some(Self::field(&mut map, &key)?),
                "since" => filter.since = Some(Self::field(&mut map, &key)?),
                "until" => filter.until = Some(Self::field(&mut map, &key)?),
                "limit" => filter.limit = Some(Self::field(&mut map, &key)?),
                "search" => filter.search = Some(Self::field(&mut map, &key)?),
                _ => {
                    let mut chars = key.chars();
                    match (chars.next(), chars.next(), chars.next()) {
                        (Some('#'), Some(name), None) if name.is_ascii_alphabetic() => {
                            filter.tags.insert(name, Self::field(&mut map, &key)?);
                        }
                        _ => {
                            return Err(de::Error::custom(format_args!(
                                "filter field {key:?} is unknown: expected ids, authors, kinds, \
                                 since, until, limit, search or # and one letter"
                            )));
                        }
                    }
                }
            }
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, created_at: i64, tags: &[&[&str]]) -> Event {
        Event {
            id: EventId([1; 32]),
            pubkey: Pubkey([2; 32]),
            created_at,
            kind,
            tags: tags
                .iter()
                .map(|tag| tag.iter().map(ToString::to_string).collect())
                .collect(),
            content: String::new(),
            sig: [0; 64],
        }
    }

    #[test]
    fn only_the_first_value_of_a_tag_counts() {
        let filter = Filter::from_json(r##"{"#t":["b"]}"##).unwrap();
        assert!(!filter.matches(&event(1, 0, &[&["t", "a", "b"]])));
        assert!(filter.matches(&event(1, 0, &[&[], &["t"], &["t", "b"]])));
    }

    #[test]
    fn bounds_are_inclusive_and_empty_sets_match_nothing() {
        let filter = Filter::from_json(r#"{"since":5,"until":5}"#).unwrap();
        assert!(filter.matches(&event(1, 5, &[])));
        assert!(!filter.matches(&event(1, 4, &[])));
        let empty = Filter::from_json(r#"{"kinds":[]}"#).unwrap();
        assert!(!empty.matches(&event(1, 5, &[])) && empty.is_void());
    }

    #[test]
    fn errors_name_the_field() {
        for (json, part) in [
            (r#"{"kinds":[65536]}"#, "kinds"),
            (r#"{"ids":["AB"]}"#, "ids"),
            (r#"{"limit":-1}"#, "limit"),
            (r#"{"since":"now"}"#, "since"),
            (r##"{"#tt":["x"]}"##, "#tt"),
            (r#"{"kind":1}"#, "kind"),
        ] {
            let message = Filter::from_json(json).unwrap_err().to_string();
            assert!(message.contains(part), "{json}: {message}");
        }
    }

    #[test]
    fn json_round_trips() {
        let json = r##"{"authors":["0202020202020202020202020202020202020202020202020202020202020202"],"kinds":[1,2],"#d":["","x"],"since":1,"until":2,"limit":0}"##;
        assert_eq!(Filter::from_json(json).unwrap().to_json(), json);
    }
}
