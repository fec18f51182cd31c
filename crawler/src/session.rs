//! One conversation with one relay over one WebSocket ([NIP-01], [NIP-42], [NIP-77]).
//!
//! Owns sending and receiving of messages, and on top of that the questions the services ask:
//! [`Session::fetch_page`], [`Session::open_reconciliation`], [`Session::publish`],
//! [`Session::authenticate`], [`Session::probe_read`] and [`Session::probe_capabilities`]. What
//! is fetched when, and whether events are true, is decided by the callers: signatures are not
//! checked here.
//!
//! [NIP-01]: https://github.com/nostr-protocol/nips/blob/master/01.md
//! [NIP-42]: https://github.com/nostr-protocol/nips/blob/master/42.md
//! [NIP-77]: https://github.com/nostr-protocol/nips/blob/master/77.md

mod auth;
mod capabilities;
mod count;
mod error;
mod fault;
mod fence;
mod frame;
mod live;
mod page;
mod probe;
mod publish;
mod reconcile;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::message::{ClientMessage, RelayMessage};
use bigbrotr_core::relay_url::RelayUrl;
use futures_util::{SinkExt, StreamExt};
use nostr::Keys;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Bytes, Message};

pub use self::auth::AuthFailure;
pub use self::capabilities::{Capability, CapabilityAnswers, CapabilityQuestions};
pub use self::error::SessionError;
pub use self::fault::Fault;
pub use self::frame::Frame;
use self::live::Inbox;
pub use self::live::{LiveEnd, LiveItem};
pub use self::page::{Page, PageEnd, PageLimit, PageLimits, Refused};
pub use self::probe::{ReadProbe, ReadVerdict};
pub use self::publish::PublishOutcome;
use self::reconcile::Post;
pub use self::reconcile::{
    Differences, NotNegentropy, ReconcileLimit, ReconcileLimits, ReconcileRefusal, Reconciliation,
};

use crate::dial::websocket::{self, WebSocket, WebSocketLimits};
use crate::dial::{DialTimings, Dialed, Dialer, Meter, TlsInfo};
use crate::limits;

/// How to talk to a relay.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Bounds of the WebSocket.
    pub websocket: WebSocketLimits,
    /// How long the relay may say nothing at all before it counts as gone. Half-way it is pinged.
    pub idle_timeout: Duration,
    /// The longest wait for the relay to take a message.
    pub send_timeout: Duration,
    /// The longest wait in each step of an authentication.
    pub auth_timeout: Duration,
    /// The most bytes received over the whole session; none is no limit.
    pub max_bytes: Option<u64>,
    /// Who we are when a relay asks for authentication. Without keys we stay anonymous.
    pub keys: Option<Keys>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            websocket: WebSocketLimits::default(),
            idle_timeout: limits::IDLE_TIMEOUT,
            send_timeout: limits::SEND_TIMEOUT,
            auth_timeout: limits::AUTH_TIMEOUT,
            max_bytes: None,
            keys: None,
        }
    }
}

/// How the connection was made.
#[derive(Debug, Clone)]
pub struct OpenReport {
    /// The phases of the dial.
    pub dial: DialTimings,
    /// The WebSocket upgrade.
    pub upgrade: Duration,
    /// The relay's address; unknown behind a proxy.
    pub remote_ip: Option<IpAddr>,
    /// What the TLS handshake showed, where TLS is spoken.
    pub tls: Option<TlsInfo>,
}

impl OpenReport {
    /// Returns the time to open, without our own queue: the `rtt-open` of NIP-66.
    pub fn rtt(&self) -> Duration {
        self.dial.total() + self.upgrade
    }
}

/// What passed through a session so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionCounts {
    /// Text messages received.
    pub messages_received: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Bytes received on the wire, handshakes included.
    pub bytes_received: u64,
    /// Bytes sent on the wire, handshakes included.
    pub bytes_sent: u64,
}

