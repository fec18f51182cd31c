//! Everything that can be made to go wrong, by the stage at which it does.
//!
//! Owns the catalogue of faults and the script that says how often each applies. What a fault
//! does is written where that stage is: the listener, the HTTP front, the session.

mod reconcile;

use std::time::Duration;

use bigbrotr_core::message::ReplyPrefix;

pub use self::reconcile::ReconcileFault;
pub use super::store::Order;
pub use super::wire::Wire;

/// One thing that goes wrong. Several can be in force at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Before the WebSocket session.
    Connection(ConnectionFault),
    /// The NIP-11 document.
    Information(InformationFault),
    /// The answer to REQ.
    Read(ReadFault),
    /// The answer to EVENT.
    Write(WriteFault),
    /// The answer to NEG-OPEN.
    Reconcile(ReconcileFault),
}

/// What goes wrong before there is a WebSocket session. Does not touch NIP-11 requests except
/// where it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The port is closed, NIP-11 included. With a count: accepts and resets at once.
    Refuse,
    /// Accepts the connection and never answers the request.
    NoHandshake,
    /// Answers the upgrade with this HTTP status.
    Status(u16),
    /// Answers the upgrade with a redirect to this URL.
    Redirect(String),
    /// Answers the upgrade with status 200 and a web page.
    Html,
    /// Answers the upgrade with a wrong `Sec-WebSocket-Accept`.
    WrongAcceptKey,
    /// Waits before it answers the upgrade.
    HandshakeDelay(Duration),
    /// Resets connections, NIP-11 included, that come sooner than this after the last session
    /// has ended.
    BanReconnects(Duration),
    /// Ends every session this long after it began, without a close frame.
    CutAfter(Duration),
    /// These bytes as soon as there is a connection, NIP-11 included: in place of the TLS
    /// handshake, where there is one.
    Greet(Wire),
    /// These bytes in place of the answer to the upgrade.
    Answer(Wire),
    /// These bytes on the WebSocket before any question is read.
    Begin(Wire),
}

/// What goes wrong with the NIP-11 document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InformationFault {
    /// A web page with status 200.
    Html,
    /// Valid JSON with a wrong type in every field.
    WrongTypes,
    /// This body as `application/nostr+json`.
    Body(String),
    /// A body that never ends.
    Endless,
    /// A redirect to itself.
    RedirectLoop,
    /// A redirect to this URL.
    Redirect(String),
    /// A body compressed by gzip that unpacks to gigabytes.
    GzipBomb,
    /// A correct body, one byte per interval.
    Slow(Duration),
    /// This HTTP status.
    Status(u16),
    /// Never answers.
    Silence,
    /// Waits before the answer.
    Latency(Duration),
    /// A correct document without the CORS headers.
    NoCors,
    /// Ends the connection in the middle of the body.
    Cut,
    /// These bytes in place of the answer.
    Answer(Wire),
    /// These bytes as the body, with a correct head.
    Bytes(Vec<u8>),
}

/// What goes wrong with the answer to a REQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFault {
    /// The request is ignored.
    Silence,
    /// Sends so many events, then nothing more.
    StallAfter(usize),
    /// Sends all events, but never EOSE.
    NoEose,
    /// EOSE first, the stored events after it.
    EoseFirst,
    /// EOSE and no events for filters without ids, authors, kinds and tags.
    EmptyForBroad,
    /// At most so many events per filter, silently.
    Cap {
        /// How many.
        events: usize,
        /// Which ones, and in which order.
        order: Order,
    },
    /// CLOSED with this message in place of everything.
    Closed(String),
    /// Some events, then CLOSED with this message.
    PartialThenClosed {
        /// How many events.
        events: usize,
        /// Why.
        message: String,
    },
    /// CLOSED `auth-required`, whether or not the client has authenticated.
    AuthRequired {
        /// Whether a challenge is sent before it.
        challenge: bool,
    },
    /// This NOTICE in place of everything.
    Notice(String),
    /// Answers as if the filters had no conditions but their limits.
    IgnoreFilter,
    /// Every n-th event has a wrong signature.
    WrongSignatures {
        /// n; 1 spoils all.
        every: usize,
    },
    /// Every event comes under a subscription id that nobody opened.
    WrongSubscription,
    /// Sends these events, as raw JSON, before the stored ones.
    Inject(Vec<String>),
    /// Each event comes twice.
    Duplicates,
    /// All that matches, whatever the limit, then fresh events without end until CLOSE.
    Endless,
    /// Cuts the connection in the middle of the message after so many events.
    CutMidMessage {
        /// How many whole events.
        after: usize,
    },
    /// A close frame after so many events.
    CloseFrame {
        /// How many events.
        after: usize,
        /// The status code of the close frame.
        code: u16,
    },
    /// These text frames before the answer.
    Rubbish(Vec<String>),
    /// A few binary frames before the answer.
    Binary,
    /// A valid event message with so many bytes of content before the answer.
    Oversized(usize),
    /// The whole answer, one byte per interval.
    Drip(Duration),
    /// Waits before the answer.
    Latency(Duration),
    /// Each answer leaves out another quarter of the events.
    Inconsistent,
    /// These bytes in place of the answer.
    Answer(Wire),
}

