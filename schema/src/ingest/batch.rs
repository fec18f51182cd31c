//! Submissions that are checked and written together.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bigbrotr_core::event::{Event, EventId};

use super::{Answer, Ingested, Submission};
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
    Refused,
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
    /// How often events had been removed from the archive when the numbers of known events were
    /// read.
    pub(super) removals: i64,
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
            removals: 0,
            senders,
            answers,
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

    /// Says who had which of the events that are not refused.
    pub(super) fn sightings(&self) -> Vec<Sighting<'_>> {
        let mut sightings = Vec::with_capacity(self.events.len());
        for (n, event) in self.events.iter().enumerate() {
            let num = match self.standings[n] {
                Standing::New => None,
                Standing::Known(num) => num,
                Standing::Refused | Standing::Unkept => continue,
            };
            if let (Some(relay), seen_at) = self.senders[n] {
                sightings.push(Sighting {
                    event,
                    num,
                    relay,
                    seen_at,
                });
            }
        }
        sightings
    }

    /// Notes that these events of the batch are known after all.
    pub(super) fn mark_known(&mut self, nums: &HashMap<EventId, i64>) {
        if nums.is_empty() {
            return;
        }
        for (event, standing) in self.events.iter().zip(&mut self.standings) {
            if let (Standing::New, Some(&num)) = (*standing, nums.get(&event.id)) {
                *standing = Standing::Known(Some(num));
            }
        }
    }

    /// Tells the submitters that their events are durable.
    pub(super) fn answer(self) -> Ingested {
        let mut total = Ingested::default();
        for (positions, answer) in self.answers {
            let mut ingested = Ingested::default();
            for standing in &self.standings[positions] {
                match standing {
                    Standing::New => ingested.new += 1,
                    Standing::Known(_) => ingested.known += 1,
                    Standing::Refused => ingested.refused += 1,
                    Standing::Unkept => ingested.unkept += 1,
                }
            }
            total.new += ingested.new;
            total.known += ingested.known;
            total.refused += ingested.refused;
            total.unkept += ingested.unkept;
            // A submitter that went away does not want to know.
            drop(answer.send(Ok(ingested)));
        }
        total
    }
}
