//! A small raw client: says exactly what a test says, shows exactly what the relay answers.
//!
//! Owns one connection and no logic beyond waiting for an answer; every wait has a deadline. The
//! crawler's own client is under test, so it cannot be the witness.

mod connect;
mod error;
mod http;

use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{ClientMessage, RelayMessage};
use futures_util::{SinkExt, StreamExt};
use nostr::Keys;
use rustls_pki_types::CertificateDer;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use self::connect::BoxedIo;
pub use self::error::ClientError;
pub use self::http::{HttpAnswer, http_get};
use crate::limits::{ANSWER_TIMEOUT, MAX_COLLECTED_EVENTS};
use crate::population::EventMaker;

/// How a subscription's stored events ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With EOSE.
    Eose,
    /// With CLOSED and this message.
    Closed(String),
}

/// The stored events of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The events' JSON in the order in which they came.
    pub events: Vec<String>,
    /// How they ended.
    pub end: End,
    /// All else that came meanwhile: NOTICE, AUTH, other subscriptions' messages, rubbish.
    pub others: Vec<String>,
}

impl Collected {
    /// Parses the events.
    ///
    /// # Panics
    /// If one is not an event.
    pub fn parsed(&self) -> Vec<Event> {
        let parse = |json: &String| Event::from_json(json).expect("the relay sent an event");
        self.events.iter().map(parse).collect()
    }
}

/// A connection to a relay.
pub struct TestClient {
    ws: WebSocketStream<BoxedIo>,
    wait: Duration,
    challenge: Option<String>,
}

