//! The task that hears of new events from the database, of whatever process put them there.

use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::{RelayEventFeed, StoredEvent};
use tokio::time::timeout;

use super::Hub;
use crate::limits::{FEED_CHECK_TIMEOUT, FEED_SILENCE};
use crate::shared::Shared;

/// Fans out new events until the service has to stop. The service is ready while this works.
pub(crate) async fn run(shared: &Shared, context: &ServiceContext) {
    // Dropped with this future, however it ends.
    let open = OpenHub(&shared.hub);
    let stopped = context.stop.cancelled();
    tokio::select! {
        () = stopped => {}
        () = listen(shared, context) => {}
    }
    drop(open);
}

struct OpenHub<'a>(&'a Hub);

impl Drop for OpenHub<'_> {
    fn drop(&mut self) {
        self.0.shut();
    }
}

/// Never returns.
async fn listen(shared: &Shared, context: &ServiceContext) {
    let mut pause = Pause::default();
    let mut feed = loop {
        match timeout(FEED_CHECK_TIMEOUT, shared.store.listen_relay_events()).await {
            Ok(Ok(feed)) => break feed,
            Ok(Err(error)) => pause.after(context, &error).await,
            Err(_) => pause.after(context, &"no answer from the database").await,
        }
    };
    shared.hub.open(feed.delivered());
    pause.over(context);
    loop {
        match next(&mut feed, pause.failed()).await {
            Ok(events) => {
                shared.hub.fan_out(events).await;
                pause.over(context);
            }
            Err(error) => {
                shared.metrics.feed_failures.inc();
                match error {
                    FeedError::Store(error) => pause.after(context, &error).await,
                    FeedError::Timeout => {
                        pause.after(context, &"no answer from the database").await;
                    }
                }
            }
        }
    }
}

enum FeedError {
    Store(StoreError),
    Timeout,
}

/// Waits for events; looks for them when it has been silent for long or the connection was lost.
async fn next(feed: &mut RelayEventFeed, lost: bool) -> Result<Vec<StoredEvent>, FeedError> {
    if !lost && let Ok(next) = timeout(FEED_SILENCE, feed.next()).await {
        return next.map_err(FeedError::Store);
    }
    match timeout(FEED_CHECK_TIMEOUT, feed.check()).await {
        Ok(checked) => checked.map_err(FeedError::Store),
        Err(_) => Err(FeedError::Timeout),
    }
}

/// Growing pauses after failures.
#[derive(Default)]
struct Pause {
    failures: u32,
}

impl Pause {
    const BACKOFF: Backoff = Backoff {
        base: Duration::from_millis(100),
        factor: 2.0,
        max: Duration::from_secs(10),
        jitter: 0.5,
    };

    fn failed(&self) -> bool {
        self.failures > 0
    }

    async fn after(&mut self, context: &ServiceContext, error: &(dyn std::fmt::Display + Sync)) {
        if self.failures == 0 {
            tracing::warn!(error = %error, "new events are not heard of; trying again");
        }
        context.degraded(format_args!("new events are not heard of: {error}"));
        let delay = Self::BACKOFF.delay(self.failures, &mut rand::rng());
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(delay).await;
    }

    fn over(&mut self, context: &ServiceContext) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "new events are heard of again");
        }
        self.failures = 0;
        context.ready();
    }
}
