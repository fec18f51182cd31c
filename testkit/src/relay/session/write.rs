//! Answers to EVENT and AUTH, right and wrong.

use std::time::Duration;

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::message::{RelayMessage, ReplyPrefix};
use tokio::time::Instant;

use super::super::faults::{Fault, WriteFault};
use super::outbox::Step;
use super::{Session, auth_required, bump};
use crate::population::SimEvent;

/// The kind of authentication events (NIP-42).
const AUTH_KIND: u16 = 22_242;

impl Session {
    pub(super) fn ok(
        &mut self,
        event_id: EventId,
        accepted: bool,
        message: String,
        wait: Duration,
    ) {
        let text = RelayMessage::Ok {
            event_id,
            accepted,
            message,
        }
        .to_json();
        let due = (!wait.is_zero()).then(|| Instant::now() + wait);
        self.out.push(None, due, Step::Text(text));
    }

    pub(super) fn take_event(&mut self, event: &Event) {
        bump(|counters| &counters.events_received, &self.shared);
        let id = event.id;
        let (mut wait, mut forget, mut answered_id) = (Duration::ZERO, false, id);
        let faults = self.shared.take_faults(|fault| match fault {
            Fault::Write(fault) => Some(fault),
            _ => None,
        });
        for fault in faults {
            match fault {
                WriteFault::Refuse(message) => return self.ok(id, false, message, wait),
                WriteFault::Silence => return,
                WriteFault::Notice(message) => return self.say(&RelayMessage::Notice { message }),
                WriteFault::Answer(wire) => return self.out.push(None, None, Step::Wire(wire)),
                WriteFault::Forget => forget = true,
                WriteFault::WrongId => answered_id.0[0] ^= 1,
                WriteFault::Latency(latency) => wait += latency,
            }
        }
        if self.shared.config.auth.guards_writes() && self.authenticated.is_none() {
            return self.ok(id, false, auth_required(), wait);
        }
        if let Err(error) = event.verify() {
            return self.ok(id, false, ReplyPrefix::Invalid.message(error), wait);
        }
        if event.kind == AUTH_KIND {
            let message = ReplyPrefix::Invalid.message("authentication is not published");
            return self.ok(id, false, message, wait);
        }
        let known = !forget && !self.shared.publish(&SimEvent::from(event));
        let message = if known {
            ReplyPrefix::Duplicate.message("have it already")
        } else {
            String::new()
        };
        self.ok(answered_id, true, message, wait);
    }

    /// Checks an authentication: kind, challenge, a relay tag and the signature. Neither the time
    /// nor which relay the tag names: tests reach the relay under names it cannot know.
    pub(super) fn authenticate(&mut self, event: &Event) {
        let fits = event.kind == AUTH_KIND
            && event.tag_value("challenge") == Some(self.challenge.as_str())
            && event
                .tag_value("relay")
                .is_some_and(|url| url.starts_with("ws"));
        let message = match event.verify() {
            Err(error) => ReplyPrefix::Invalid.message(error),
            Ok(()) if !fits => ReplyPrefix::Invalid.message("wrong kind, challenge or relay"),
            Ok(()) => {
                self.authenticated = Some(event.pubkey);
                self.shared.counters.record_authenticated(event.pubkey);
                String::new()
            }
        };
        self.ok(event.id, message.is_empty(), message, Duration::ZERO);
    }
}
