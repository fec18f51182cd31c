//! Which events are archived: kinds, tags and authors, and what two such choices have in common.
//!
//! Owns the arithmetic that tells, after the operator has changed the choice, which part of it is
//! archived already and which part is missing. Times are not its business.

mod kinds;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::kinds::KindSet;
use crate::event::{Event, Pubkey};
use crate::filter::{Filter, has_tags};

/// A choice of events: those that meet every condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Of these kinds.
    pub kinds: KindSet,
    /// With one of these values for each single-letter tag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<char, BTreeSet<String>>,
    /// By one of these authors; none is everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authors: Option<BTreeSet<Pubkey>>,
    /// And by none of these.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub denied: BTreeSet<Pubkey>,
}

impl Default for Selection {
    /// Everything.
    fn default() -> Self {
        Self {
            kinds: KindSet::all(),
            tags: BTreeMap::new(),
            authors: None,
            denied: BTreeSet::new(),
        }
    }
}

impl Selection {
    /// Says whether nothing can meet the conditions.
    pub fn is_void(&self) -> bool {
        self.kinds.is_empty()
            || self.tags.values().any(BTreeSet::is_empty)
            || self.authors.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// Says whether an event is chosen.
    pub fn matches(&self, event: &Event) -> bool {
        self.kinds.contains(event.kind)
            && !self.denied.contains(&event.pubkey)
            && self
                .authors
                .as_ref()
                .is_none_or(|authors| authors.contains(&event.pubkey))
            && has_tags(event, &self.tags)
    }

    /// Returns a filter for the chosen events. Kinds are named if they are at most `most_kinds`;
    /// else the filter lets others through, as it does with what denied authors wrote.
    pub fn filter(&self, most_kinds: usize) -> Filter {
        Filter {
            kinds: self.kinds.list(most_kinds),
            tags: self.tags.clone(),
            authors: self.authors.clone(),
            ..Filter::default()
        }
    }

    /// Returns the part of `wanted` that this choice contains, as far as one choice can say it.
    pub fn part_of(&self, wanted: &Self) -> Option<Self> {
        let tags = self.tags_within(&wanted.tags)?;
        let authors = match (&self.authors, &wanted.authors) {
            (None, wanted) => wanted.clone(),
            (Some(ours), None) => Some(ours.clone()),
            (Some(ours), Some(wanted)) => Some(ours & wanted),
        };
        let part = Self {
            kinds: self.kinds.intersect(&wanted.kinds),
            tags,
            authors,
            denied: &self.denied | &wanted.denied,
        };
        (!part.is_void()).then_some(part)
    }

    /// Returns what this choice lacks of `wanted`, as choices that together are that and, where
    /// it cannot be said exactly, more.
    pub fn lacks_of(&self, wanted: &Self) -> Vec<Self> {
        let Some(tags) = self.tags_within(&wanted.tags) else {
            return vec![wanted.clone()];
        };
        let common = wanted.kinds.intersect(&self.kinds);
        let mut lacks = vec![Self {
            kinds: wanted.kinds.subtract(&self.kinds),
            ..wanted.clone()
        }];
        let shared = Self {
            kinds: common,
            ..wanted.clone()
        };
        let mut missing_tags = wanted.tags.clone();
        for (letter, values) in &mut missing_tags {
            let found = &tags[letter];
            if *found != wanted.tags[letter] {
                *values = &*values - found;
            }
        }
        let different = wanted
            .tags
            .iter()
            .filter(|(letter, values)| tags[letter] != **values);
        if different.count() > 0 {
            lacks.push(Self {
                tags: missing_tags,
                ..shared.clone()
            });
        }
        if let Some(ours) = &self.authors {
            let others = wanted.authors.as_ref().map(|wanted| wanted - ours);
            lacks.push(Self {
                authors: others,
                ..shared.clone()
            });
        }
        let allowed_again: BTreeSet<Pubkey> = self
            .denied
            .difference(&wanted.denied)
            .filter(|author| wanted.authors.as_ref().is_none_or(|a| a.contains(author)))
            .copied()
            .collect();
        lacks.push(Self {
            authors: Some(allowed_again),
            ..shared
        });
        lacks.retain(|part| !part.is_void());
        lacks
    }

    /// Returns, for each letter that is wanted, the wanted values that this choice contains.
    /// `None` where that cannot be said: it asks for a tag that is not wanted, has nothing in
    /// common, or differs in more than one letter.
    fn tags_within(
        &self,
        wanted: &BTreeMap<char, BTreeSet<String>>,
    ) -> Option<BTreeMap<char, BTreeSet<String>>> {
        if self.tags.keys().any(|letter| !wanted.contains_key(letter)) {
            return None;
        }
        let mut tags = BTreeMap::new();
        let mut narrower = 0;
        for (letter, values) in wanted {
            let found = match self.tags.get(letter) {
                None => values.clone(),
                Some(ours) => values & ours,
            };
            narrower += usize::from(found != *values);
            if found.is_empty() || narrower > 1 {
                return None;
            }
            tags.insert(*letter, found);
        }
        Some(tags)
    }
}

#[cfg(test)]
mod tests;
