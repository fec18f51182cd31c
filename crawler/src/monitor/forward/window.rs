//! One window of events: sent one after the other, then their answers.

use std::collections::HashMap;

use bigbrotr_core::event::EventId;
use bigbrotr_core::message::{ClientMessage, RelayMessage, ReplyPrefix};
use bigbrotr_schema::store::QueuedReport;
use tokio::time::Instant;

use super::super::limits::FORWARD_TIMEOUT;
use crate::session::{Session, SessionError};

/// What became of a window.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Events that the relay has now.
    pub(super) taken: Vec<QueuedReport>,
    /// Events that it does not want: they are not offered again.
    pub(super) refused: Vec<QueuedReport>,
    /// Why the rest has to wait, and the relay to be left alone for a while.
    pub(super) broken: Option<String>,
}

/// What a relay says to one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Taken,
    Refused,
    /// Not now.
    Later,
    /// Not from somebody unknown.
    Auth,
}

/// Sends events and waits for what becomes of each. Authenticates and offers again what the relay
/// wants to see signed, once.
///
/// # Security
/// Answers count for events of this window only; anything else that a peer sends is dropped, and
/// the session bounds how much that may be.
pub(super) async fn send_window(session: &mut Session, events: Vec<QueuedReport>) -> Window {
    let mut window = Window::default();
    if events.is_empty() {
        return window;
    }
    let mut answers = match offer(session, &events).await {
        Ok(answers) => answers,
        Err(error) => return broken(window, error.reason()),
    };
    let shy: Vec<QueuedReport> = events
        .iter()
        .filter(|queued| answers.get(&queued.event.id) == Some(&Answer::Auth))
        .cloned()
        .collect();
    if !shy.is_empty() {
        let deadline = Instant::now() + FORWARD_TIMEOUT;
        match session.authenticate(deadline).await {
            Ok(()) => match offer(session, &shy).await {
                Ok(again) => answers.extend(again),
                Err(error) => window = broken(window, error.reason()),
            },
            Err(error) => window = broken(window, error.reason()),
        }
    }
    for queued in events {
        match answers.get(&queued.event.id) {
            Some(Answer::Taken) => window.taken.push(queued),
            Some(Answer::Refused) => window.refused.push(queued),
            Some(Answer::Later) => window = broken(window, "not_now"),
            // Not content with the authentication.
            Some(Answer::Auth) => window = broken(window, ReplyPrefix::AuthRequired.as_str()),
            None => window = broken(window, "silent"),
        }
    }
    window
}

/// The first reason counts.
fn broken(mut window: Window, reason: &str) -> Window {
    window.broken.get_or_insert_with(|| reason.to_owned());
    window
}

/// Sends events and collects the answers that come in time. A relay that hangs up after some
/// answers has given these.
async fn offer(
    session: &mut Session,
    events: &[QueuedReport],
) -> Result<HashMap<EventId, Answer>, SessionError> {
    let mut answers: HashMap<EventId, Answer> = HashMap::new();
    for queued in events {
        let message = ClientMessage::Event(Box::new(queued.event.clone()));
        session.send(&message).await?;
    }
    let deadline = Instant::now() + FORWARD_TIMEOUT;
    while answers.len() < events.len() && Instant::now() < deadline {
        let frame = match session.next(deadline).await {
            Ok(Some(frame)) => frame,
            Err(error) if answers.is_empty() => return Err(error),
            Ok(None) | Err(_) => break,
        };
        if let Ok(RelayMessage::Ok {
            event_id,
            accepted,
            message,
        }) = frame.message()
            && events.iter().any(|queued| queued.event.id == event_id)
        {
            answers.insert(event_id, judge(accepted, ReplyPrefix::of(&message)));
        }
    }
    Ok(answers)
}

fn judge(accepted: bool, prefix: Option<ReplyPrefix>) -> Answer {
    match prefix {
        _ if accepted => Answer::Taken,
        Some(ReplyPrefix::Duplicate | ReplyPrefix::Mute) => Answer::Taken,
        Some(ReplyPrefix::RateLimited | ReplyPrefix::Error) => Answer::Later,
        Some(ReplyPrefix::AuthRequired) => Answer::Auth,
        _ => Answer::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_their_prefix() {
        for (accepted, prefix, answer) in [
            (true, None, Answer::Taken),
            (true, Some(ReplyPrefix::Blocked), Answer::Taken),
            (false, Some(ReplyPrefix::Duplicate), Answer::Taken),
            (false, Some(ReplyPrefix::RateLimited), Answer::Later),
            (false, Some(ReplyPrefix::Error), Answer::Later),
            (false, Some(ReplyPrefix::AuthRequired), Answer::Auth),
            (false, Some(ReplyPrefix::Restricted), Answer::Refused),
            (false, None, Answer::Refused),
        ] {
            assert_eq!(judge(accepted, prefix), answer, "{accepted} {prefix:?}");
        }
    }
}