impl ReadFault {
    /// Text frames that are no messages.
    pub fn rubbish() -> Self {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let texts = [
            "",
            "hello",
            "{}",
            "[]",
            "[null]",
            "[\"EVENT\"]",
            "[\"WHAT\",1]",
            "[\"EOSE\",{}]",
        ];
        Self::Rubbish(
            texts
                .into_iter()
                .map(ToOwned::to_owned)
                .chain([deep])
                .collect(),
        )
    }
}

/// What goes wrong with the answer to an EVENT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteFault {
    /// OK false with this message; the event is not kept.
    Refuse(String),
    /// No answer; the event is not kept.
    Silence,
    /// This NOTICE in place of OK; the event is not kept.
    Notice(String),
    /// OK true, but the event is not kept.
    Forget,
    /// OK with the id of another event; the event is kept.
    WrongId,
    /// Waits before the answer.
    Latency(Duration),
    /// These bytes in place of the answer; the event is not kept.
    Answer(Wire),
}

impl WriteFault {
    /// Refuses with this machine-readable prefix.
    pub fn refuse(prefix: ReplyPrefix) -> Self {
        Self::Refuse(prefix.message("said the script"))
    }
}

macro_rules! from_stage {
    ($($stage:ident($fault:ident)),+) => {$(
        impl From<$fault> for Fault {
            fn from(fault: $fault) -> Self {
                Self::$stage(fault)
            }
        }
    )+};
}

from_stage!(
    Connection(ConnectionFault),
    Information(InformationFault),
    Read(ReadFault),
    Write(WriteFault),
    Reconcile(ReconcileFault)
);

/// The faults in force.
#[derive(Debug, Default)]
pub(super) struct Script {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    fault: Fault,
    /// For how many more requests; `None` for all.
    left: Option<usize>,
}

impl Script {
    pub(super) fn replace(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.entries = faults
            .into_iter()
            .map(|fault| Entry { fault, left: None })
            .collect();
    }

    pub(super) fn add(&mut self, fault: Fault, requests: usize) {
        self.entries.push(Entry {
            fault,
            left: Some(requests),
        });
    }

    /// Returns the faults of one stage for one request, and counts that request.
    pub(super) fn take<T: Clone>(&mut self, stage: impl Fn(&Fault) -> Option<&T>) -> Vec<T> {
        let mut taken = Vec::new();
        self.entries.retain_mut(|entry| {
            let Some(fault) = stage(&entry.fault) else {
                return true;
            };
            if entry.left == Some(0) {
                return false;
            }
            taken.push(fault.clone());
            match &mut entry.left {
                None => true,
                Some(left) => {
                    *left -= 1;
                    *left > 0
                }
            }
        });
        taken
    }

    /// Says whether the port has to be closed.
    pub(super) fn closes_port(&self) -> bool {
        self.entries.iter().any(|entry| {
            entry.left.is_none() && entry.fault == Fault::Connection(ConnectionFault::Refuse)
        })
    }
}
