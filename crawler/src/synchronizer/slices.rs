//! Which choices of events are archived how far, and what follows when the operator wants others.
//! Pure.
//!
//! A relay's slices together are what is known to be archived of it. What is wanted and in none of
//! them becomes a slice of its own, to be caught up with; what is in a slice and no longer wanted
//! is set aside with its coverage, so that wanting it again costs the time since then and no more.
//! Slices that are caught up are joined: in the long run a relay has one.

use bigbrotr_core::selection::Selection;
use bigbrotr_schema::store::{Coverage, Slice};

use super::wanted::Wanted;

/// Slices set aside that are remembered.
const MAX_IDLE: usize = 8;

/// The slices of one relay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Slices {
    /// Those that make up what is wanted.
    pub(super) active: Vec<Slice>,
    /// Those that are not wanted.
    pub(super) idle: Vec<Slice>,
    /// Whether something is wanted that was not before.
    pub(super) is_wider: bool,
}

impl Slices {
    /// Divides what is known to be archived by what is wanted. `whole` is the coverage of a relay
    /// that was archived before there were slices.
    pub(super) fn plan(stored: Vec<Slice>, whole: Coverage, wanted: &Selection) -> Self {
        if stored.is_empty() {
            return Self {
                active: vec![Slice {
                    selection: wanted.clone(),
                    coverage: whole,
                    full_at: None,
                }],
                ..Self::default()
            };
        }
        let mut slices = Self::default();
        let mut lacking = vec![wanted.clone()];
        for slice in stored {
            let Some(part) = lacking
                .iter()
                .find_map(|lacking| slice.selection.part_of(lacking))
            else {
                slices.idle.push(slice);
                continue;
            };
            // What of the slice is not wanted any more.
            let unwanted = slice.selection.kinds.subtract(&wanted.kinds);
            if part.tags != slice.selection.tags || part.authors != slice.selection.authors {
                slices.idle.push(slice.clone());
            } else if !unwanted.is_empty() {
                slices.idle.push(Slice {
                    selection: Selection {
                        kinds: unwanted,
                        ..slice.selection.clone()
                    },
                    ..slice.clone()
                });
            }
            lacking = lacking
                .iter()
                .flat_map(|lacking| part.lacks_of(lacking))
                .collect();
            slices.active.push(Slice {
                selection: part,
                ..slice
            });
        }
        slices.is_wider = !lacking.is_empty();
        slices
            .active
            .extend(lacking.into_iter().map(|selection| Slice {
                selection,
                ..Slice::default()
            }));
        let excess = slices.idle.len().saturating_sub(MAX_IDLE);
        slices.idle.drain(..excess);
        slices
    }

    /// Joins the slices, once each is caught up: then together they are what is wanted.
    pub(super) fn join(&mut self, wanted: &Wanted) {
        if self.active.len() < 2 {
            return;
        }
        let coverages = || self.active.iter().map(|slice| slice.coverage);
        let summary = self.summary();
        if coverages().any(|c| c.scan_top.is_some() || c.covered_to.is_none()) {
            return;
        }
        let full_at = self
            .active
            .iter()
            .map(|slice| slice.full_at)
            .min()
            .flatten();
        self.active = vec![Slice {
            selection: wanted.selection.clone(),
            coverage: summary,
            full_at,
        }];
    }

    /// Returns what is covered of all that is wanted, and the first scan under way.
    pub(super) fn summary(&self) -> Coverage {
        let coverages = || self.active.iter().map(|slice| slice.coverage);
        let scan = coverages().find(|coverage| coverage.scan_top.is_some());
        let mut summary = Coverage {
            covered_from: None,
            covered_to: None,
            ..scan.unwrap_or_default()
        };
        if coverages().all(|coverage| coverage.covered_to.is_some()) {
            summary.covered_from = coverages().filter_map(|c| c.covered_from).max();
            summary.covered_to = coverages().filter_map(|c| c.covered_to).min();
        }
        summary
    }

