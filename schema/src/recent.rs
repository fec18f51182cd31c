//! A bounded memory in front of the database.

use std::collections::HashMap;
use std::hash::Hash;

/// The database's number of an archived event, where it is known.
pub(crate) type EventNum = Option<i64>;

/// Remembers what was met last. Two generations: when the young one is full it becomes the old
/// one and the old one is forgotten, so it holds between half of its bound and all of it.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    generation_size: usize,
}

impl<K: Eq + Hash, V: Copy> Recent<K, V> {
    /// Makes an empty memory for at most `most` entries.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation_size: (most / 2).max(1),
        }
    }

    /// Returns what is remembered of a key.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// Remembers a value.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.generation_size {
            // The allocation is kept: it will be needed again.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_and_stays_bounded() {
        let mut recent = Recent::new(10);
        for n in 0..100 {
            recent.insert(n, n);
            assert_eq!(recent.get(&n), Some(n));
            assert!(recent.young.len() + recent.old.len() <= 10);
        }
        assert_eq!(recent.get(&0), None);
        assert!(recent.get(&96).is_some());
        recent.clear();
        assert_eq!(recent.get(&96), None);
    }
}
