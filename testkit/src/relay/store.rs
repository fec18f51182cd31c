//! The events of one simulated relay, in the order in which NIP-01 answers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;

use crate::population::SimEvent;

/// Newest first, lowest id first among equals.
type Position = (Reverse<i64>, EventId);

/// Keeps every event for ever: no replacement, no deletion, so that an oracle stays simple.
#[derive(Debug, Default)]
pub(super) struct Store {
    events: BTreeMap<Position, SimEvent>,
    times: HashMap<EventId, i64>,
    /// Counts everything that was ever published here, ephemeral events included.
    sequence: u64,
}

/// Which events a cap keeps, and in which order they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As NIP-01 wants.
    NewestFirst,
    /// As some relays do, which makes paging by `until` miss events.
    OldestFirst,
}

impl Store {
    /// Adds an event and returns its number, or `None` if the relay has it already.
    ///
    /// Ephemeral events get a number too, but are not kept.
    pub(super) fn insert(&mut self, event: &SimEvent) -> Option<u64> {
        if !event.is_ephemeral() {
            if self.times.insert(event.id(), event.created_at()).is_some() {
                return None;
            }
            self.events
                .insert((Reverse(event.created_at()), event.id()), event.clone());
        }
        self.sequence += 1;
        Some(self.sequence)
    }

    pub(super) fn remove(&mut self, id: EventId) -> bool {
        let time = self.times.remove(&id);
        time.is_some_and(|time| self.events.remove(&(Reverse(time), id)).is_some())
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns the number of the latest publication: what comes later is "live".
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Iterates newest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &SimEvent> {
        self.events.values()
    }

    /// Returns what any of the filters asks for: at most `limit` and `cap` events of each.
    pub(super) fn query(
        &self,
        filters: &[Filter],
        cap: Option<usize>,
        order: Order,
    ) -> Vec<SimEvent> {
        let limit = |filter: &Filter| {
            filter
                .limit
                .unwrap_or(usize::MAX)
                .min(cap.unwrap_or(usize::MAX))
        };
        if let [filter] = filters {
            return self.find(filter, limit(filter), order);
        }
        let each = filters
            .iter()
            .flat_map(|filter| self.find(filter, limit(filter), order));
        let union: BTreeMap<Position, SimEvent> = each
            .map(|event| ((Reverse(event.created_at()), event.id()), event))
            .collect();
        match order {
            Order::NewestFirst => union.into_values().collect(),
            Order::OldestFirst => union.into_values().rev().collect(),
        }
    }

    /// Counts what any of the filters matches, whatever their limits.
    pub(super) fn count(&self, filters: &[Filter]) -> usize {
        self.iter()
            .filter(|event| filters.iter().any(|filter| event.matches(filter)))
            .count()
    }

    fn find(&self, filter: &Filter, limit: usize, order: Order) -> Vec<SimEvent> {
        if filter.is_void() {
            return Vec::new();
        }
        if let Some(ids) = &filter.ids {
            return self.find_ids(ids, filter, limit, order);
        }
        let newest = (Reverse(filter.until.unwrap_or(i64::MAX)), EventId([0; 32]));
        let oldest = (
            Reverse(filter.since.unwrap_or(i64::MIN)),
            EventId([0xff; 32]),
        );
        let window = self.events.range(newest..=oldest).map(|(_, event)| event);
        let wanted = |event: &&SimEvent| event.matches(filter);
        match order {
            Order::NewestFirst => window.filter(wanted).take(limit).cloned().collect(),
            Order::OldestFirst => window.rev().filter(wanted).take(limit).cloned().collect(),
        }
    }

    fn find_ids(
        &self,
        ids: &BTreeSet<EventId>,
        filter: &Filter,
        limit: usize,
        order: Order,
    ) -> Vec<SimEvent> {
        let mut found: Vec<&SimEvent> = ids
            .iter()
            .filter_map(|id| self.events.get(&(Reverse(*self.times.get(id)?), *id)))
            .filter(|event| event.matches(filter))
            .collect();
        found.sort_by_key(|event| (Reverse(event.created_at()), event.id()));
        if order == Order::OldestFirst {
            found.reverse();
        }
        found.into_iter().take(limit).cloned().collect()
    }
}
