//! Where answers go besides our own relay.

use bigbrotr_core::event::Event;

/// Sends answers to the relays that a request names.
///
/// The node wires one that goes through the guarded dialer; without one, answers are on our own
/// relay only.
pub trait ResultSink: Send + Sync {
    /// Hands over a signed answer for these relays, as the request names them: a handful of
    /// unchecked texts. Best effort, and called from async code: it must not block, and has to
    /// bound what it queues.
    ///
    /// # Security
    /// The URLs are a stranger's: they must be normalised, and dialled with the guard against
    /// private addresses.
    fn send(&self, event: &Event, relays: &[String]);
}
