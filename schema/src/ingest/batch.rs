//! Submissions that are checked and written together.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bigbrotr_core::event::{Event, EventId};

use super::room::Place;
use super::{Answer, IngestReport, Ingested, Refusal, RefusedPosition, Submission};
use crate::config::Retention;
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
    /// It is of a kind or age that this implementation does not keep.
    Unkept,
}

/// Submissions that are checked and written together.
#[derive(Debug)]
pub(super) struct Batch {
    /// The events of all submissions, one after the other.
    pub(super) events: Arc<Vec<Event>>,
    /// What becomes of each event, by position.
    pub(super) standings: Vec<Standing>,
    /// The numbers of known events are good if there were no more deletions than these.
    pub(super) deletions: Option<i64>,
    /// For each event by position: the relay that sent it, and when (Unix seconds).
    senders: Vec<(Option<RelayId>, i64)>,
    /// Which positions belong to which submission.
    answers: Vec<(Range<usize>, Answer)>,
    /// The room that the events take up, given back with the batch.
    _places: Vec<Place>,
}

impl Batch {
    /// Puts submissions together; what becomes of their events is not known yet.
    pub(super) fn new(submissions: Vec<Submission>) -> Self {
        let mut events = Vec::new();
        let mut senders = Vec::new();
        let mut answers = Vec::with_capacity(submissions.len());
        let mut places = Vec::with_capacity(submissions.len());
        for submission in submissions {
            let start = events.len();
            events.extend(submission.events);
            senders.resize(events.len(), (submission.relay, submission.seen_at));
            answers.push((start..events.len(), submission.answer));
            places.push(submission.place);
        }
        let standings = vec![Standing::Known(None); events.len()];
        Self {
            events: Arc::new(events),
            standings,
            deletions: None,
            senders,
            answers,
            _places: places,
        }
    }

    /// Marks events that the implementation does not keep at this moment (Unix seconds).
    pub(super) fn leave_out(&mut self, policy: &Retention, now: i64) {
        for (event, standing) in self.events.iter().zip(&mut self.standings) {
            if !policy.keeps(event.kind, event.created_at, now) {
                *standing = Standing::Unkept;
            }
        }
    }

    /// Returns the positions of the events that go in.
    pub(super) fn fresh(&self) -> Vec<usize> {
        (0..self.events.len())
            .filter(|&n| self.standings[n] == Standing::New)
            .collect()
    }

    /// Returns who sent an event.
    pub(super) fn relay(&self, position: usize) -> Option<RelayId> {
        self.senders[position].0
    }

    /// Gives up the numbers of known events: since there were so many deletions they may be wrong.
    pub(super) fn forget_nums(&mut self, deletions: i64) {
        self.deletions = Some(deletions);
        for standing in &mut self.standings {
            if let Standing::Known(num) = standing {
                *num = None;
            }
        }
    }

    /// Refuses an event, all its copies included.
    pub(super) fn refuse(&mut self, id: &EventId) {
        for (event, standing) in self.events.iter().zip(&mut self.standings) {
            if event.id == *id {
                *standing = Standing::Refused(Refusal::Database);
            }
        }
    }

    /// Takes note of what is in the archive now: an event that should have gone in, and that
    /// somebody else was quicker to archive, was known.
    pub(super) fn settle(&mut self, archived: &HashMap<EventId, i64>) {
        for (event, standing) in self.events.iter().zip(&mut self.standings) {
            if *standing == Standing::New && !archived.contains_key(&event.id) {
                *standing = Standing::Known(None);
            }
        }
    }

    /// Says who had which of the events that are not refused. Of a file it is nobody, and the
    /// archive is only asked whether it has them.
    pub(super) fn sightings(&self) -> Vec<Sighting<'_>> {
        let mut sightings = Vec::with_capacity(self.events.len());
        for (n, event) in self.events.iter().enumerate() {
            let num = match self.standings[n] {
                Standing::New => None,
                Standing::Known(num) => num,
                Standing::Refused(_) | Standing::Unkept => continue,
            };
            let (relay, seen_at) = self.senders[n];
            sightings.push(Sighting {
                event,
                num,
                relay,
                seen_at,
            });
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
                    Standing::Unkept => {
                        report.ingested.unkept += 1;
                        report.unkept.push(position);
                    }
                    Standing::Refused(refusal) => {
                        report.ingested.refused += 1;
                        report.refused.push(RefusedPosition { position, refusal });
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
