//! A request that every relay answers, sent behind questions that some relays leave unanswered.
//!
//! Once it is answered, a relay that knows what it was asked before has little reason to be
//! silent still, and the wait is short for one that does not.

use std::time::Duration;

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{ClientMessage, RelayMessage};
use tokio::time::Instant;

/// The request, and when it was answered.
#[derive(Debug)]
pub(super) struct Fence {
    sub_id: String,
    answered_at: Option<Instant>,
}

impl Fence {
    /// Makes one under a fresh subscription id.
    pub(super) fn new(sub_id: String) -> Self {
        Self {
            sub_id,
            answered_at: None,
        }
    }

    /// Writes the REQ: for an event that nobody has.
    pub(super) fn request(&self) -> ClientMessage {
        ClientMessage::Req {
            sub_id: self.sub_id.clone(),
            filters: vec![Filter {
                ids: Some([EventId([0; 32])].into()),
                limit: Some(1),
                ..Filter::default()
            }],
        }
    }

    /// Writes what ends it.
    pub(super) fn farewell(&self) -> ClientMessage {
        ClientMessage::Close {
            sub_id: self.sub_id.clone(),
        }
    }

    /// Takes a message if it is the answer; a refusal is one.
    pub(super) fn take(&mut self, message: &RelayMessage<'_>) -> bool {
        let (RelayMessage::Eose { sub_id } | RelayMessage::Closed { sub_id, .. }) = message else {
            return false;
        };
        let ours = *sub_id == self.sub_id;
        if ours {
            self.answered_at.get_or_insert_with(Instant::now);
        }
        ours
    }

    /// Returns when the wait for what was asked before is over, once there is an answer.
    pub(super) fn patience(&self, grace: Duration) -> Option<Instant> {
        self.answered_at.map(|at| at + grace)
    }
}
