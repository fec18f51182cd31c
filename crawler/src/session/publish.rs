//! Publishing an event to a relay, and what the relay says to it.

use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_core::message::{ClientMessage, RelayMessage, ReplyPrefix};
use tokio::time::Instant;

use super::Session;
use super::error::{SessionError, shorten};

/// What became of a published event.
#[derive(Debug)]
pub enum PublishOutcome {
    /// The relay has the event.
    Accepted {
        /// The relay's words, shortened; `duplicate:` where it had the event already.
        message: String,
    },
    /// The relay does not take the event. A policy is no failure of the relay.
    Rejected {
        /// The machine-readable reason, where there is one.
        prefix: Option<ReplyPrefix>,
        /// The relay's words, shortened.
        message: String,
    },
    /// No answer in time.
    Silent,
    /// The session ended before an answer.
    Disconnected(SessionError),
}

impl Session {
    /// Publishes an event and waits for the OK with its id. Authenticates and tries once more
    /// when the relay asks for that and the session has keys. Other messages are dropped.
    pub async fn publish(&mut self, event: &Event, timeout: Duration) -> PublishOutcome {
        let deadline = Instant::now() + timeout;
        let first = self.publish_once(event, deadline).await;
        let wants_auth = matches!(
            first,
            PublishOutcome::Rejected {
                prefix: Some(ReplyPrefix::AuthRequired),
                ..
            }
        );
        if wants_auth && self.authenticate(deadline).await.is_ok() {
            return self.publish_once(event, deadline).await;
        }
        first
    }

    async fn publish_once(&mut self, event: &Event, deadline: Instant) -> PublishOutcome {
        let message = ClientMessage::Event(Box::new(event.clone()));
        if let Err(error) = self.send(&message).await {
            return PublishOutcome::Disconnected(error);
        }
        while Instant::now() < deadline {
            let frame = match self.next(deadline).await {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return PublishOutcome::Disconnected(error),
            };
            match frame.message() {
                Ok(RelayMessage::Ok {
                    event_id,
                    accepted,
                    message,
                }) if event_id == event.id => {
                    let prefix = ReplyPrefix::of(&message);
                    let message = shorten(&message);
                    return if accepted {
                        PublishOutcome::Accepted { message }
                    } else {
                        PublishOutcome::Rejected { prefix, message }
                    };
                }
                _ => {}
            }
        }
        PublishOutcome::Silent
    }
}
