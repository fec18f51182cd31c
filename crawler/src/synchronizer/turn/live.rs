//! Following a relay live, once it is caught up with.
//!
//! First the subscription is opened, then the hole is closed between what is covered and what it
//! brings, then events are archived as they come. What a subscription brings proves nothing, so
//! coverage does not advance by it: from time to time the relay is asked whether it kept
//! something back, on the same connection, which after a while without a loss costs next to
//! nothing. When the connection ends, the next turn begins where the last proof ended.

use std::collections::BTreeMap;
use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_schema::store::SyncProgress;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Turn, TurnEnd, TurnError};
use crate::limits;
use crate::session::{LiveEnd, LiveItem, Session};
use crate::synchronizer::Following;

/// What came since it was last recorded.
#[derive(Default)]
struct Since {
    progress: SyncProgress,
    events: Vec<Event>,
    has_lost: bool,
}

/// What ended a wait.
enum Woken {
    Item(Option<LiveItem>),
    Ended(LiveEnd),
    Place(OwnedSemaphorePermit),
    Stopped,
    LeaseLost,
}

impl Turn<'_> {
    /// Follows the relay for as long as that lasts, where there is room for one more.
    pub(super) async fn follow(&mut self, session: &mut Session) -> Result<TurnEnd, TurnError> {
        if !self.may_follow(session) {
            return Ok(TurnEnd::CaughtUp);
        }
        let (shared, relay) = (self.shared, self.task.relay.id);
        let Some(mut following) = Following::begin(shared, relay, self.task.lease) else {
            return Ok(TurnEnd::CaughtUp);
        };
        // From 1 and not from 0: some relays take 0 for no bound, and send nothing to a filter that
        // has no condition.
        let filter = self.filter(0, Some(self.wanted.since.max(1)), self.wanted.until);
        let deadline = Instant::now() + self.limits.idle_timeout;
        let open = session.open_live(&filter, self.wanted.max_event_bytes, deadline);
        match self.unless_stopped(Box::pin(open)).await {
            None => return Ok(TurnEnd::Stopped),
            Some(Err(LiveEnd::Session(error))) => return Err(TurnError::Disconnected(error)),
            // It is caught up with; that it is not followed is no failure.
            Some(Err(refusal)) => {
                tracing::debug!(
                    relay.url = %self.task.relay.url, error = %refusal,
                    "relay is not followed live",
                );
                return Ok(TurnEnd::CaughtUp);
            }
            Some(Ok(())) => {}
        }
        self.state.live_since = Some(shared.clock.now());
        following.opened();
        let longest = shared.config.live.verify_interval;
        let shortest = shared.config.interval.min(longest);
        let (mut pause, mut misses) = (shortest, None);
        loop {
            let had = self.summary.new_events;
            // The first time, this closes the hole before the subscription.
            let end = Box::pin(self.catch_up(session, true)).await?;
            if !matches!(end, TurnEnd::CaughtUp) {
                return Ok(end);
            }
            let has_missed = misses.is_some() && self.summary.new_events > had;
            misses = Some(misses.map_or(0, |misses| if has_missed { misses + 1 } else { 0 }));
            if misses >= Some(limits::LIVE_MISSES) {
                // It is asked in turn, as if it could not be followed.
                return Ok(TurnEnd::CaughtUp);
            }
            pause = if has_missed { shortest } else { pause };
            self.place = None;
            if let Some(end) = self.listen(session, following.lost(), pause).await? {
                return Ok(end);
            }
            pause = (pause * 2).min(longest);
            self.deadline = Instant::now() + shared.config.turn_timeout;
            Box::pin(self.close_gaps(session)).await?;
        }
    }

    fn may_follow(&self, session: &Session) -> bool {
        let now = self.shared.clock.now();
        self.wanted.live
            && self.slices.active.len() == 1
            && self.wanted.until.is_none_or(|until| until > now)
            && session.leaves_room()
    }

    /// Archives what comes until it is time to ask whether that was all. Returns how the turn
    /// ended, if it did.
    async fn listen(
        &mut self,
        session: &mut Session,
        lost: &CancellationToken,
        pause: Duration,
    ) -> Result<Option<TurnEnd>, TurnError> {
        let mut since = Since::default();
        let verify_at = Instant::now() + pause;
        let mut record_at = Instant::now() + limits::LIVE_RECORD_INTERVAL;
        let mut place: Option<BoxFuture<'_, Option<OwnedSemaphorePermit>>> = None;
        loop {
            let now = Instant::now();
            if (now >= verify_at || since.has_lost) && place.is_none() {
                let places = self.shared.places.clone();
                place = Some(Box::pin(async move { places.acquire_owned().await.ok() }));
            }
            if now >= record_at && since.progress != SyncProgress::default() {
                self.record(std::mem::take(&mut since.progress)).await?;
            }
            if now >= record_at {
                record_at = now + limits::LIVE_RECORD_INTERVAL;
            }
            let wake = if place.is_some() {
                record_at
            } else {
                verify_at.min(record_at)
            };
            let woken = tokio::select! {
                biased;
                () = self.shared.context.stop.cancelled() => Woken::Stopped,
                () = lost.cancelled() => Woken::LeaseLost,
                permit = granted(&mut place) => Woken::Place(permit),
                item = session.next_live(wake) => match item {
                    Ok(item) => Woken::Item(item),
                    Err(end) => Woken::Ended(end),
                },
            };
            match woken {
                Woken::Item(None) => {}
                Woken::Item(Some(item)) => self.take_live(session, item, &mut since).await?,
                Woken::Place(permit) => {
                    self.place = Some(permit);
                    self.record(since.progress).await?;
                    return Ok(None);
                }
                Woken::Ended(end) => {
                    self.record(since.progress).await?;
                    return Err(end.into());
                }
                Woken::LeaseLost => return Err(TurnError::LeaseLost),
                Woken::Stopped => {
                    self.record(since.progress).await?;
                    return Ok(Some(TurnEnd::Stopped));
                }
            }
        }
    }

    /// Archives an event that came, together with all that came with it.
    async fn take_live(
        &mut self,
        session: &mut Session,
        first: LiveItem,
        since: &mut Since,
    ) -> Result<(), TurnError> {
        let mut refused: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                LiveItem::Event(event) => {
                    since.progress.received_bytes += event.size_hint() as u64;
                    if self.wanted.selection.matches(&event) {
                        since.events.push(event);
                    } else {
                        *refused.entry("unwanted").or_default() += 1;
                    }
                }
                LiveItem::Refused(reason) => *refused.entry(reason).or_default() += 1,
                LiveItem::Lost => {
                    since.has_lost = true;
                    self.shared.metrics.live_lost.inc();
                }
            }
            if since.events.len() >= limits::LIVE_BATCH_EVENTS {
                break;
            }
            // Only what is there already; an end of the session is found out by the next wait.
            next = session.next_live(Instant::now()).await.unwrap_or_default();
        }
        let ingested = self
            .archive(std::mem::take(&mut since.events))
            .await?
            .ingested;
        let bad = refused
            .iter()
            .filter(|(reason, _)| **reason != "unwanted")
            .map(|(_, count)| count)
            .sum::<u64>();
        for (reason, count) in &refused {
            self.shared.metrics.refuse(reason, *count);
        }
        if ingested.refused > 0 {
            *refused.entry("invalid").or_default() += ingested.refused;
        }
        since.progress.add(SyncProgress {
            new_events: ingested.new,
            known_events: ingested.known,
            refused,
            ..SyncProgress::default()
        });
        self.bear(ingested.new + ingested.known, bad + ingested.refused)
            .await
    }
}

/// Waits for a place among those who catch up, if it was asked for.
async fn granted(
    place: &mut Option<BoxFuture<'_, Option<OwnedSemaphorePermit>>>,
) -> OwnedSemaphorePermit {
    if let Some(waiting) = place
        && let Some(permit) = waiting.await
    {
        return permit;
    }
    std::future::pending().await
}
