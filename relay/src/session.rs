//! One client's WebSocket session, from the greeting to the goodbye.
//!
//! Three things go on at once, in one task: frames are read ([`io::read`]), messages are handled
//! one after the other ([`dispatch`], then one file per message), and what is in the outbox is
//! written ([`io::write`]). Reading goes on while a message is handled, so that pings are answered.

mod auth;
mod budget;
mod count;
mod dispatch;
mod event;
mod io;
mod query;
mod reconcile;
mod req;
mod stored;
mod there;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use bigbrotr_core::message::{RelayMessage, ReplyPrefix};
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;

use self::auth::Auth;
use self::io::End;
use self::reconcile::Reconciliations;
pub(crate) use self::there::There;
use crate::front::AdmittedPeer;
use crate::front::gate::site;
use crate::hub::subscription::Subscription;
use crate::limits::{GOODBYE_TIMEOUT, INBOX_MESSAGES, READ_BUFFER_BYTES, WRITE_BUFFER_BYTES};
use crate::outbox::{Gone, Outbox, Outgoing};
use crate::rate::{Rate, TokenBucket};
use crate::shared::Shared;

/// Serves a client until it leaves, or has to.
pub(crate) async fn run<S>(shared: Arc<Shared>, io: S, peer: AdmittedPeer, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = &shared.config.limits;
    let max_bytes = limits.max_message_bytes.as_usize();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(max_bytes))
        .max_frame_size(Some(max_bytes));
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let (mut sink, mut stream) = socket.split();
    let outbox = Arc::new(Outbox::new(
        limits.outgoing_messages,
        limits.outgoing_bytes.as_usize(),
    ));
    let connections = shared.metrics.connections.clone();
    connections.inc();

    let (gone, ended) = (CancellationToken::new(), CancellationToken::new());
    let (inbox, messages) = mpsc::channel(INBOX_MESSAGES);
    let reading = async {
        let inbox = inbox;
        let end = io::read(&mut stream, &inbox, &outbox, &shared.config, &stop, &gone).await;
        ended.cancel();
        end
    };
    let handling = async {
        let mut session = Session::new(shared.clone(), outbox.clone(), &peer);
        session.greet();
        session.handle_all(messages).await;
        session
    };
    let serving = async {
        let (end, session) = tokio::join!(reading, handling);
        session.say_goodbye(end);
        outbox.finish();
        end
    };
    let writing = async {
        let timeout = shared.config.write_timeout;
        if let Err(error) = io::write(&mut sink, &outbox, timeout, &shared.metrics).await {
            tracing::debug!(error = ?error, "a client takes no more");
        }
        outbox.abandon();
        gone.cancel();
    };
    let too_long = async {
        ended.cancelled().await;
        sleep(GOODBYE_TIMEOUT).await;
    };
    let end = tokio::select! {
        (end, ()) = async { tokio::join!(serving, writing) } => end,
        () = too_long => End::Gone,
    };
    connections.dec();
    if end.is_ours()
        && let Ok(mut socket) = stream.reunite(sink)
    {
        io::linger(socket.get_mut()).await;
    }
}

/// What is known of one client. How each message is handled is in that message's file.
pub(crate) struct Session {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    subscriptions: HashMap<String, Arc<Subscription>>,
    reconciliations: Reconciliations,
    auth: Auth,
    rate: TokenBucket,
    /// The client's address, as far as limits go.
    site: IpAddr,
}

impl Session {
    fn new(shared: Arc<Shared>, outbox: Arc<Outbox>, peer: &AdmittedPeer) -> Self {
        let limits = &shared.config.limits;
        Self {
            auth: Auth::new(peer.peer.local),
            rate: TokenBucket::new(Rate::new(
                f64::from(limits.messages_per_second),
                limits.message_burst,
            )),
            site: site(peer.peer.client),
            subscriptions: HashMap::new(),
            reconciliations: Reconciliations::default(),
            shared,
            outbox,
        }
    }

    /// Sends the challenge of NIP-42, so that clients may authenticate whenever they want.
    fn greet(&self) {
        let greeting = RelayMessage::Auth {
            challenge: self.auth.challenge().to_owned(),
        };
        self.outbox.force(Outgoing::Text(greeting.to_json()));
    }

    async fn reply(&self, message: &RelayMessage<'_>) -> Result<(), Gone> {
        self.outbox.send(Outgoing::Text(message.to_json())).await
    }

    /// Puts the last messages in the outbox.
    fn say_goodbye(&self, end: End) {
        let limits = &self.shared.config.limits;
        let (notice, code, reason): (Option<Cow<'static, str>>, u16, &'static str) = match end {
            End::Client | End::Gone => return,
            End::Stop => {
                for subscription in self.subscriptions.values() {
                    if !subscription.is_ended() {
                        self.shared.hub.unregister(subscription);
                        subscription
                            .tell_closed(ReplyPrefix::Error.message("the relay is shutting down"));
                    }
                }
                (None, 1001, "the relay is shutting down")
            }
            End::Idle => (None, 1001, "idle"),
            End::TooLarge => {
                let notice = format!("message is longer than {}", limits.max_message_bytes);
                (Some(notice.into()), 1009, "message too long")
            }
            End::NotText => (Some("text is not UTF-8".into()), 1007, "text is not UTF-8"),
            End::Broken => (None, 1002, "protocol error"),
        };
        if let Some(text) = notice {
            let message = ReplyPrefix::Invalid.message(text);
            let notice = RelayMessage::Notice { message };
            self.outbox.force(Outgoing::Text(notice.to_json()));
        }
        self.outbox.force(Outgoing::Close {
            code,
            reason: reason.into(),
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for subscription in self.subscriptions.values() {
            self.shared.hub.unregister(subscription);
        }
    }
}
