//! Hears requests and cancellations on other relays.
//!
//! A request from there is put on our own relay, with a note of where it came from; from then on
//! it is like any other, so that it is taken once, whoever brings it and however often. How far
//! each relay has been heard is in the database: after a pause, what was missed is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::other_relays::{Heard, OtherRelays};
use bigbrotr_core::service::ServiceContext;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::intake::DELETION;
use super::{DvmError, DvmService, question};
use crate::limits::{HEARD_QUEUE, LISTEN_OVERLAP, MAX_AHEAD};

/// Pauses between connections to a relay that ends them. The first is long enough not to be taken
/// for an attack.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(5),
    factor: 2.0,
    max: Duration::from_mins(10),
    jitter: 0.3,
};

/// A connection that held so long was no failure.
const GOOD_CONNECTION: Duration = Duration::from_mins(1);

impl DvmService {
    /// Listens on one relay until the service stops.
    pub(super) async fn listen_abroad(
        self: Arc<Self>,
        relay: String,
        relays: Arc<dyn OtherRelays>,
        context: ServiceContext,
    ) {
        let mut failures = 0;
        let mut announced = false;
        loop {
            let began = Instant::now();
            let reason = tokio::select! {
                () = context.stop.cancelled() => return,
                reason = self.follow(&relay, &*relays, &mut announced) => reason,
            };
            failures = if began.elapsed() >= GOOD_CONNECTION {
                0
            } else {
                failures + 1
            };
            tracing::info!(
                relay.url = relay,
                reason = reason.unwrap_or_else(|error| error.to_string()),
                "no longer listening for requests there: trying again",
            );
            let pause = BACKOFF.delay(failures, &mut rand::rng());
            if !context.sleep(pause).await {
                return;
            }
        }
    }

    async fn follow(
        &self,
        relay: &str,
        relays: &dyn OtherRelays,
        announced: &mut bool,
    ) -> Result<String, DvmError> {
        let overlap = LISTEN_OVERLAP.as_secs() as i64;
        let known = self.store.listening_since(relay).await?;
        let since = known.unwrap_or(self.now()).max(self.answered_since()) - overlap;
        let filters = self.filters(since);
        let (heard, mut events) = mpsc::channel(HEARD_QUEUE);
        let mut following = relays.follow(relay, &filters, heard);
        let mut caught_up = false;
        loop {
            let heard = tokio::select! {
                reason = &mut following => return Ok(reason),
                heard = events.recv() => heard,
                () = tokio::time::sleep(self.config.poll_interval) => {
                    // Nothing waits to be taken in, so all of it is.
                    if caught_up {
                        self.store.set_listening_since(relay, self.now()).await?;
                    }
                    continue;
                }
            };
            match heard {
                // The conversation is over, and says why.
                None => return Ok(following.await),
                Some(Heard::Event(event)) => self.hear(relay, &event).await?,
                Some(Heard::CaughtUp) => {
                    caught_up = true;
                    self.store.set_listening_since(relay, self.now()).await?;
                    if !*announced {
                        for event in self.announcements().await? {
                            self.store.insert_delivery(&event, relay).await?;
                        }
                        *announced = true;
                    }
                    tracing::info!(relay.url = relay, "listening for requests");
                }
            }
        }
    }

    fn filters(&self, since: i64) -> [Filter; 2] {
        let kinds: BTreeSet<u16> = self.config.kinds().into_iter().collect();
        let named = kinds.iter().map(ToString::to_string).collect();
        let requests = Filter {
            kinds: Some(kinds),
            since: Some(since),
            ..Filter::default()
        };
        let deletions = Filter {
            kinds: Some(BTreeSet::from([DELETION])),
            tags: BTreeMap::from([('k', named)]),
            since: Some(since),
            ..Filter::default()
        };
        [requests, deletions]
    }

    async fn hear(&self, relay: &str, event: &Event) -> Result<(), DvmError> {
        if event.kind == DELETION {
            return self.cancel(event).await;
        }
        let ahead = event.created_at > self.now() + MAX_AHEAD.as_secs() as i64;
        let expired = event.expiration().is_some_and(|at| at <= self.now());
        // It may be served by the relay that its author gave it to, and by no other (NIP-70).
        let protected = event.tags.iter().any(|tag| tag.len() == 1 && tag[0] == "-");
        if ahead
            || expired
            || protected
            || self.config.form(event.kind).is_none()
            || !question::is_for(event, &self.provider)
        {
            return Ok(());
        }
        if !self.heard.take(relay.to_owned()).allowed {
            tracing::debug!(
                relay.url = relay,
                "too many requests from there: one is left out"
            );
            return Ok(());
        }
        let outcome = self.store.take_request(event, relay).await?;
        tracing::debug!(relay.url = relay, job.id = %event.id, ?outcome, "heard a request");
        Ok(())
    }
}
