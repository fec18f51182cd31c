//! Sets of kinds, as ranges: "all but a few" is as small as "a few".

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A set of kinds: sorted, disjoint, non-adjacent ranges, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<(u16, u16)>")]
pub struct KindSet(Vec<(u16, u16)>);

impl From<Vec<(u16, u16)>> for KindSet {
    fn from(ranges: Vec<(u16, u16)>) -> Self {
        let mut ranges: Vec<(u16, u16)> = ranges.into_iter().filter(|(a, b)| a <= b).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
        for (from, to) in ranges {
            match merged.last_mut() {
                Some((_, last)) if u32::from(from) <= u32::from(*last) + 1 => {
                    *last = (*last).max(to);
                }
                _ => merged.push((from, to)),
            }
        }
        Self(merged)
    }
}

impl FromIterator<u16> for KindSet {
    fn from_iter<T: IntoIterator<Item = u16>>(kinds: T) -> Self {
        kinds
            .into_iter()
            .map(|kind| (kind, kind))
            .collect::<Vec<_>>()
            .into()
    }
}

impl KindSet {
    /// All kinds.
    pub fn all() -> Self {
        Self(vec![(0, u16::MAX)])
    }

    /// Says whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts the kinds.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(a, b)| usize::from(b - a) + 1).sum()
    }

    /// Says whether a kind is in the set.
    pub fn contains(&self, kind: u16) -> bool {
        self.0.iter().any(|(a, b)| (*a..=*b).contains(&kind))
    }

    /// Returns the kinds in both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let mut both = Vec::new();
        for (a, b) in &self.0 {
            for (c, d) in &other.0 {
                both.push(((*a).max(*c), (*b).min(*d)));
            }
        }
        both.into()
    }

    /// Returns the kinds that are not in the other set.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        self.intersect(&other.complement())
    }

    /// Returns the kinds in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.0
            .iter()
            .chain(&other.0)
            .copied()
            .collect::<Vec<_>>()
            .into()
    }

    /// Lists the kinds, unless they are more than `most`.
    pub fn list(&self, most: usize) -> Option<BTreeSet<u16>> {
        (self.len() <= most).then(|| self.0.iter().flat_map(|(a, b)| *a..=*b).collect())
    }

    fn complement(&self) -> Self {
        let mut free = Vec::with_capacity(self.0.len() + 1);
        let mut next = Some(0);
        for (from, to) in &self.0 {
            if let Some(start) = next
                && start < *from
            {
                free.push((start, from - 1));
            }
            next = to.checked_add(1);
        }
        free.extend(next.map(|start| (start, u16::MAX)));
        Self(free)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sets() -> impl Strategy<Value = KindSet> {
        let near = prop_oneof![0..12_u16, (u16::MAX - 3)..=u16::MAX];
        proptest::collection::vec((near.clone(), near), 0..4).prop_map(KindSet::from)
    }

    proptest! {
        #[test]
        fn the_operations_are_those_of_sets(a in sets(), b in sets()) {
            for kind in (0..20).chain(u16::MAX - 6..=u16::MAX) {
                let (in_a, in_b) = (a.contains(kind), b.contains(kind));
                prop_assert_eq!(a.intersect(&b).contains(kind), in_a && in_b);
                prop_assert_eq!(a.subtract(&b).contains(kind), in_a && !in_b);
                prop_assert_eq!(a.union(&b).contains(kind), in_a || in_b);
            }
            prop_assert_eq!(a.subtract(&b).union(&a.intersect(&b)), a);
        }
    }

    #[test]
    fn a_set_is_listed_where_it_is_small() {
        let few: KindSet = [3, 1, 2, 1].into_iter().collect();
        assert_eq!(few.list(3), Some([1, 2, 3].into()));
        assert_eq!(few.list(2), None);
        assert_eq!(KindSet::all().len(), 65_536);
        assert!(KindSet::all().subtract(&KindSet::all()).is_empty());
    }

    #[test]
    fn a_stored_set_reads_back_and_a_wrong_one_is_put_in_order() {
        let set = KindSet::all().subtract(&[7].into_iter().collect());
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, "[[0,6],[8,65535]]");
        assert_eq!(serde_json::from_str::<KindSet>(&json).unwrap(), set);
        let odd: KindSet = serde_json::from_str("[[5,9],[1,5],[4,2]]").unwrap();
        assert_eq!(serde_json::to_string(&odd).unwrap(), "[[1,9]]");
    }
}
