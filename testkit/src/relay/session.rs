//! One client on a WebSocket: reads its messages, keeps its subscriptions, sends its answers.

mod outbox;
mod read;
mod reconcile;
mod spoil;
mod write;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bigbrotr_core::event::Pubkey;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{ClientMessage, ClientMessageError, RelayMessage, ReplyPrefix};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use self::outbox::{Outbox, Step};
use self::reconcile::Reconciliation;
use super::io::BoxedIo;
use super::listener::Opening;
use super::shared::{Live, Shared};
use super::stats::Counters;
use crate::limits::{MAX_MESSAGE_BYTES, MAX_SUBSCRIPTIONS, READ_BUFFER_BYTES, WRITE_TIMEOUT};

/// The state of one session. Answers are queued in `out` and sent between the client's messages.
struct Session {
    shared: Arc<Shared>,
    out: Outbox,
    subs: HashMap<String, Subscription>,
    reconciliations: HashMap<String, Reconciliation>,
    /// Answers of reconciliations that wait for the next REQ.
    held: Vec<String>,
    number: u64,
    challenge: String,
    authenticated: Option<Pubkey>,
}

/// A live subscription.
struct Subscription {
    filters: Vec<Filter>,
    /// The number of the last publication that the stored answer could contain.
    after: u64,
}

/// Runs a session until either side or its script ends it.
pub(super) async fn run(shared: Arc<Shared>, io: BoxedIo, first_bytes: Vec<u8>, opening: Opening) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let mut ws =
        WebSocketStream::from_partially_read(io, first_bytes, Role::Server, Some(config)).await;
    let (number, mut live, stop) = shared.register();
    let mut session = Session::new(shared.clone(), number);
    let cut_at = opening.cut_at;
    if let Some(wire) = opening.wire {
        session.out.push(None, None, Step::Wire(wire));
    }
    loop {
        let due = session.out.due();
        let flow = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = at(cut_at) => break,
            message = ws.next(), if !session.out.is_dripping() => match message {
                Some(Ok(Message::Text(text))) => session.receive(&text),
                Some(Ok(Message::Binary(_))) => session.notice("binary frames are not read"),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => break,
            },
            event = live.recv() => match event {
                Some(event) => session.forward(&event),
                None => break,
            },
            () = at(due), if due.is_some() => {
                let sending = timeout(WRITE_TIMEOUT, session.out.send(&mut ws, &shared.counters));
                tokio::select! {
                    () = stop.cancelled() => break,
                    sent = sending => sent.unwrap_or(ControlFlow::Break(())),
                }
            }
        };
        if flow.is_break() {
            break;
        }
    }
    shared.unregister(number);
}

/// Waits for a time. Does not sleep if it has come: the timer would round that up to 1 ms.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) if time <= Instant::now() => {}
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Session {
    fn new(shared: Arc<Shared>, number: u64) -> Self {
        let digest = Sha256::new()
            .chain_update(shared.config.seed.to_be_bytes())
            .chain_update(shared.address.port().to_be_bytes())
            .chain_update(number.to_be_bytes())
            .finalize();
        let mut session = Self {
            challenge: hex::encode(&digest[..16]),
            shared,
            out: Outbox::default(),
            subs: HashMap::new(),
            reconciliations: HashMap::new(),
            held: Vec::new(),
            number,
            authenticated: None,
        };
        if session.shared.config.auth.challenges() {
            session.challenge();
        }
        session
    }

    fn receive(&mut self, text: &str) -> ControlFlow<()> {
        if text.starts_with("[\"NEG-") {
            let counter = &self.shared.counters.reconcile_bytes_in;
            counter.fetch_add(text.len() as u64, Ordering::Relaxed);
        }
        match ClientMessage::parse(text) {
            Ok(ClientMessage::Event(event)) => self.take_event(&event),
            Ok(ClientMessage::Auth(event)) => self.authenticate(&event),
            Ok(ClientMessage::Req { sub_id, filters }) => {
                self.answer_req(&sub_id, filters);
                self.req_beside_reconciliations();
            }
            Ok(ClientMessage::Count { sub_id, filters }) => self.answer_count(&sub_id, &filters),
            Ok(ClientMessage::Close { sub_id }) => self.close(&sub_id),
            Ok(ClientMessage::NegOpen {
                sub_id,
                filter,
                message,
            }) => {
                self.open_reconciliation(&sub_id, &filter, &message);
            }
            Ok(ClientMessage::NegMsg { sub_id, message }) => self.reconcile(&sub_id, &message),
            Ok(ClientMessage::NegClose { sub_id }) => {
                self.reconciliations.remove(&sub_id);
            }
            Err(error) => self.refuse(error),
        }
        ControlFlow::Continue(())
    }

    /// Answers what cannot be understood in the way that its sender understands.
    fn refuse(&mut self, error: ClientMessageError) {
        let text = error.to_string();
        let message = ReplyPrefix::Invalid.message(&text);
        match error {
            ClientMessageError::Unreadable { .. } => self.say(&RelayMessage::Notice { message }),
            ClientMessageError::Event { id, .. } => self.ok(id, false, message, Duration::ZERO),
            ClientMessageError::Query { sub_id, .. } => self.closed(&sub_id, message),
            ClientMessageError::Reconciliation { sub_id, .. } => self.neg_err(&sub_id, message),
        }
    }

    fn close(&mut self, sub_id: &str) {
        self.subs.remove(sub_id);
        self.out.forget(sub_id);
    }

    fn subscribe(&mut self, sub_id: &str, filters: Vec<Filter>, after: u64) {
        if self.subs.len() < MAX_SUBSCRIPTIONS {
            self.subs
                .insert(sub_id.to_owned(), Subscription { filters, after });
        }
    }

    /// Sends a live event to the subscriptions that it matches.
    fn forward(&mut self, (number, event): &Live) -> ControlFlow<()> {
        for (sub_id, sub) in &self.subs {
            if *number > sub.after && sub.filters.iter().any(|filter| event.matches(filter)) {
                let step = Step::Event {
                    sub_id: sub_id.clone(),
                    event: event.clone(),
                };
                self.out.push(Some(sub_id), None, step);
            }
        }
        ControlFlow::Continue(())
    }

    fn say(&mut self, message: &RelayMessage<'_>) {
        self.out.push(None, None, Step::Text(message.to_json()));
    }

    fn notice(&mut self, message: &str) -> ControlFlow<()> {
        self.say(&RelayMessage::Notice {
            message: message.to_owned(),
        });
        ControlFlow::Continue(())
    }

    fn closed(&mut self, sub_id: &str, message: String) {
        self.say(&RelayMessage::Closed {
            sub_id: sub_id.into(),
            message,
        });
    }

    fn challenge(&mut self) {
        let challenge = self.challenge.clone();
        self.say(&RelayMessage::Auth { challenge });
    }

    /// Counts the client among those who read.
    fn reads(&self) {
        let counters = &self.shared.counters;
        counters.begin_reading(self.number, self.authenticated);
    }

    /// Says whether the client still has to authenticate before it may read.
    fn must_authenticate_to_read(&self) -> bool {
        self.shared.config.auth.guards_reads() && self.authenticated.is_none()
    }
}

fn auth_required() -> String {
    ReplyPrefix::AuthRequired.message("this relay wants to know who you are")
}

/// Counts, in a place where the borrow of the session is short.
fn bump(counter: impl Fn(&Counters) -> &std::sync::atomic::AtomicU64, shared: &Shared) {
    Counters::bump(counter(&shared.counters));
}
