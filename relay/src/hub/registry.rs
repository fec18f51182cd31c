//! Subscriptions by the kinds they want, so that an event is not matched against all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::subscription::Subscription;

/// The open subscriptions. A subscription's key is its address in memory: it stays while it is
/// registered.
#[derive(Debug, Default)]
pub(super) struct Registry {
    all: HashMap<usize, Arc<Subscription>>,
    by_kind: HashMap<u16, HashMap<usize, Arc<Subscription>>>,
    any_kind: HashMap<usize, Arc<Subscription>>,
}

impl Registry {
    pub(super) fn insert(&mut self, subscription: &Arc<Subscription>) {
        let key = key(subscription);
        self.all.insert(key, subscription.clone());
        match kinds(subscription) {
            None => {
                self.any_kind.insert(key, subscription.clone());
            }
            Some(kinds) => {
                for kind in kinds {
                    let subscriptions = self.by_kind.entry(kind).or_default();
                    subscriptions.insert(key, subscription.clone());
                }
            }
        }
    }

    pub(super) fn remove(&mut self, subscription: &Subscription) -> bool {
        let key = key(subscription);
        if self.all.remove(&key).is_none() {
            return false;
        }
        self.any_kind.remove(&key);
        for kind in kinds(subscription).unwrap_or_default() {
            if let Some(subscriptions) = self.by_kind.get_mut(&kind) {
                subscriptions.remove(&key);
                if subscriptions.is_empty() {
                    self.by_kind.remove(&kind);
                }
            }
        }
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.all.values()
    }

    /// Iterates over the subscriptions that may want events of this kind.
    pub(super) fn candidates(&self, kind: u16) -> impl Iterator<Item = &Arc<Subscription>> {
        let by_kind = self
            .by_kind
            .get(&kind)
            .into_iter()
            .flat_map(HashMap::values);
        by_kind.chain(self.any_kind.values())
    }
}

fn key(subscription: &Subscription) -> usize {
    std::ptr::from_ref(subscription).addr()
}

/// The kinds that a subscription wants; `None` is any.
fn kinds(subscription: &Subscription) -> Option<BTreeSet<u16>> {
    let mut all = BTreeSet::new();
    for filter in subscription.filters() {
        all.extend(filter.kinds.as_ref()?);
    }
    Some(all)
}
