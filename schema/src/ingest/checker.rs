//! The first half of the intake: which events are new, known or wrong.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bigbrotr_core::event::{Event, EventError, EventId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Standing};
use super::memory::Memory;
use super::retry::Retry;
use super::verify::check;
use super::{IngestMetrics, Refusal, Submission};
use crate::error::StoreError;
use crate::limits::{INGEST_BATCH_BYTES, INGEST_BATCH_EVENTS};
use crate::store::Store;

/// Merges submissions into batches and checks them, while the writer writes the batch before.
pub(super) struct Checker {
    pub(super) store: Store,
    pub(super) metrics: Arc<IngestMetrics>,
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
        let standings = &mut batch.standings;
        // Every id is checked, known or not: it is what ties a sighting to the content.
        let all = (0..events.len()).collect();
        self.refuse(standings, check(&events, all, Event::verify_id).await);
        let known = self.known(&events, standings, stop).await?;
        // Copies of one event with different signatures are checked each on its own merit.
        let mut distinct = HashSet::new();
        let candidates: Vec<usize> = (0..events.len())
            .filter(|&n| !standings[n].is_refused() && !known.contains_key(&events[n].id))
            .filter(|&n| distinct.insert((events[n].id, events[n].sig)))
            .collect();
        let wrong = check(&events, candidates.clone(), Event::verify_signature).await;
        let forged: HashSet<(EventId, [u8; 64])> = wrong
            .iter()
            .map(|(n, _)| (events[*n].id, events[*n].sig))
            .collect();
        self.refuse(standings, wrong);
        for (n, event) in events.iter().enumerate() {
            if forged.contains(&(event.id, event.sig)) {
                standings[n] = Standing::Refused(Refusal::WrongSignature);
            } else if let (Standing::Known(num), Some(found)) =
                (&mut standings[n], known.get(&event.id))
            {
                *num = *found;
            }
        }
        let mut fresh = HashSet::new();
        for n in candidates {
            if !standings[n].is_refused() && fresh.insert(events[n].id) {
                standings[n] = Standing::New;
            }
        }
        // Until it is written, the next batch has to know of it.
        self.memory.begin(fresh);
        Ok(())
    }

    fn refuse(&self, standings: &mut [Standing], wrong: Vec<(usize, EventError)>) {
        for (n, error) in wrong {
            let refusal = Refusal::from(&error);
            self.metrics
                .refused
                .with_label_values(&[refusal.label()])
                .inc();
            standings[n] = Standing::Refused(refusal);
        }
    }

    /// Returns the events that the archive has or is about to have, with their numbers as far as
    /// they are known.
    async fn known(
        &self,
        events: &[Event],
        standings: &[Standing],
        stop: &CancellationToken,
    ) -> Result<HashMap<EventId, Option<i64>>, StoreError> {
        let ids = events
            .iter()
            .zip(standings)
            .filter(|(_, standing)| !standing.is_refused())
            .map(|(event, _)| event.id);
        let (mut known, unknown) = self.memory.look_up(ids);
        if !unknown.is_empty() {
            let mut retry = Retry::new(&self.metrics, stop);
            let archived = loop {
                match retry.bounded(self.store.archived_nums(&unknown)).await {
                    Ok(archived) => break archived,
                    Err(error) => retry.pause(error).await?,
                }
            };
            known.extend(archived.into_iter().map(|(id, num)| (id, Some(num))));
        }
        Ok(known)
    }
}

fn size(submission: &Submission) -> (usize, usize) {
    let bytes = submission.events.iter().map(Event::size_hint).sum();
    (submission.events.len(), bytes)
}
