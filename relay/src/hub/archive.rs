//! The task that hears of newly archived events, of whatever process archived them: it wakes the
//! copying of other monitors' reports and, where the archive is served, fans the events out.
//!
//! Subscribers are sent what is new in the archive and not older than `archive.live_window`: what
//! a crawl digs up of years ago is no news, and would be all that a live subscription sees.

use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::{ArchiveFeed, NumberRange, ScanBounds, ServedArchive};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::limits::{
    ARCHIVE_BACKLOG, ARCHIVE_PAGE_TIMEOUT, FEED_CHECK_TIMEOUT, FEED_SILENCE, PAGE_BYTES,
    PAGE_EVENTS,
};
use crate::shared::Shared;

const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(100),
    factor: 2.0,
    max: Duration::from_secs(10),
    jitter: 0.5,
};

/// Listens until the service has to stop; `heard` is told whenever something was archived.
pub(crate) async fn run(shared: &Shared, context: &ServiceContext, heard: &Notify) {
    tokio::select! {
        () = context.stop.cancelled() => {}
        () = listen(shared, heard) => {}
    }
    shared.open_archive(false);
}

/// Never returns.
async fn listen(shared: &Shared, heard: &Notify) {
    let mut failures = 0;
    let mut feed = loop {
        match begin(shared).await {
            Ok(feed) => break feed,
            Err(error) => pause(&mut failures, &error).await,
        }
    };
    failures = 0;
    // What was archived before nobody has announced.
    heard.notify_one();
    shared.hub.archived().top = feed.top();
    let served = shared.config.archive.enabled;
    if served {
        tracing::info!("the archive is served");
        shared.open_archive(true);
    }
    loop {
        let heard_of = match timeout(FEED_SILENCE, feed.next()).await {
            Ok(next) => next.map(Some),
            Err(_) => match timeout(FEED_CHECK_TIMEOUT, feed.check()).await {
                Ok(checked) => checked.map(|()| None),
                Err(_) => continue,
            },
        };
        let range = match heard_of {
            Ok(range) => range,
            Err(error) => {
                shared.metrics.feed_failures.inc();
                pause(&mut failures, &error).await;
                continue;
            }
        };
        failures = 0;
        heard.notify_one();
        if let (true, Some(range)) = (served, range) {
            pass_on(shared, &feed, range).await;
        }
    }
}

/// Builds what serving needs, and listens.
async fn begin(shared: &Shared) -> Result<ArchiveFeed, StoreError> {
    let config = shared.config.archive;
    let wanted = ServedArchive {
        enabled: config.enabled,
        search: config.search,
    };
    shared.store.build_served_archive(wanted).await?;
    shared.store.listen_archive().await
}

/// Fans out the events of a range. What cannot be read, or is too much, ends the subscriptions:
/// nobody is left to think that he has seen everything.
async fn pass_on(shared: &Shared, feed: &ArchiveFeed, range: NumberRange) {
    let hub = &shared.hub;
    if hub.has_subscriptions() {
        if feed.top() - range.0 > ARCHIVE_BACKLOG {
            hub.end_all("more is archived than can be passed on: events were missed");
        } else if let Err(error) = read(shared, range).await {
            tracing::warn!(error = %error, "newly archived events are not passed on");
            hub.end_all("the database failed: events were missed");
        }
    }
    let mut archived = hub.archived();
    archived.top = archived.top.max(range.1);
}

async fn read(shared: &Shared, range: NumberRange) -> Result<(), StoreError> {
    let window = shared.config.archive.live_window.as_secs();
    let since = shared.clock.now().saturating_sub_unsigned(window);
    let bounds = ScanBounds {
        events: PAGE_EVENTS,
        rows: PAGE_EVENTS,
        bytes: PAGE_BYTES,
        within: ARCHIVE_PAGE_TIMEOUT,
    };
    let mut after = None;
    loop {
        let page = shared
            .store
            .newly_archived(range, since, after, bounds)
            .await?;
        let mut events = page.events;
        {
            // A range may come twice.
            let archived = shared.hub.archived();
            events.retain(|event| archived.is_new(event.number));
        }
        shared.hub.fan_out(events).await;
        match page.next {
            Some(position) => after = Some(position),
            None => return Ok(()),
        }
    }
}

async fn pause(failures: &mut u32, error: &StoreError) {
    if *failures == 0 {
        tracing::warn!(error = %error, "newly archived events are not heard of; trying again");
    }
    let delay = BACKOFF.delay(*failures, &mut rand::rng());
    *failures = failures.saturating_add(1);
    tokio::time::sleep(delay).await;
}
