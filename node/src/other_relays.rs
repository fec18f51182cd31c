//! Other relays as the data vending machine wants them, through the guarded dialer.

use std::convert::Infallible;
use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{ClientMessage, RelayMessage, ReplyPrefix};
use bigbrotr_core::other_relays::{Conversation, Heard, OtherRelays, Taken};
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_crawler::dial::Dialer;
use bigbrotr_crawler::session::{PublishOutcome, Session, SessionConfig};
use nostr::Keys;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long a relay may take for its OK.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one wait for a message is. The session notices a silent relay by itself.
const WAIT: Duration = Duration::from_mins(1);

/// The largest event that is taken from another relay: bytes of JSON. A request is short.
const MAX_EVENT_BYTES: usize = 128 * 1024;

/// Talks to other relays as this node.
pub(crate) struct Others {
    dialer: Dialer,
    session: SessionConfig,
}

impl Others {
    /// Talks through this dialer; `keys` are who we are to relays that demand authentication.
    pub(crate) fn new(dialer: Dialer, keys: Keys) -> Self {
        let session = SessionConfig {
            keys: Some(keys),
            ..SessionConfig::default()
        };
        Self { dialer, session }
    }

    async fn connect(&self, relay: &str) -> Result<Session, Taken> {
        let policy = self.dialer.config().url_policy();
        let url = RelayUrl::parse(relay, &policy)
            .map_err(|error| Taken::Refused(format!("unusable URL: {error}")))?;
        Box::pin(Session::connect(&self.dialer, &url, &self.session))
            .await
            .map_err(|error| Taken::NotNow(format!("cannot connect: {error}")))
    }

    async fn publish_all(&self, relay: &str, events: &[Event]) -> Vec<Taken> {
        let mut session = match self.connect(relay).await {
            Ok(session) => session,
            Err(taken) => return vec![taken; events.len()],
        };
        let mut all = Vec::with_capacity(events.len());
        for event in events {
            let outcome = session.publish(event, ANSWER_TIMEOUT).await;
            all.push(match outcome {
                PublishOutcome::Accepted { .. } => Taken::Yes,
                PublishOutcome::Rejected {
                    prefix: Some(ReplyPrefix::RateLimited | ReplyPrefix::Error),
                    message,
                } => Taken::NotNow(message),
                PublishOutcome::Rejected { message, .. } => Taken::Refused(message),
                PublishOutcome::Silent => Taken::NotNow("no answer".to_owned()),
                PublishOutcome::Disconnected(error) => Taken::NotNow(error.to_string()),
            });
            if !session.is_alive() {
                break;
            }
        }
        session.close().await;
        all
    }

    async fn listen(
        &self,
        relay: &str,
        filters: &[Filter],
        heard: &mpsc::Sender<Heard>,
    ) -> Result<Infallible, String> {
        let mut session = self.connect(relay).await.map_err(|taken| match taken {
            Taken::Yes => String::new(),
            Taken::Refused(reason) | Taken::NotNow(reason) => reason,
        })?;
        let mut sub_id = subscribe(&mut session, filters).await?;
        let mut authenticated = false;
        loop {
            let frame = session.next(Instant::now() + WAIT).await;
            let Some(frame) = frame.map_err(|error| error.to_string())? else {
                continue;
            };
            match frame.message() {
                Ok(RelayMessage::Event { sub_id: of, event }) if of == sub_id => {
                    // What is not asked for, or not true, is nobody's request.
                    if let Some(event) = true_event(event, filters) {
                        tell(heard, Heard::Event(Box::new(event))).await?;
                    }
                }
                Ok(RelayMessage::Eose { sub_id: of }) if of == sub_id => {
                    tell(heard, Heard::CaughtUp).await?;
                }
                Ok(RelayMessage::Closed {
                    sub_id: of,
                    message,
                }) if of == sub_id => {
                    let wants = ReplyPrefix::of(&message) == Some(ReplyPrefix::AuthRequired);
                    if !wants || authenticated {
                        return Err(format!("the relay ended the subscription: {message:.200}"));
                    }
                    authenticated = true;
                    let done = session.authenticate(Instant::now() + ANSWER_TIMEOUT).await;
                    done.map_err(|error| error.to_string())?;
                    sub_id = subscribe(&mut session, filters).await?;
                }
                _ => {}
            }
        }
    }
}

async fn tell(heard: &mpsc::Sender<Heard>, what: Heard) -> Result<(), String> {
    let told = heard.send(what).await;
    told.map_err(|_closed| "nobody listens".to_owned())
}

async fn subscribe(session: &mut Session, filters: &[Filter]) -> Result<String, String> {
    let sub_id = session.fresh_sub_id();
    let request = ClientMessage::Req {
        sub_id: sub_id.clone(),
        filters: filters.to_vec(),
    };
    let sent = session.send(&request).await;
    sent.map_err(|error| error.to_string())?;
    Ok(sub_id)
}

fn true_event(json: &str, filters: &[Filter]) -> Option<Event> {
    if json.len() > MAX_EVENT_BYTES {
        return None;
    }
    let event = Event::from_json(json).ok()?;
    let wanted = filters.iter().any(|filter| filter.matches(&event));
    (wanted && event.verify().is_ok()).then_some(event)
}

impl OtherRelays for Others {
    fn publish<'a>(&'a self, relay: &'a str, events: &'a [Event]) -> Conversation<'a, Vec<Taken>> {
        Box::pin(self.publish_all(relay, events))
    }

    fn follow<'a>(
        &'a self,
        relay: &'a str,
        filters: &'a [Filter],
        heard: mpsc::Sender<Heard>,
    ) -> Conversation<'a, String> {
        Box::pin(async move {
            let Err(reason) = Box::pin(self.listen(relay, filters, &heard)).await;
            reason
        })
    }
}