impl TestClient {
    /// Connects to a `ws` URL.
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        Self::open(url, None).await
    }

    /// Connects to a `wss` URL and trusts this root certificate only.
    pub async fn connect_tls(url: &str, root: &CertificateDer<'_>) -> Result<Self, ClientError> {
        Self::open(url, Some(root)).await
    }

    async fn open(url: &str, root: Option<&CertificateDer<'_>>) -> Result<Self, ClientError> {
        let ws = within(ANSWER_TIMEOUT, "connection", connect::open(url, root)).await?;
        Ok(Self {
            ws,
            wait: ANSWER_TIMEOUT,
            challenge: None,
        })
    }

    /// Sets how long the client waits for each message.
    #[must_use]
    pub fn with_timeout(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<(), ClientError> {
        self.send_raw(message.to_json()).await
    }

    /// Sends any text as a text frame.
    pub async fn send_raw(&mut self, text: impl Into<String>) -> Result<(), ClientError> {
        self.send_frame(Message::text(text.into())).await
    }

    /// Sends any frame.
    pub async fn send_frame(&mut self, frame: Message) -> Result<(), ClientError> {
        within(self.wait, "room to send", async {
            Ok(self.ws.send(frame).await?)
        })
        .await
    }

    /// Opens a subscription.
    pub async fn req(&mut self, sub_id: &str, filters: &[Filter]) -> Result<(), ClientError> {
        self.send(&ClientMessage::Req {
            sub_id: sub_id.into(),
            filters: filters.to_vec(),
        })
        .await
    }

    /// Closes a subscription.
    pub async fn close_sub(&mut self, sub_id: &str) -> Result<(), ClientError> {
        self.send(&ClientMessage::Close {
            sub_id: sub_id.into(),
        })
        .await
    }

    /// Waits for the next frame of any kind but ping and pong.
    pub async fn next_frame(&mut self) -> Result<Message, ClientError> {
        let next = async {
            loop {
                match self.ws.next().await {
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(frame))) => {
                        let code = frame.map(|frame| frame.code.into());
                        return Err(ClientError::Closed { code });
                    }
                    Some(frame) => return Ok(frame?),
                    None => return Err(ClientError::Closed { code: None }),
                }
            }
        };
        within(self.wait, "frame", next).await
    }

    /// Waits for the next text frame; binary frames are left out. Read it with
    /// [`RelayMessage::parse`].
    pub async fn next(&mut self) -> Result<String, ClientError> {
        loop {
            if let Message::Text(text) = self.next_frame().await? {
                if let Ok(RelayMessage::Auth { challenge }) = RelayMessage::parse(&text) {
                    self.challenge = Some(challenge);
                }
                return Ok(text.to_string());
            }
        }
    }

    /// Waits this long and returns `true` if nothing came.
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        let wait = std::mem::replace(&mut self.wait, time);
        let silent = matches!(self.next_frame().await, Err(ClientError::Timeout { .. }));
        self.wait = wait;
        silent
    }

    /// Opens a subscription and collects until EOSE or CLOSED. The subscription stays open.
    pub async fn req_until_eose(
        &mut self,
        sub_id: &str,
        filters: &[Filter],
    ) -> Result<Collected, ClientError> {
        self.req(sub_id, filters).await?;
        let (mut events, mut others) = (Vec::new(), Vec::new());
        loop {
            let text = self.next().await?;
            let end = match RelayMessage::parse(&text) {
                Ok(RelayMessage::Event { sub_id: id, event }) if id == sub_id => {
                    events.push(event.to_owned());
                    None
                }
                Ok(RelayMessage::Eose { sub_id: id }) if id == sub_id => Some(End::Eose),
                Ok(RelayMessage::Closed {
                    sub_id: id,
                    message,
                }) if id == sub_id => Some(End::Closed(message)),
                _ => {
                    others.push(text);
                    None
                }
            };
            if let Some(end) = end {
                return Ok(Collected {
                    events,
                    end,
                    others,
                });
            }
            if events.len() + others.len() > MAX_COLLECTED_EVENTS {
                return Err(ClientError::TooManyEvents);
            }
        }
    }

    /// Sends an event and waits for its OK: accepted or not, and the message.
    pub async fn publish(&mut self, event: &Event) -> Result<(bool, String), ClientError> {
        self.send(&ClientMessage::Event(Box::new(event.clone())))
            .await?;
        self.next_ok(event).await
    }

    /// Asks for a count.
    ///
    /// # Errors
    /// [`ClientError::Timeout`] also when the relay refuses with CLOSED.
    pub async fn count(&mut self, sub_id: &str, filters: &[Filter]) -> Result<u64, ClientError> {
        let message = ClientMessage::Count {
            sub_id: sub_id.into(),
            filters: filters.to_vec(),
        };
        self.send(&message).await?;
        loop {
            let text = self.next().await?;
            match RelayMessage::parse(&text) {
                Ok(RelayMessage::Count {
                    sub_id: id, count, ..
                }) if id == sub_id => {
                    return Ok(count);
                }
                _ => {}
            }
        }
    }

    /// Authenticates, once the relay has sent a challenge (NIP-42). `created_at` in Unix seconds.
    pub async fn authenticate(
        &mut self,
        url: &str,
        keys: &Keys,
        created_at: i64,
    ) -> Result<(bool, String), ClientError> {
        while self.challenge.is_none() {
            self.next().await?;
        }
        let challenge = self.challenge.clone().unwrap_or_default();
        let event = EventMaker::new(created_at)
            .kind(22_242)
            .tag(["relay", url])
            .tag(["challenge", &challenge])
            .sign(keys);
        self.send(&ClientMessage::Auth(Box::new(event.clone())))
            .await?;
        self.next_ok(&event).await
    }

    /// Says goodbye with a close frame.
    pub async fn close(mut self) -> Result<(), ClientError> {
        within(self.wait, "close", async { Ok(self.ws.close(None).await?) }).await
    }

    async fn next_ok(&mut self, event: &Event) -> Result<(bool, String), ClientError> {
        loop {
            let text = self.next().await?;
            match RelayMessage::parse(&text) {
                Ok(RelayMessage::Ok {
                    event_id,
                    accepted,
                    message,
                }) if event_id == event.id => {
                    return Ok((accepted, message));
                }
                _ => {}
            }
        }
    }
}

impl std::fmt::Debug for TestClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestClient")
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

async fn within<T>(
    wait: Duration,
    what: &'static str,
    future: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    match timeout(wait, future).await {
        Ok(result) => result,
        Err(_) => Err(ClientError::Timeout { what, waited: wait }),
    }
}
