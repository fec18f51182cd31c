//! The first half of the intake: which events are new, known or wrong.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bigbrotr_core::event::{Event, EventId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Standing};
use super::memory::Memory;
use super::retry::Retry;
use super::verify::check;
use super::{IngestMetrics, Refusal, Submission};
use crate::config::Retention;
use crate::error::StoreError;
use crate::limits::{INGEST_BATCH_BYTES, INGEST_BATCH_EVENTS};
use crate::recent::EventNum;
use crate::store::Store;

/// Merges submissions into batches and checks them, while the writer writes the batch before.
pub(super) struct Checker {
    pub(super) store: Store,
    pub(super) metrics: Arc<IngestMetrics>,
    pub(super) retention: Retention,
    pub(super) memory: Memory,
    pub(super) checked: mpsc::Sender<Batch>,
}

impl Checker {
    /// Works until `stop` is cancelled. Submissions still waiting then are dropped, which tells
    /// their senders that they are not durable.
    pub(super) async fn run(
        self,
        mut priority: mpsc::Receiver<Submission>,
        mut submissions: mpsc::Receiver<Submission>,
        stop: CancellationToken,
    ) {
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                first = priority.recv() => first,
                first = submissions.recv() => first,
            };
            let Some(first) = first else { break };
            let mut gathering = Gathering::of(first);
            // Half a batch is theirs, the other half everybody's: neither waits for the other.
            gathering.fill(&mut priority, 2);
            gathering.fill(&mut submissions, 1);
            gathering.fill(&mut priority, 1);
            let mut batch = Batch::new(gathering.submissions);
            match self.check(&mut batch, &stop).await {
                Ok(()) => {
                    if self.checked.send(batch).await.is_err() {
                        break;
                    }
                }
                Err(StoreError::Stopped) => break,
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot check events against the archive",
                ),
            }
        }
    }

    /// Decides what becomes of each event of the batch.
    async fn check(&self, batch: &mut Batch, stop: &CancellationToken) -> Result<(), StoreError> {
        let events = Arc::clone(&batch.events);
        batch.leave_out(&self.retention, self.store.now());
        let standings = &mut batch.standings;
        let open = |standing: &Standing| matches!(standing, Standing::Known(_));
        // Every id is checked, known or not: it is what ties a sighting to the content.
        let all = (0..events.len()).filter(|&n| open(&standings[n])).collect();
        let wrong = check(&events, all, Event::verify_id).await;
        self.metrics.refuse(standings, wrong);
        let (known, deletions) = self.known(&events, standings, stop).await?;
        batch.deletions = deletions;
        // Copies of one event with different signatures are checked each on its own merit.
        let mut distinct = HashSet::new();
        let candidates: Vec<usize> = (0..events.len())
            .filter(|&n| open(&standings[n]) && !known.contains_key(&events[n].id))
            .filter(|&n| distinct.insert((events[n].id, events[n].sig)))
            .collect();
        let wrong = check(&events, candidates.clone(), Event::verify_signature).await;
        let forged: HashSet<(EventId, [u8; 64])> = wrong
            .iter()
            .map(|(n, _)| (events[*n].id, events[*n].sig))
            .collect();
        self.metrics.refuse(standings, wrong);
        for (n, event) in events.iter().enumerate() {
            if open(&standings[n]) && forged.contains(&(event.id, event.sig)) {
                standings[n] = Standing::Refused(Refusal::WrongSignature);
            } else if let (Standing::Known(num), Some(found)) =
                (&mut standings[n], known.get(&event.id))
            {
                *num = *found;
            }
        }
        let mut fresh = HashSet::new();
        for n in candidates {
            if open(&standings[n]) && fresh.insert(events[n].id) {
                standings[n] = Standing::New;
            }
        }
        // Until it is written, the next batch has to know of it.
        self.memory.begin(fresh);
        Ok(())
    }

    /// Returns the events that the archive has or is about to have, with their numbers as far as
    /// they are known, and how many deletions the numbers know of.
    async fn known(
        &self,
        events: &[Event],
        standings: &[Standing],
        stop: &CancellationToken,
    ) -> Result<(HashMap<EventId, EventNum>, Option<i64>), StoreError> {
        let ids = events
            .iter()
            .zip(standings)
            .filter(|(_, standing)| matches!(standing, Standing::Known(_)))
            .map(|(event, _)| event.id);
        let mut known = self.memory.look_up(ids);
        if !known.unknown.is_empty() {
            let mut retry = Retry::new(&self.metrics, stop);
            let archived = loop {
                match retry
                    .bounded(self.store.archived_nums(&known.unknown))
                    .await
                {
                    Ok(archived) => break archived,
                    Err(error) => retry.pause(error).await?,
                }
            };
            known
                .nums
                .extend(archived.into_iter().map(|(id, num)| (id, Some(num))));
        }
        Ok((known.nums, known.deletions))
    }
}

/// A batch in the making.
struct Gathering {
    submissions: Vec<Submission>,
    events: usize,
    bytes: usize,
}

impl Gathering {
    fn of(first: Submission) -> Self {
        let mut gathering = Self {
            submissions: Vec::new(),
            events: 0,
            bytes: 0,
        };
        gathering.add(first);
        gathering
    }

    fn add(&mut self, submission: Submission) {
        self.events += submission.events.len();
        self.bytes += submission
            .events
            .iter()
            .map(Event::size_hint)
            .sum::<usize>();
        self.submissions.push(submission);
    }

    /// Takes what waits, until a share of a batch is full: one part of so many.
    fn fill(&mut self, queue: &mut mpsc::Receiver<Submission>, parts: usize) {
        while self.events < INGEST_BATCH_EVENTS / parts
            && self.bytes < INGEST_BATCH_BYTES / parts
            && let Ok(next) = queue.try_recv()
        {
            self.add(next);
        }
    }
}
