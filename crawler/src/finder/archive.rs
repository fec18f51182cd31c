//! Reading on in the archive, a bounded number of events at a time.

use std::collections::{HashMap, HashSet};

use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::store::{ArchiveBarrier, Finding, FindingPage, FoundBy};
use tokio::time::Instant;

use super::budget::{Budget, Named};
use super::extract::{Collected, collect};
use super::limits::{BARRIER_WAIT, PAGE_BYTES, PAGE_EVENTS, YIELD_BYTES};
use super::service::FinderService;
use crate::store_wait::{StepError, bounded};

/// What a look at the archive came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Events read.
    pub(super) read: u64,
    /// New candidates.
    pub(super) candidates: u64,
    /// There is more to read, and room for what may be in it.
    pub(super) more: bool,
}

/// What is remembered from one look to the next. Losing it costs a moment.
#[derive(Debug, Default)]
pub(super) struct ArchiveReader {
    barrier: Option<ArchiveBarrier>,
}

impl ArchiveReader {
    /// Reads on for those of these sources that have room.
    pub(super) async fn look(
        &mut self,
        service: &FinderService,
        sources: &[FoundBy],
        mut budget: Budget,
    ) -> Result<Look, StepError> {
        let mut look = Look::default();
        let Some(horizon) = self.horizon(service).await? else {
            look.more = true;
            return Ok(look);
        };
        let mut open: Vec<FoundBy> = sources.to_vec();
        open.retain(|source| budget.room(*source) > 0);
        let mut latest_first = true;
        while look.read < u64::from(service.config.events_per_cycle) {
            let Some(mut finding) = bounded(service.store.begin_finding()).await? else {
                // Another finder is at it, and will have read it, or will not.
                look.more = true;
                return Ok(look);
            };
            let cursors = |source: &FoundBy| finding.cursor(*source);
            let furthest = sources.iter().map(cursors).min().unwrap_or(horizon);
            service.metrics.set_behind((horizon - furthest).max(0));
            // Sources that had to stop are behind the others. They take turns: the old ones must
            // not wait until nothing is new, nor the new ones until nothing is old.
            let behind = open.iter().map(cursors).filter(|num| *num < horizon);
            let next = if latest_first {
                behind.max()
            } else {
                behind.min()
            };
            let Some(after) = next else {
                return Ok(look);
            };
            latest_first = !latest_first;
            let group: Vec<FoundBy> = open
                .iter()
                .copied()
                .filter(|source| finding.cursor(*source) == after)
                .collect();
            let page = bounded(finding.page(after, horizon, PAGE_EVENTS, PAGE_BYTES)).await?;
            let Some(last) = page.last else {
                open.retain(|source| !group.contains(source));
                continue;
            };
            look.read += page.read;
            let (new, stopped) = store(service, finding, &group, &page, last, &mut budget).await?;
            look.candidates += new;
            service.note(page.read, new);
            open.retain(|source| !stopped.contains(source) && budget.room(*source) > 0);
        }
        look.more = !open.is_empty();
        Ok(look)
    }

    /// Returns the number up to which every archived event can be seen; `None` while somebody is
    /// writing below it for longer than usual.
    async fn horizon(&mut self, service: &FinderService) -> Result<Option<i64>, StepError> {
        let (patience, pause) = BARRIER_WAIT;
        let deadline = Instant::now() + patience;
        loop {
            let barrier = match self.barrier.take() {
                Some(barrier) => barrier,
                None => bounded(service.store.archive_barrier()).await?,
            };
            match bounded(service.store.is_barrier_passed(&barrier)).await? {
                Some(true) => return Ok(Some(barrier.top())),
                Some(false) => self.barrier = Some(barrier),
                None => {}
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// Finds out what is new on a page and stores it. Returns how many candidates are new, and which
/// sources had to stop.
async fn store(
    service: &FinderService,
    mut finding: Finding<'_>,
    group: &[FoundBy],
    page: &FindingPage,
    last: i64,
    budget: &mut Budget,
) -> Result<(u64, Vec<FoundBy>), StepError> {
    let policy = service.dialer.config().url_policy();
    let (named, collected) = read_page(page, group, policy).await;
    let mut seen = HashSet::new();
    let urls: Vec<RelayUrl> = named
        .iter()
        .flat_map(|named| &named.urls)
        .filter(|url| seen.insert(*url))
        .cloned()
        .collect();
    let bounds = service.config.bounds();
    let verdicts = bounded(finding.judge(&urls, bounds)).await?;
    let verdicts: HashMap<RelayUrl, _> = urls.into_iter().zip(verdicts).collect();
    let plan = budget.plan(&named, &verdicts);
    let cursors: Vec<(FoundBy, i64)> = group
        .iter()
        .map(|source| (*source, plan.stopped.get(source).copied().unwrap_or(last)))
        .collect();
    let found = bounded(finding.finish(&cursors, &plan.mentions, bounds)).await?;

    let metrics = &service.metrics;
    metrics.count_events(page.read);
    for (source, collected) in &collected {
        metrics.count_collected(*source, collected);
    }
    for (source, tally) in &plan.tallies {
        metrics.count_tally(*source, *tally);
    }
    for (source, new) in &found {
        metrics.count_new(*source, *new);
    }
    Ok((found.values().sum(), plan.stopped.into_keys().collect()))
}

/// Reads what a page names to each source, and what was wrong with it.
async fn read_page(
    page: &FindingPage,
    group: &[FoundBy],
    policy: UrlPolicy,
) -> (Vec<Named>, Vec<(FoundBy, Collected)>) {
    let (mut named, mut wrong) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for event in &page.events {
        for source in group {
            let mut collected = collect(event, *source, policy);
            if collected.is_empty() {
                continue;
            }
            let urls = std::mem::take(&mut collected.urls);
            if !urls.is_empty() {
                named.push(Named {
                    num: event.num,
                    found_by: *source,
                    urls,
                });
            }
            if !collected.is_empty() {
                wrong.push((*source, collected));
            }
        }
        let tags = event.tags.iter().flatten().map(String::len).sum::<usize>();
        bytes += tags + event.content.as_ref().map_or(0, String::len);
        if bytes >= YIELD_BYTES {
            bytes = 0;
            tokio::task::yield_now().await;
        }
    }
    (named, wrong)
}