/// A conversation with one relay.
#[derive(Debug)]
pub struct Session {
    url: RelayUrl,
    config: SessionConfig,
    socket: WebSocket,
    meter: Arc<Meter>,
    open: OpenReport,
    counts: SessionCounts,
    challenge: Option<String>,
    /// The subscription that stays open, and what came of it.
    inbox: Option<Inbox>,
    /// The reconciliation that is open, and what came for it.
    reconciling: Option<Post>,
    sub_prefix: String,
    last_sub: u64,
    last_heard: Instant,
    pinged: bool,
    alive: bool,
}

/// What a wait for a message came to.
enum Heard {
    /// A message.
    Frame(Frame),
    /// A message of the open subscription, which keeps it.
    Kept,
    /// Nothing until the deadline.
    Nothing,
}

impl Session {
    /// Dials a relay and upgrades to a WebSocket.
    pub async fn connect(
        dialer: &Dialer,
        url: &RelayUrl,
        config: &SessionConfig,
    ) -> Result<Self, SessionError> {
        let connection = dialer.connect(url).await?;
        Box::pin(Self::over(connection, url, config)).await
    }

    /// Upgrades a connection to the relay to a WebSocket.
    pub async fn over(
        connection: Dialed,
        url: &RelayUrl,
        config: &SessionConfig,
    ) -> Result<Self, SessionError> {
        let meter = connection.stream.meter().clone();
        if let Some(max_bytes) = config.max_bytes {
            meter.cap_reads(max_bytes);
        }
        let upgrade = websocket::upgrade(connection.stream, url.as_str(), &config.websocket);
        let (socket, upgrade) = Box::pin(upgrade).await?;
        Ok(Self {
            url: url.clone(),
            config: config.clone(),
            socket,
            meter,
            open: OpenReport {
                dial: connection.timings,
                upgrade,
                remote_ip: connection.remote_ip,
                tls: connection.tls,
            },
            counts: SessionCounts::default(),
            challenge: None,
            inbox: None,
            reconciling: None,
            sub_prefix: format!("b{:08x}-", rand::random::<u32>()),
            last_sub: 0,
            last_heard: Instant::now(),
            pinged: false,
            alive: true,
        })
    }

    /// Returns the relay's URL.
    pub fn url(&self) -> &RelayUrl {
        &self.url
    }

    /// Tells how the connection was made.
    pub fn open(&self) -> &OpenReport {
        &self.open
    }

    /// Tells what passed through so far.
    pub fn counts(&self) -> SessionCounts {
        SessionCounts {
            bytes_received: self.meter.read_bytes(),
            bytes_sent: self.meter.written_bytes(),
            ..self.counts
        }
    }

    /// Says whether the conversation can go on. After an error of [`Session::next`] or
    /// [`Session::send`] it cannot.
    pub fn is_alive(&self) -> bool {
        self.alive
    }

    /// Says whether others could still connect to the same host, and to the network: one that
    /// stays connected should leave them room.
    pub fn leaves_room(&self) -> bool {
        self.socket.get_ref().leaves_room()
    }

    /// Returns the latest challenge of NIP-42 that the relay sent.
    pub fn challenge(&self) -> Option<&str> {
        self.challenge.as_deref()
    }

    /// Makes a subscription id that this session has not used: some relays ignore a REQ that
    /// repeats one. It cannot be guessed, so an answer to it comes after the question.
    pub fn fresh_sub_id(&mut self) -> String {
        self.last_sub += 1;
        format!("{}{}", self.sub_prefix, self.last_sub)
    }

    /// Says whether a subscription id was ours in this session: its late messages are no fault.
    pub fn was_ours(&self, sub_id: &str) -> bool {
        let number = sub_id
            .strip_prefix(self.sub_prefix.as_str())
            .and_then(|number| number.parse::<u64>().ok());
        number.is_some_and(|number| (1..=self.last_sub).contains(&number))
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`SessionError::SendTimedOut`] when the relay takes nothing; any error ends the session.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<(), SessionError> {
        let text = message.to_json();
        self.write(Message::text(text)).await?;
        self.counts.messages_sent += 1;
        Ok(())
    }

