//! What services want of relays other than ours, without knowing who talks to them.
//!
//! The data vending machine hears requests on other relays and takes its answers there; the crawler
//! knows how to talk to relays. Neither knows the other: the node gives one to the other as this
//! trait.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::mpsc;

use crate::event::Event;
use crate::filter::Filter;

/// The future of a conversation with a relay. Dropping it ends the conversation.
pub type Conversation<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a relay that is followed has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An event that matches; its id and signature are true.
    Event(Box<Event>),
    /// Everything that was there has been told; what follows is new.
    CaughtUp,
}

/// What a relay says to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It has it.
    Yes,
    /// It does not want it, or cannot be talked to by us: no use in trying again.
    Refused(String),
    /// It cannot be reached, or did not answer: later, maybe.
    NotNow(String),
}

/// Talks to relays other than ours.
///
/// # Security
/// URLs may be a stranger's: whoever implements this normalises them and dials with the guard
/// against private addresses.
pub trait OtherRelays: Send + Sync {
    /// Publishes events on a relay, over one connection and in this order; returns what it said to
    /// each.
    fn publish<'a>(&'a self, relay: &'a str, events: &'a [Event]) -> Conversation<'a, Vec<Taken>>;

    /// Follows what matches any of these filters until the relay ends it, which takes a while at
    /// best; returns why. Waits while `heard` is full.
    fn follow<'a>(
        &'a self,
        relay: &'a str,
        filters: &'a [Filter],
        heard: mpsc::Sender<Heard>,
    ) -> Conversation<'a, String>;
}