    /// Returns all slices, to be stored.
    pub(super) fn all(&self) -> Vec<Slice> {
        self.active.iter().chain(&self.idle).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use bigbrotr_core::event::Pubkey;
    use bigbrotr_core::selection::KindSet;

    use super::*;
    use crate::synchronizer::config::SynchronizerConfig;

    fn kinds(kinds: &[u16]) -> Selection {
        Selection {
            kinds: kinds.iter().copied().collect(),
            ..Selection::default()
        }
    }

    fn slice(selection: Selection, to: i64) -> Slice {
        Slice {
            selection,
            coverage: Coverage {
                covered_from: Some(0),
                covered_to: Some(to),
                ..Coverage::default()
            },
            full_at: Some(to),
        }
    }

    fn wanted(selection: Selection) -> Wanted {
        let relay = bigbrotr_core::relay_url::RelayUrl::parse(
            "wss://relay.example.com",
            &bigbrotr_core::relay_url::UrlPolicy::default(),
        );
        let everything = Wanted::of(&SynchronizerConfig::default(), &relay.unwrap()).unwrap();
        Wanted {
            selection,
            ..everything
        }
    }

    #[test]
    fn a_relay_of_before_keeps_what_it_has() {
        let whole = slice(Selection::default(), 50).coverage;
        let slices = Slices::plan(Vec::new(), whole, &Selection::default());
        assert_eq!(slices.summary(), whole);
        assert!(!slices.is_wider);
    }

    #[test]
    fn new_kinds_are_all_that_is_missing() {
        let slices = Slices::plan(
            vec![slice(kinds(&[0, 1]), 50)],
            Coverage::default(),
            &kinds(&[0, 1, 3]),
        );
        assert!(slices.is_wider && slices.idle.is_empty());
        assert_eq!(slices.active.len(), 2);
        assert_eq!(slices.active[0], slice(kinds(&[0, 1]), 50));
        assert_eq!(slices.active[1].selection, kinds(&[3]));
        assert_eq!(slices.active[1].coverage, Coverage::default());
        assert_eq!(slices.summary().covered_to, None);
    }

    #[test]
    fn what_is_not_wanted_for_a_while_is_missing_since_then_only() {
        let stored = vec![slice(kinds(&[0, 1]), 50)];
        let mut slices = Slices::plan(stored, Coverage::default(), &kinds(&[0]));
        assert_eq!(slices.active, [slice(kinds(&[0]), 50)]);
        assert_eq!(slices.idle, [slice(kinds(&[1]), 50)]);
        assert!(!slices.is_wider);
        slices.active[0] = slice(kinds(&[0]), 90);
        let mut slices = Slices::plan(slices.all(), Coverage::default(), &kinds(&[0, 1]));
        assert!(slices.idle.is_empty() && !slices.is_wider);
        assert_eq!(
            slices.active,
            [slice(kinds(&[0]), 90), slice(kinds(&[1]), 50)]
        );
        slices.active[1] = slice(kinds(&[1]), 90);
        slices.join(&wanted(kinds(&[0, 1])));
        assert_eq!(slices.active, [slice(kinds(&[0, 1]), 90)]);
    }

    #[test]
    fn somebody_who_is_denied_no_more_is_asked_for_alone() {
        let spammer = Pubkey([7; 32]);
        let denying = Selection {
            denied: [spammer].into(),
            ..Selection::default()
        };
        let slices = Slices::plan(
            vec![slice(denying, 50)],
            Coverage::default(),
            &Selection::default(),
        );
        assert_eq!(slices.active.len(), 2);
        assert_eq!(slices.active[1].selection.authors, Some([spammer].into()));
        assert_eq!(slices.active[1].selection.kinds, KindSet::all());
    }

    #[test]
    fn slices_under_way_are_not_joined() {
        let mut slices = Slices::plan(
            vec![slice(kinds(&[0]), 50)],
            Coverage::default(),
            &kinds(&[0, 1]),
        );
        let before = slices.clone();
        slices.join(&wanted(kinds(&[0, 1])));
        assert_eq!(slices, before);
    }
}