    /// Receives the next text message, or `None` when there was none until the deadline; the
    /// session goes on then. Pings are answered, and sent when the relay is silent. What comes of
    /// an open subscription is kept for [`Session::next_live`].
    ///
    /// # Errors
    /// Any error ends the session: the relay closed, broke a bound, or fell silent.
    ///
    /// # Security
    /// The text is the peer's, no longer than `max_message_bytes`.
    pub async fn next(&mut self, deadline: Instant) -> Result<Option<Frame>, SessionError> {
        loop {
            match self.hear(deadline).await? {
                Heard::Frame(frame) => return Ok(Some(frame)),
                Heard::Kept if Instant::now() < deadline => {}
                Heard::Kept | Heard::Nothing => return Ok(None),
            }
        }
    }

    /// Receives one message, as [`Session::next`] does, and says too when it was kept.
    async fn hear(&mut self, deadline: Instant) -> Result<Heard, SessionError> {
        if !self.alive {
            return Err(SessionError::Over);
        }
        loop {
            let wake = deadline.min(self.patience());
            // A `select!` would not do: a relay that always has more frames to read, none of
            // which ends a message, uses up the task's budget each time before the clock is
            // looked at. `timeout_at` looks at it regardless.
            let received = tokio::time::timeout_at(wake, self.socket.next()).await;
            match received.ok() {
                Some(Some(Ok(message))) => {
                    self.last_heard = Instant::now();
                    self.pinged = false;
                    match message {
                        Message::Text(text) => {
                            let frame = self.receive(Frame::new(text));
                            return Ok(frame.map_or(Heard::Kept, Heard::Frame));
                        }
                        Message::Close(frame) => {
                            return Err(self.end(SessionError::closed(frame.as_ref())));
                        }
                        // Pings are answered by the library. Binary messages mean nothing here.
                        _ if self.last_heard >= deadline => return Ok(Heard::Nothing),
                        _ => {}
                    }
                }
                Some(Some(Err(error))) => return Err(self.end(SessionError::from(error))),
                Some(None) => return Err(self.end(SessionError::Disconnected { source: None })),
                None if Instant::now() >= deadline => return Ok(Heard::Nothing),
                None if self.pinged => {
                    let after = self.config.idle_timeout;
                    return Err(self.end(SessionError::Silent { after }));
                }
                None => {
                    self.pinged = true;
                    self.write(Message::Ping(Bytes::new())).await?;
                }
            }
        }
    }

    /// Ends the conversation politely, for as long as that takes little time.
    pub async fn close(mut self) {
        if self.alive
            && let Ok(Err(error)) =
                tokio::time::timeout(limits::CLOSE_TIMEOUT, self.socket.close(None)).await
        {
            tracing::debug!(relay.url = %self.url, %error, "websocket did not close politely");
        }
    }

    /// Tells until when silence is borne: until the ping, then until the end.
    fn patience(&self) -> Instant {
        let idle = self.config.idle_timeout;
        self.last_heard + if self.pinged { idle } else { idle / 2 }
    }

    /// Counts a message, remembers a challenge and what belongs to a reconciliation, and keeps
    /// what belongs to the open subscription: nothing is returned then.
    fn receive(&mut self, frame: Frame) -> Option<Frame> {
        self.counts.messages_received += 1;
        if frame.may_be_auth()
            && let Ok(RelayMessage::Auth { challenge }) = frame.message()
            && challenge.len() <= limits::MAX_CHALLENGE_BYTES
        {
            self.challenge = Some(challenge);
        }
        if let Some(mut post) = self.reconciling.take() {
            post.receive(&frame, |sub_id| self.was_ours(sub_id));
            self.reconciling = Some(post);
        }
        match &mut self.inbox {
            Some(inbox) => inbox.take(frame),
            None => Some(frame),
        }
    }

    async fn write(&mut self, message: Message) -> Result<(), SessionError> {
        if !self.alive {
            return Err(SessionError::Over);
        }
        let after = self.config.send_timeout;
        match tokio::time::timeout(after, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.end(SessionError::from(error))),
            Err(_) => Err(self.end(SessionError::SendTimedOut { after })),
        }
    }

    fn end(&mut self, error: SessionError) -> SessionError {
        self.alive = false;
        error
    }
}
