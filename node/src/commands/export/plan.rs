//! Which events are exported, in which passes over the archive.
//!
//! A filter with a limit takes a pass of its own, newest first; all filters without one share the
//! last pass. Each event is exported once: whether an earlier pass had it is computed, not
//! remembered, so the number of events does not matter.

use anyhow::{Context, bail};
use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::store::{ArchiveOrder, ArchivePosition, ArchiveQuery, ArchivedEvent, RelayId};

/// The passes, and how far each has come.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) passes: Vec<Pass>,
}

/// One way through the archive.
#[derive(Debug)]
pub(super) struct Pass {
    filters: Vec<Filter>,
    /// How many events it takes; `None`: all.
    pub(super) limit: Option<u64>,
    /// How many it has taken.
    pub(super) taken: u64,
    /// The last that it took, when it took as many as it may.
    end: Option<ArchivePosition>,
}

/// What becomes of an event.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is exported.
    Export(Event),
    /// Not all of it is kept.
    Partial,
    /// It does not match, or was exported before.
    Leave,
}

impl Plan {
    /// Plans the export of events that match any of the filters; without filters, of all.
    ///
    /// # Errors
    /// When a filter is none, or asks for what the archive cannot do.
    pub(super) fn new(filters: &[String]) -> anyhow::Result<Self> {
        let mut plan = Self::default();
        let mut unlimited = Vec::new();
        for json in filters {
            let filter = Filter::from_json(json)
                .with_context(|| format!("--filter {json} is not a NIP-01 filter"))?;
            if filter.search.is_some() {
                bail!("--filter {json}: the archive has no full-text search");
            }
            match filter.limit {
                Some(limit) => plan
                    .passes
                    .push(Pass::new(vec![filter], Some(limit as u64))),
                None => unlimited.push(filter),
            }
        }
        if filters.is_empty() {
            unlimited.push(Filter::default());
        }
        if !unlimited.is_empty() {
            plan.passes.push(Pass::new(unlimited, None));
        }
        Ok(plan)
    }

    /// Decides about an event that pass number `pass` found.
    pub(super) fn judge(&mut self, pass: usize, found: ArchivedEvent) -> Verdict {
        let (earlier, this) = self.passes.split_at_mut(pass);
        let this = &mut this[0];
        let Some(event) = found.event else {
            this.take(found.position);
            return Verdict::Partial;
        };
        if !this.filters.iter().any(|filter| filter.matches(&event)) {
            return Verdict::Leave;
        }
        this.take(found.position);
        if earlier.iter().any(|pass| pass.had(&event)) {
            Verdict::Leave
        } else {
            Verdict::Export(event)
        }
    }
}

impl Pass {
    fn new(filters: Vec<Filter>, limit: Option<u64>) -> Self {
        Self {
            filters,
            limit,
            taken: 0,
            end: None,
        }
    }

    /// What to ask the archive for.
    pub(super) fn query(&self, relay: Option<RelayId>, up_to: i64) -> ArchiveQuery {
        ArchiveQuery {
            filters: self.filters.clone(),
            relay,
            up_to,
            order: match self.limit {
                Some(_) => ArchiveOrder::Newest,
                None => ArchiveOrder::Archived,
            },
        }
    }

    /// Says whether it has taken as many events as it may.
    pub(super) fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.taken >= limit)
    }

    fn take(&mut self, position: ArchivePosition) {
        self.taken += 1;
        if self.is_full() {
            self.end = Some(position);
        }
    }

    /// Says whether this pass, which is over, had an event.
    fn had(&self, event: &Event) -> bool {
        let within = match (self.limit, &self.end) {
            (Some(0), _) => false,
            // Newest first, lowest id first on a tie.
            (_, Some(end)) => (-event.created_at, event.id) <= (-end.created_at, end.id),
            (_, None) => true,
        };
        within && self.filters.iter().any(|filter| filter.matches(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_with_a_limit_come_first_and_the_others_together() {
        let plan = |filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(ToString::to_string).collect();
            Plan::new(&filters).map(|plan| {
                let passes = plan.passes.iter();
                passes
                    .map(|pass| (pass.filters.len(), pass.limit))
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(plan(&[]).unwrap(), [(1, None)]);
        assert_eq!(
            plan(&["{}", r#"{"limit":5}"#, r#"{"kinds":[1]}"#]).unwrap(),
            [(1, Some(5)), (2, None)]
        );
        for (filter, words) in [
            ("{", "not a NIP-01 filter"),
            (r#"{"kinds":[70000]}"#, "not a NIP-01 filter"),
            (r#"{"search":"x"}"#, "full-text"),
        ] {
            let error = format!("{:#}", plan(&[filter]).unwrap_err());
            assert!(error.contains(words) && error.contains(filter), "{error}");
        }
    }
}
