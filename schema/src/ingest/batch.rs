//! Submissions that are checked and written together.

use std::ops::Range;
use std::sync::Arc;

use bigbrotr_core::event::Event;

use super::{Answer, IngestReport, Ingested, Refusal, RefusedEvent, Submission};
use crate::recent::EventNum;
use crate::store::{RelayId, Sighting};

/// What becomes of one event of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It goes in.
    New,
    /// The archive has it, or will have it before this batch is written.
    Known(EventNum),
    /// It is wrong.
    Refused(Refusal),
}

impl Standing {
    pub(super) fn is_refused(self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// Submissions that are checked and written together.
#[derive(Debug)]
pub(super) struct Batch {
    /// The events of all submissions, one after the other.
    pub(super) events: Arc<Vec<Event>>,
    /// What becomes of each event, by position.
    pub(super) standings: Vec<Standing>,
    /// For each event by position: the relay that sent it, and when (Unix seconds).
    senders: Vec<(Option<RelayId>, i64)>,
    /// Which positions belong to which submission.
    answers: Vec<(Range<usize>, Answer)>,
}

impl Batch {
    /// Puts submissions together; what becomes of their events is not known yet.
    pub(super) fn new(submissions: Vec<Submission>) -> Self {
        let mut events = Vec::new();
        let mut senders = Vec::new();
        let mut answers = Vec::with_capacity(submissions.len());
        for submission in submissions {
            let start = events.len();
            events.extend(submission.events);
            senders.resize(events.len(), (submission.relay, submission.seen_at));
            answers.push((start..events.len(), submission.answer));
        }
        let standings = vec![Standing::Known(None); events.len()];
        Self {
            events: Arc::new(events),
            standings,
            senders,
            answers,
        }
    }

    /// Returns the positions of the events that go in.
    pub(super) fn fresh(&self) -> Vec<usize> {
        (0..self.events.len())
            .filter(|&n| self.standings[n] == Standing::New)
            .collect()
    }

    /// Says who had which of the events that are not refused.
    pub(super) fn sightings(&self) -> Vec<Sighting> {
        let mut sightings = Vec::with_capacity(self.events.len());
        for (n, event) in self.events.iter().enumerate() {
            let num = match self.standings[n] {
                Standing::New => None,
                Standing::Known(num) => num,
                Standing::Refused(_) => continue,
            };
            if let (Some(relay), seen_at) = self.senders[n] {
                sightings.push(Sighting {
                    event: event.id,
                    num,
                    relay,
                    seen_at,
                });
            }
        }
        sightings
    }

    /// Tells the submitters that their events are durable.
    pub(super) fn answer(self) -> Ingested {
        let mut total = Ingested::default();
        for (positions, answer) in self.answers {
            let mut report = IngestReport::default();
            for (position, standing) in self.standings[positions].iter().enumerate() {
                match *standing {
                    Standing::New => report.ingested.new += 1,
                    Standing::Known(_) => report.ingested.known += 1,
                    Standing::Refused(refusal) => {
                        report.ingested.refused += 1;
                        report.refused.push(RefusedEvent { position, refusal });
                    }
                }
            }
            total += report.ingested;
            // A submitter that went away does not want to know.
            drop(answer.send(Ok(report)));
        }
        total
    }
}
