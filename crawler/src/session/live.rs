//! A subscription that stays open: what a relay takes in from now on, as it comes ([NIP-01]).
//!
//! Its events come in between the answers to other questions, so they are kept apart, within
//! bounds, whoever reads the session. Where more come than fit, they are dropped and it is said
//! so: the caller has to ask for them.
//!
//! [NIP-01]: https://github.com/nostr-protocol/nips/blob/master/01.md

use std::collections::VecDeque;

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{ClientMessage, RelayMessage};
use tokio::time::Instant;

use super::error::shorten;
use super::{Frame, Heard, Session, SessionError};
use crate::limits;

/// What came of a subscription.
#[derive(Debug)]
pub enum LiveItem {
    /// An event of the right form that matches the filter. Its id and signature are **not**
    /// verified.
    Event(Event),
    /// Something else, dropped; why, from a closed set.
    Refused(&'static str),
    /// Events were dropped because too many waited: they have to be asked for.
    Lost,
}

/// Why a subscription is not open any more.
#[derive(Debug, thiserror::Error)]
pub enum LiveEnd {
    /// The relay ended or refused it; its words.
    #[error("relay closed the subscription: {0:?}")]
    Closed(String),
    /// The relay has not said that it is open.
    #[error("relay did not open the subscription in time")]
    TimedOut,
    /// The session is over.
    #[error("session ended")]
    Session(#[from] SessionError),
}

/// What waits to be read of a subscription.
#[derive(Debug)]
pub(super) struct Inbox {
    sub_id: String,
    filter: Filter,
    max_event_bytes: usize,
    waiting: VecDeque<Frame>,
    waiting_bytes: usize,
    has_lost: bool,
    is_open: bool,
    closed: Option<String>,
}

impl Inbox {
    /// Takes a message of the subscription; gives back any other.
    pub(super) fn take(&mut self, frame: Frame) -> Option<Frame> {
        // Most messages are others' events: their id stands at the beginning.
        if !frame.names(&self.sub_id) {
            return Some(frame);
        }
        match frame.message() {
            Ok(RelayMessage::Event { sub_id, .. }) if sub_id == self.sub_id => {
                let bytes = self.waiting_bytes + frame.text().len();
                if self.waiting.len() >= limits::LIVE_WAITING_EVENTS
                    || bytes > limits::LIVE_WAITING_BYTES
                {
                    self.has_lost = true;
                } else {
                    self.waiting_bytes = bytes;
                    self.waiting.push_back(frame);
                }
            }
            Ok(RelayMessage::Eose { sub_id }) if sub_id == self.sub_id => self.is_open = true,
            Ok(RelayMessage::Closed { sub_id, message }) if sub_id == self.sub_id => {
                self.closed = Some(shorten(&message));
            }
            _ => return Some(frame),
        }
        None
    }

    fn next(&mut self) -> Option<LiveItem> {
        let Some(frame) = self.waiting.pop_front() else {
            return std::mem::take(&mut self.has_lost).then_some(LiveItem::Lost);
        };
        self.waiting_bytes -= frame.text().len();
        let Ok(RelayMessage::Event { event, .. }) = frame.message() else {
            return Some(LiveItem::Refused("unreadable"));
        };
        if event.len() > self.max_event_bytes {
            return Some(LiveItem::Refused("too_large"));
        }
        Some(match Event::from_json(event) {
            Ok(event) if self.filter.matches(&event) => LiveItem::Event(event),
            Ok(_) => LiveItem::Refused("no_match"),
            Err(_) => LiveItem::Refused("malformed"),
        })
    }
}

impl Session {
    /// Opens a subscription that stays open, and waits until the relay says that it is. From then
    /// on everything that the relay takes in and that matches comes through
    /// [`Session::next_live`], for as long as the session is read. Of what is stored one event may
    /// come along.
    ///
    /// # Errors
    /// [`LiveEnd`]; the session may go on unless it says otherwise.
    pub async fn open_live(
        &mut self,
        filter: &Filter,
        max_event_bytes: usize,
        deadline: Instant,
    ) -> Result<(), LiveEnd> {
        let sub_id = self.fresh_sub_id();
        let filter = Filter {
            limit: Some(1),
            ..filter.clone()
        };
        self.inbox = Some(Inbox {
            sub_id: sub_id.clone(),
            filter: filter.clone(),
            max_event_bytes,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            has_lost: false,
            is_open: false,
            closed: None,
        });
        let filters = vec![filter];
        let opened = match self.send(&ClientMessage::Req { sub_id, filters }).await {
            Ok(()) => self.await_opening(deadline).await,
            Err(error) => Err(error.into()),
        };
        if opened.is_err() {
            self.inbox = None;
        }
        opened
    }

    async fn await_opening(&mut self, deadline: Instant) -> Result<(), LiveEnd> {
        loop {
            match &mut self.inbox {
                Some(inbox) if inbox.is_open => return Ok(()),
                Some(inbox) => {
                    if let Some(words) = inbox.closed.take() {
                        return Err(LiveEnd::Closed(words));
                    }
                }
                None => return Err(SessionError::Over.into()),
            }
            if let Heard::Nothing = self.hear(deadline).await? {
                return Err(LiveEnd::TimedOut);
            }
        }
    }

    /// Returns what came of the open subscription, `None` when nothing did until the deadline. To
    /// drop the future loses nothing.
    ///
    /// # Errors
    /// [`LiveEnd`]: nothing more will come.
    ///
    /// # Security
    /// What waits is bounded; what comes is the peer's, and has to be verified.
    pub async fn next_live(&mut self, deadline: Instant) -> Result<Option<LiveItem>, LiveEnd> {
        loop {
            let Some(inbox) = &mut self.inbox else {
                return Err(SessionError::Over.into());
            };
            if let Some(item) = inbox.next() {
                return Ok(Some(item));
            }
            if let Some(words) = inbox.closed.take() {
                self.inbox = None;
                return Err(LiveEnd::Closed(words));
            }
            if let Heard::Nothing = self.hear(deadline).await? {
                return Ok(None);
            }
        }
    }
}
