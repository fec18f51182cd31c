//! EVENT: a client publishes ([NIP-01]). Always answered by OK.
//!
//! An older version of a replaceable event is answered by OK true with `duplicate:`: the relay
//! has what the client wants it to have, or newer, and a retry would change nothing.
//!
//! [NIP-01]: https://github.com/nostr-protocol/nips/blob/master/01.md

use bigbrotr_core::event::{Event, EventError, EventId, KindClass};
use bigbrotr_core::message::{RelayMessage, ReplyPrefix};
use bigbrotr_core::vanish::is_vanish_request;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::PublishOutcome;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Session;
use crate::limits::{PUBLISH_TIMEOUT, SMALL_EVENT_BYTES};
use crate::outbox::Gone;
use crate::policy::{self, Refusal};

impl Session {
    pub(super) async fn on_event(&mut self, event: Box<Event>) -> Result<(), Gone> {
        let id = event.id;
        match self.take_event(event).await {
            Ok((outcome, text)) => {
                let events = &self.shared.metrics.events;
                events.with_label_values(&[outcome]).inc();
                self.reply_ok(id, text).await
            }
            Err(refusal) => self.reply_refused(id, refusal).await,
        }
    }

    /// Takes an event; says what became of it, for metrics and for the client.
    async fn take_event(&self, event: Box<Event>) -> Result<(&'static str, &'static str), Refusal> {
        let shared = &self.shared;
        let public = shared.config.relay_url();
        let vanish = is_vanish_request(&event, |named| {
            self.auth.is_this_relay(named, public.as_ref())
        });
        policy::admit(
            &event,
            vanish,
            &shared.config,
            shared.pubkey,
            self.auth.pubkeys(),
            shared.clock.now(),
        )?;
        let event = verify(event).await?;
        // Not before: the author of an event that he has not signed must not pay for it.
        if let (Some(rates), true) = (&shared.rates.authors, event.pubkey != shared.pubkey)
            && rates.take(event.pubkey).is_err()
        {
            let text = "too many events of this author, slow down";
            return Err((ReplyPrefix::RateLimited, text.to_owned()));
        }
        if event.class() == KindClass::Ephemeral {
            shared.hub.broadcast(&event);
            return Ok(("broadcast", ""));
        }
        let refused = |prefix: ReplyPrefix, text: &str| Err((prefix, text.to_owned()));
        match self.publish(&event, vanish).await? {
            PublishOutcome::Stored => Ok(("stored", "")),
            PublishOutcome::Duplicate => Ok(("duplicate", "duplicate: already have this event")),
            PublishOutcome::Older => Ok(("older", "duplicate: have a newer version")),
            PublishOutcome::Deleted => {
                refused(ReplyPrefix::Blocked, "the author has deleted this event")
            }
            PublishOutcome::Vanished => refused(
                ReplyPrefix::Blocked,
                "whose event this is has asked to vanish from here",
            ),
            PublishOutcome::Expired => refused(ReplyPrefix::Invalid, "the event has expired"),
            PublishOutcome::Foreign => refused(
                ReplyPrefix::Invalid,
                "these events are for their own author to delete",
            ),
        }
    }

    async fn publish(&self, event: &Event, vanish: bool) -> Result<PublishOutcome, Refusal> {
        let timer = self.shared.metrics.publish_seconds.start_timer();
        let store = &self.shared.store;
        let published = timeout(PUBLISH_TIMEOUT, async {
            if vanish {
                store.publish_vanish(event).await
            } else {
                store.publish(event).await
            }
        });
        let published = published.await;
        timer.observe_duration();
        let text = match published {
            Ok(Ok(outcome)) => return Ok(outcome),
            Ok(Err(error)) => {
                tracing::warn!(event.id = %event.id, error = ?error, "event not stored");
                not_stored(&error)
            }
            Err(_) => {
                tracing::warn!(event.id = %event.id, "event not stored in time");
                "storing took too long, try again later"
            }
        };
        Err((ReplyPrefix::Error, text.to_owned()))
    }

    pub(super) async fn reply_ok(&self, event_id: EventId, text: &str) -> Result<(), Gone> {
        let ok = RelayMessage::Ok {
            event_id,
            accepted: true,
            message: text.to_owned(),
        };
        self.reply(&ok).await
    }

    pub(super) async fn reply_refused(
        &self,
        event_id: EventId,
        (prefix, text): Refusal,
    ) -> Result<(), Gone> {
        self.count_refusal(prefix);
        let ok = RelayMessage::Ok {
            event_id,
            accepted: false,
            message: prefix.message(text),
        };
        self.reply(&ok).await
    }
}

fn not_stored(error: &StoreError) -> &'static str {
    if error.is_retryable() {
        "the database is away, try again later"
    } else {
        "the database failed, try again later"
    }
}

/// Checks id and signature; of a large event off the async threads. Of a small one that takes less
/// than going there and back.
pub(super) async fn verify(event: Box<Event>) -> Result<Box<Event>, Refusal> {
    let tags = event.tags.iter().flatten().map(String::len);
    let verified = if event.content.len() + tags.sum::<usize>() <= SMALL_EVENT_BYTES {
        event.verify().map(|()| event)
    } else {
        let verified = spawn_blocking(move || event.verify().map(|()| event)).await;
        // Else the runtime is on its way out.
        let shutting_down = |_| {
            let text = "the relay is shutting down".to_owned();
            (ReplyPrefix::Error, text)
        };
        verified.map_err(shutting_down)?
    };
    verified.map_err(|error| (ReplyPrefix::Invalid, why(&error).to_owned()))
}

fn why(error: &EventError) -> &'static str {
    match error {
        EventError::Malformed(_) => "the event has the wrong form",
        EventError::WrongId { .. } => "the id is not the hash of the event",
        EventError::WrongSignature { .. } => "the signature is wrong",
    }
}
