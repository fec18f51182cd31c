//! Fetching the lists that are due, one at a time, shared by all finders of a database.

use std::collections::HashMap;
use std::error::Error;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::error_chain::error_chain;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_schema::store::{DueList, FoundBy};

use super::budget::{Budget, Named};
use super::config::ListConfig;
use super::error::{ListError, ListStepError};
use super::limits::LIST_RETRY;
use super::list::fetch;
use super::service::FinderService;
use crate::store_wait::{StepError, bounded, whole_seconds};

/// Leases a list that is due. A lease lasts longer than fetching and storing can take.
pub(super) async fn lease(service: &FinderService) -> Result<Option<DueList>, StepError> {
    let urls: Vec<&str> = service
        .config
        .lists
        .iter()
        .map(|list| list.url.as_str())
        .collect();
    if urls.is_empty() {
        return Ok(None);
    }
    let lease_seconds = whole_seconds(service.config.list_timeout) + 60;
    bounded(service.store.lease_list(&urls, lease_seconds)).await
}

/// Fetches a list and stores what is new on it. Returns how many candidates are new.
pub(super) async fn read(
    service: &FinderService,
    due: &DueList,
    budget: Budget,
) -> Result<u64, StepError> {
    let Some(list) = service.config.lists.iter().find(|list| list.url == due.url) else {
        return Ok(0);
    };
    match fetch_and_store(service, list, budget).await {
        Ok(new) => {
            service.metrics.count_list(true);
            Ok(new)
        }
        Err(ListStepError::Step(error)) => Err(error),
        Err(ListStepError::List(error)) => {
            service.metrics.count_list(false);
            tracing::warn!(
                list.url = %list.url,
                error = &error as &dyn Error,
                "a list of relays cannot be read: it is tried again later",
            );
            fail(service, list, due, &error).await?;
            Ok(0)
        }
    }
}

async fn fetch_and_store(
    service: &FinderService,
    list: &ListConfig,
    mut budget: Budget,
) -> Result<u64, ListStepError> {
    let found = fetch(&service.dialer, list, &service.config).await?;
    let (metrics, bounds) = (&service.metrics, service.config.bounds());
    metrics.count_collected(FoundBy::Lists, &found);
    let mut finding = bounded(service.store.begin_list()).await?;
    let verdicts = bounded(finding.judge(&found.urls, bounds)).await?;
    let verdicts: HashMap<RelayUrl, _> = found.urls.iter().cloned().zip(verdicts).collect();
    // One by one: what does not fit is found again the next time.
    let named: Vec<Named> = found
        .urls
        .into_iter()
        .map(|url| Named {
            num: 0,
            found_by: FoundBy::Lists,
            urls: vec![url],
        })
        .collect();
    let plan = budget.plan(&named, &verdicts);
    let due_at = service.clock.now() + whole_seconds(list.interval);
    let stored = finding.finish_for_list(&list.url, due_at, &plan.mentions, bounds);
    let new = bounded(stored).await?.values().sum();
    for (source, tally) in &plan.tallies {
        metrics.count_tally(*source, *tally);
    }
    metrics.count_new(FoundBy::Lists, new);
    tracing::info!(
        list.url = %list.url,
        relays.listed = named.len(),
        relays.new = new,
        is_whole = plan.stopped.is_empty(),
        "a list of relays was read",
    );
    Ok(new)
}

async fn fail(
    service: &FinderService,
    list: &ListConfig,
    due: &DueList,
    error: &ListError,
) -> Result<(), StepError> {
    let backoff = Backoff {
        base: LIST_RETRY.min(list.interval),
        factor: 2.0,
        max: list.interval,
        jitter: 0.1,
    };
    let pause = backoff.delay(due.failures, &mut rand::rng());
    let due_at = service.clock.now() + whole_seconds(pause);
    bounded(
        service
            .store
            .fail_list(&list.url, due_at, &error_chain(error)),
    )
    .await
}
