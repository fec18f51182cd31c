//! REQ and CLOSE: subscriptions ([NIP-01]). A REQ is answered by events and EOSE, or by CLOSED.
//!
//! [NIP-01]: https://github.com/nostr-protocol/nips/blob/master/01.md

use std::sync::Arc;

use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{RelayMessage, ReplyPrefix};

use super::Session;
use super::stored::StoredEvents;
use crate::hub::seen::Seen;
use crate::hub::subscription::{Subscription, TooSlow};
use crate::outbox::Gone;
use crate::policy::Refusal;
use crate::shared::{QueryError, Shared};

/// Why the stored events of a REQ were not all sent.
enum Interrupted {
    Gone,
    Query(Arc<QueryError>),
}

impl Session {
    pub(super) async fn on_req(
        &mut self,
        sub_id: String,
        mut filters: Vec<Filter>,
    ) -> Result<(), Gone> {
        // Refused or not, it replaces what had its id.
        self.end_subscription(&sub_id);
        if let Err(refusal) = self.admit_req(&sub_id, &filters) {
            return self.reply_closed(&sub_id, refusal).await;
        }
        let limits = &self.shared.config.limits;
        for filter in &mut filters {
            let limit = filter.limit.unwrap_or(limits.default_limit);
            filter.limit = Some(limit.min(limits.max_limit));
        }
        let subscription = Subscription::new(sub_id.clone(), filters, self.outbox.clone());
        let subscription = Arc::new(subscription);
        // Before the database is asked, so that nothing falls in between.
        self.shared.hub.register(&subscription);
        self.subscriptions
            .insert(sub_id.clone(), subscription.clone());
        let seen = match self.send_stored(&subscription).await {
            Ok(seen) => seen,
            Err(Interrupted::Gone) => {
                self.end_subscription(&sub_id);
                return Err(Gone);
            }
            Err(Interrupted::Query(error)) => {
                self.end_subscription(&sub_id);
                tracing::warn!(sub.id = sub_id, error = ?error, "REQ not answered");
                let refusal = (ReplyPrefix::Error, error.reply().to_owned());
                return self.reply_closed(&sub_id, refusal).await;
            }
        };
        let eose = RelayMessage::Eose {
            sub_id: subscription.sub_id().into(),
        };
        self.reply(&eose).await?;
        let hub = &self.shared.hub;
        if let Err(TooSlow) = subscription.go_live(seen, |seen| hub.retain_awaited(seen)) {
            self.end_subscription(&sub_id);
            count_slow(&self.shared);
            let text = "too slow: events were dropped".to_owned();
            return self.reply_closed(&sub_id, (ReplyPrefix::Error, text)).await;
        }
        Ok(())
    }

    /// Ends a subscription, if there is one of this id. NIP-01 asks for no answer.
    pub(super) fn end_subscription(&mut self, sub_id: &str) {
        if let Some(subscription) = self.subscriptions.remove(sub_id) {
            self.shared.hub.unregister(&subscription);
        }
    }

    fn admit_req(&mut self, sub_id: &str, filters: &[Filter]) -> Result<(), Refusal> {
        self.admit_query(sub_id, filters)?;
        // Some may have been ended for slowness.
        self.subscriptions
            .retain(|_, subscription| !subscription.is_ended());
        let max = self.shared.config.limits.max_subscriptions;
        if self.subscriptions.len() >= max {
            let text = format!("more than {max} subscriptions on one connection");
            return Err((ReplyPrefix::RateLimited, text));
        }
        if !self.shared.hub.is_open() {
            let text = "the relay is starting, try again in a moment".to_owned();
            return Err((ReplyPrefix::Error, text));
        }
        Ok(())
    }

    /// Sends the stored events; returns which they were, and which others were there when this began
    /// and may yet come live.
    async fn send_stored(&self, subscription: &Subscription) -> Result<Seen, Interrupted> {
        let hub = &self.shared.hub;
        let there = self.shared.there.look(&self.shared).await;
        let mut seen = Seen::new(there.map_err(Interrupted::Query)?);
        let mut stored = StoredEvents::new(&self.shared, subscription.filters());
        let failed = |error| Interrupted::Query(Arc::new(error));
        while let Some(event) = stored.next().await.map_err(failed)? {
            if hub.may_come_live(&event) {
                seen.note(event.number);
            }
            self.outbox
                .send(subscription.message(event.json.into()))
                .await
                .map_err(|Gone| Interrupted::Gone)?;
        }
        Ok(seen)
    }
}

fn count_slow(shared: &Shared) {
    let slow_clients = &shared.metrics.slow_clients;
    slow_clients
        .with_label_values(&["subscription_closed"])
        .inc();
}
