//! The health of the service, put together from that of its parts.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use bigbrotr_core::service::ServiceContext;

/// The parts that can fail apart from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Hearing of new requests at once.
    Feed,
    /// Taking requests in.
    Intake,
    /// Claiming jobs.
    Queue,
    /// Asking the catalogue and publishing answers.
    Answers,
    /// Taking answers to other relays.
    Deliveries,
}

/// Tells the supervisor how the service is: ready when intake and queue have worked and nothing
/// is broken.
#[derive(Debug)]
pub(super) struct Report {
    context: ServiceContext,
    parts: Mutex<[Option<Result<(), String>>; 5]>,
}

impl Report {
    pub(super) fn new(context: ServiceContext) -> Self {
        Self {
            context,
            parts: Mutex::default(),
        }
    }

    /// The part works.
    pub(super) fn works(&self, part: Part) {
        self.set(part, Ok(()));
    }

    /// The part is broken for this reason.
    pub(super) fn broken(&self, part: Part, reason: &impl fmt::Display) {
        self.set(part, Err(reason.to_string()));
    }

    fn set(&self, part: Part, state: Result<(), String>) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts[part as usize] = Some(state);
        if let Some(reason) = parts.iter().flatten().find_map(|part| part.as_ref().err()) {
            self.context.degraded(reason);
        } else if parts[Part::Intake as usize].is_some() && parts[Part::Queue as usize].is_some() {
            self.context.ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use bigbrotr_core::service::Health;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn ready_when_intake_and_queue_work_and_nothing_is_broken() {
        let (context, health) = ServiceContext::new(CancellationToken::new());
        let report = Report::new(context);
        report.works(Part::Queue);
        assert_eq!(*health.borrow(), Health::Starting);
        report.works(Part::Intake);
        assert_eq!(*health.borrow(), Health::Ready);
        report.broken(Part::Answers, &"database is away");
        report.works(Part::Queue);
        let degraded = Health::Degraded("database is away".into());
        assert_eq!(*health.borrow(), degraded);
        report.works(Part::Answers);
        assert_eq!(*health.borrow(), Health::Ready);
    }
}
