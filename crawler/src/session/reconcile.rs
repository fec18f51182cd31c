//! Reconciliation of what a relay has with what we know that it has ([NIP-77]).
//!
//! The ids come in pieces, one round at a time, and our next message is sent only when the next
//! piece is asked for: the caller's pace holds the relay back, and a relay with any number of
//! events never has to fit into memory. Between two pieces the session is free for other
//! questions. What becomes of a refusal (a smaller window, paging, another time) is decided by
//! the caller; [`ReconcileRefusal`] says which it is.
//!
//! - `engine` keeps the protocol's state; `shape` checks what comes; `seen` remembers what was
//!   told; all pure
//! - `rounds` asks and answers; `post` keeps what the relay says of a reconciliation, whoever
//!   reads it
//! - `wait` tells silence, slowness and notices apart; `refusal` judges words
//!
//! [NIP-77]: https://github.com/nostr-protocol/nips/blob/master/77.md

mod engine;
mod post;
mod refusal;
mod rounds;
mod seen;
mod shape;
mod wait;

use std::fmt;
use std::time::Duration;

use bigbrotr_core::event::EventId;

use self::engine::Engine;
pub(super) use self::post::Post;
pub use self::refusal::{NotNegentropy, ReconcileLimit, ReconcileRefusal};
use crate::limits;

/// Bounds of one reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileLimits {
    /// The most text received while answers are waited for, bytes.
    pub max_bytes: u64,
    /// The most answers.
    pub max_rounds: u32,
    /// The most ids that the relay may promise.
    pub max_ids: u64,
    /// The largest answer, bytes of text: what one piece may hold in memory.
    pub max_message_bytes: usize,
    /// What our own messages are kept below, bytes before hex; at least 4,096. The relay's are
    /// bounded by its own will, and by `max_message_bytes`.
    pub frame_bytes: usize,
    /// The longest time for the opening, authentication included, and for each round.
    pub round_timeout: Duration,
    /// How long the answer to the opening may still come after the relay has answered what was
    /// asked later.
    pub silence: Duration,
}

impl Default for ReconcileLimits {
    fn default() -> Self {
        Self {
            max_bytes: limits::RECONCILE_MAX_BYTES,
            max_rounds: limits::RECONCILE_MAX_ROUNDS,
            max_ids: limits::RECONCILE_MAX_IDS,
            max_message_bytes: limits::RECONCILE_MESSAGE_BYTES,
            frame_bytes: limits::RECONCILE_FRAME_BYTES,
            round_timeout: limits::RECONCILE_ROUND_TIMEOUT,
            silence: limits::RECONCILE_SILENCE,
        }
    }
}

/// What one round told. Both may be empty: a round may do no more than narrow the search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// The relay says that it has them, and we did not name them.
    pub need: Vec<EventId>,
    /// We named them, and the relay says that it does not have them.
    pub have: Vec<EventId>,
}

impl Differences {
    /// Says whether the round told nothing new.
    pub fn is_empty(&self) -> bool {
        self.need.is_empty() && self.have.is_empty()
    }
}

/// A reconciliation under way, of the session that opened it.
pub struct Reconciliation {
    sub_id: String,
    engine: Engine,
    limits: ReconcileLimits,
    state: State,
    rounds: u32,
    idle_rounds: u32,
    ids: u64,
    bytes: u64,
}

enum State {
    /// The relay's message has come and has not been looked at.
    Answered(String),
    /// Our next message has not been sent.
    Owed(String),
    /// The relay has to answer.
    Waiting,
    /// Both sides have told everything.
    Over,
    /// Given up.
    Failed,
}

/// Leaves out the items, which may be a million.
impl fmt::Debug for Reconciliation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciliation")
            .field("sub_id", &self.sub_id)
            .field("rounds", &self.rounds)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Reconciliation {
    /// Counts the answers so far.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Counts the text received while answers were waited for: bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Says whether both sides have told everything. One that was complete in its first round,
    /// with nothing told, proves that the relay has what we named and nothing else.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Looks at an answer and keeps our next message.
    fn advance(&mut self, message: &str) -> Result<Differences, ReconcileRefusal> {
        self.rounds += 1;
        let round = self.engine.take(message)?;
        self.ids += round.differences.need.len() as u64;
        if self.ids > self.limits.max_ids {
            return Err(ReconcileLimit::Ids.into());
        }
        self.idle_rounds = if round.differences.is_empty() {
            self.idle_rounds + 1
        } else {
            0
        };
        self.state = match round.next {
            None => State::Over,
            Some(_) if self.idle_rounds >= limits::RECONCILE_IDLE_ROUNDS => {
                return Err(ReconcileLimit::Progress.into());
            }
            Some(_) if self.rounds >= self.limits.max_rounds => {
                return Err(ReconcileLimit::Rounds.into());
            }
            Some(next) => State::Owed(next),
        };
        Ok(round.differences)
    }
}
