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
        mut submissions: mpsc::Receiver<Submission>,
        stop: CancellationToken,
    ) {
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                first = submissions.recv() => first,
            };
            let Some(first) = first else { break };
            let mut batch = vec![first];
            let (mut events, mut bytes) = size(&batch[0]);
            while events < INGEST_BATCH_EVENTS && bytes < INGEST_BATCH_BYTES {
                let Ok(next) = submissions.try_recv() else {
                    break;
                };
                let (more_events, more_bytes) = size(&next);
                events += more_events;
                bytes += more_bytes;
                batch.push(next);
            }
            let mut batch = Batch::new(batch);
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

fn size(submission: &Submission) -> (usize, usize) {
    let bytes = submission.events.iter().map(Event::size_hint).sum();
    (submission.events.len(), bytes)
}
