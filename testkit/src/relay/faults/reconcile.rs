//! What goes wrong with a reconciliation ([NIP-77]), and how relays in the wild refuse one.
//!
//! [NIP-77]: https://github.com/nostr-protocol/nips/blob/master/77.md

use bigbrotr_core::event::EventId;

/// What goes wrong with a reconciliation. Drawn at NEG-OPEN, in force until it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReconcileFault {
    /// NEG-ERR with this message.
    Refuse(String),
    /// CLOSED with this message in place of NEG-ERR.
    Closed(String),
    /// This NOTICE in place of an answer, as relays without NIP-77 do.
    Notice(String),
    /// This NOTICE, about something else, before the answer.
    NoticeFirst(String),
    /// No answer.
    Silence,
    /// The answers come behind the answer to the next REQ: slow, not silent.
    AfterReq,
    /// NEG-ERR `blocked` for sets above so many events.
    TooMany {
        /// The largest set that is reconciled.
        above: usize,
    },
    /// Promises these ids too, which it does not have.
    Phantom(Vec<EventId>),
    /// Promises ids that nobody has in every answer, and always more to come.
    Endless,
    /// Promises the same ids, which nobody has, in every answer, and always more to come.
    Repeat,
    /// Disagrees about everything in every answer, and promises nothing.
    Stuck,
    /// A NEG-MSG that is no negentropy message.
    Rubbish,
    /// A NEG-MSG with this text: see [`ReconcileFault::version`].
    Message(String),
    /// A NEG-MSG with so many characters of hex.
    Oversized(usize),
    /// Right answers under a subscription id that nobody opened.
    WrongSubscription,
    /// Answers NEG-OPEN, then ends each reconciliation with NEG-ERR `closed`.
    CloseMidway,
    /// Says nothing more after so many answers.
    StallAfter(usize),
    /// Cuts the connection in place of the answer after so many.
    CutAfter(usize),
    /// The largest message, bytes before hex, in place of the configured bound; at least 4,096.
    Frames(u64),
    /// Forgets the reconciliation when the client makes a REQ.
    ForgetOnReq,
}

impl ReconcileFault {
    /// Answers with this version of the protocol, and nothing but that.
    pub fn version(byte: u8) -> Self {
        Self::Message(hex::encode([byte]))
    }

    /// Lists how relays that do not reconcile say so, as seen in the wild.
    pub fn unsupported() -> Vec<Self> {
        let notices = [
            "ERROR: bad msg: unknown cmd",
            "ERROR: bad msg: negentropy disabled",
            "ERROR: bad msg: invalid message",
            "ERROR: negentropy error: negentropy query missing elements",
            "bad message type",
            "error: bad message",
            "Command unrecognized",
            "could not parse command",
            "unknown message type NEG-OPEN",
            "failed to parse envelope: unknown envelope label",
            "invalid: \"value\" does not match any of the allowed types",
        ];
        let errors = [
            "unsupported: negentropy disabled",
            "error: negentropy disabled",
            "closed: nip77 disabled",
            "invalid: filter is not allowed",
        ];
        let closed = ["unsupported: unknown command", "invalid: no such verb"];
        let all = notices.map(|words| Self::Notice(words.into())).into_iter();
        all.chain(errors.map(|words| Self::Refuse(words.into())))
            .chain(closed.map(|words| Self::Closed(words.into())))
            .collect()
    }
}
