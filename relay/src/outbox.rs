//! What waits to be sent to one client: the only way to it, bounded in messages and in bytes.
//!
//! Owns no socket: the session's writer takes from here. Three ways in: live events are put in or
//! refused at once ([`Outbox::offer`]), answers wait for room ([`Outbox::send`]), and what has to
//! be told in any case is always put in ([`Outbox::force`]); that is bounded by its callers.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A message to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// A finished text.
    Text(String),
    /// An event: its text is shared by everybody who gets it.
    Event {
        /// `["EVENT","id",`.
        head: Arc<str>,
        /// The event's JSON.
        event: Arc<str>,
    },
    /// A WebSocket ping.
    Ping,
    /// The end of the connection.
    Close {
        /// WebSocket close code.
        code: u16,
        /// The reason, for humans.
        reason: Cow<'static, str>,
    },
}

impl Outgoing {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Event { head, event } => head.len() + event.len() + 1,
            Self::Ping => 2,
            Self::Close { reason, .. } => reason.len() + 4,
        }
    }
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Nobody takes from the queue any more: the client is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// The messages that wait for one client.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    not_empty: Notify,
    not_full: Notify,
    max_messages: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Outgoing>,
    bytes: usize,
    finished: bool,
    gone: bool,
}

impl State {
    fn put(&mut self, message: Outgoing) {
        self.bytes += message.bytes();
        self.queue.push_back(message);
    }
}

impl Outbox {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            not_empty: Notify::new(),
            not_full: Notify::new(),
            max_messages,
            max_bytes,
        }
    }

    /// Puts a message in if there is room.
    pub(crate) fn offer(&self, message: Outgoing) -> Result<(), Full> {
        let mut state = self.lock();
        if state.gone {
            return Ok(());
        }
        let bytes = state.bytes + message.bytes();
        let full = state.queue.len() >= self.max_messages || bytes > self.max_bytes;
        if full && !state.queue.is_empty() {
            return Err(Full);
        }
        state.put(message);
        drop(state);
        self.not_empty.notify_one();
        Ok(())
    }

    /// Puts a message in, beyond the bound if need be.
    pub(crate) fn force(&self, message: Outgoing) {
        let mut state = self.lock();
        if !state.gone {
            state.put(message);
        }
        drop(state);
        self.not_empty.notify_one();
    }

    /// Waits for room and puts a message in. It leaves half of the queue to live events, which
    /// cannot wait. For one task at a time: the session's.
    pub(crate) async fn send(&self, message: Outgoing) -> Result<(), Gone> {
        let bytes = message.bytes();
        loop {
            {
                let mut state = self.lock();
                if state.gone {
                    return Err(Gone);
                }
                let room = state.queue.len() < self.max_messages / 2
                    && state.bytes + bytes <= self.max_bytes / 2;
                if room || state.queue.is_empty() {
                    state.put(message);
                    drop(state);
                    self.not_empty.notify_one();
                    return Ok(());
                }
            }
            // A permit is kept if room came in between.
            self.not_full.notified().await;
        }
    }

    /// Waits for the next message; `None` after [`Outbox::finish`], once all is taken.
    pub(crate) async fn take(&self) -> Option<Outgoing> {
        loop {
            if let Some(message) = self.try_take() {
                return Some(message);
            }
            if self.lock().finished {
                return None;
            }
            self.not_empty.notified().await;
        }
    }

    /// Takes the next message if there is one.
    pub(crate) fn try_take(&self) -> Option<Outgoing> {
        let mut state = self.lock();
        let message = state.queue.pop_front()?;
        state.bytes -= message.bytes();
        drop(state);
        self.not_full.notify_one();
        Some(message)
    }

    /// Says that nothing more will be put in.
    pub(crate) fn finish(&self) {
        self.lock().finished = true;
        self.not_empty.notify_one();
    }

    /// Says that nothing more will be taken out: drops what waits, and lets go whoever waits.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.gone = true;
        state.bytes = 0;
        state.queue.clear();
        drop(state);
        self.not_full.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Outgoing {
        Outgoing::Text("x".repeat(length))
    }

    #[tokio::test]
    async fn live_events_are_refused_when_it_is_full_and_notices_are_not() {
        let outbox = Outbox::new(3, 100);
        assert_eq!(outbox.offer(text(50)), Ok(()));
        assert_eq!(outbox.offer(text(51)), Err(Full), "bytes");
        assert_eq!(outbox.offer(text(1)), Ok(()));
        assert_eq!(outbox.offer(text(1)), Ok(()));
        assert_eq!(outbox.offer(text(1)), Err(Full), "messages");
        outbox.force(text(2));
        outbox.finish();
        let mut lengths = Vec::new();
        while let Some(message) = outbox.take().await {
            lengths.push(message.bytes());
        }
        assert_eq!(lengths, [50, 1, 1, 2]);
    }

    #[tokio::test]
    async fn a_message_larger_than_the_queue_passes_alone() {
        let outbox = Outbox::new(3, 10);
        assert_eq!(outbox.offer(text(50)), Ok(()));
        assert_eq!(outbox.offer(text(50)), Err(Full));
    }

    #[tokio::test]
    async fn answers_wait_for_room_and_leave_half_to_live_events() {
        let outbox = Outbox::new(4, 1_000);
        outbox.send(text(1)).await.unwrap();
        outbox.send(text(2)).await.unwrap();
        let third = outbox.send(text(3));
        tokio::pin!(third);
        assert!(futures_util::poll!(&mut third).is_pending());
        assert_eq!(outbox.offer(text(4)), Ok(()));
        assert!(futures_util::poll!(&mut third).is_pending());
        outbox.try_take().unwrap();
        outbox.try_take().unwrap();
        third.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_waits_for_a_client_that_is_gone_is_let_go() {
        let outbox = Outbox::new(2, 1_000);
        outbox.send(text(1)).await.unwrap();
        let second = outbox.send(text(2));
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        outbox.abandon();
        assert_eq!(second.await, Err(Gone));
        assert_eq!(outbox.try_take(), None);
    }
}
