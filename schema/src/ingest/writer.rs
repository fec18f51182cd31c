//! The second half of the intake: the one task that writes the archive.

use std::collections::HashSet;
use std::sync::Arc;

use bigbrotr_core::event::{Event, EventId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Standing};
use super::memory::Memory;
use super::retry::Retry;
use super::{IngestMetrics, Refusal};
use crate::error::StoreError;
use crate::limits::CHECKED_AHEAD;
use crate::store::{ArchivedEvents, Store};

/// Writes checked batches, one transaction each, in their order.
pub(super) struct Writer {
    store: Store,
    metrics: Arc<IngestMetrics>,
    memory: Memory,
    lost: Lost,
}

/// Events of batches that could not be written. Batches that were checked before it was known
/// take them for archived: those fail too, or a cursor would pass what is not there.
#[derive(Default)]
struct Lost {
    ids: HashSet<EventId>,
    batches_left: u32,
}

impl Lost {
    /// Notes the events of a batch that failed.
    fn add(&mut self, ids: impl IntoIterator<Item = EventId>) {
        self.ids.extend(ids);
        self.batches_left = CHECKED_AHEAD;
    }

    /// Says whether the batch counts on an event that was lost.
    fn concerns(&mut self, batch: &Batch) -> bool {
        if self.batches_left == 0 {
            self.ids.clear();
            return false;
        }
        self.batches_left -= 1;
        let counted_on = |standing: &Standing| matches!(standing, Standing::Known(None));
        batch
            .events
            .iter()
            .zip(&batch.standings)
            .any(|(event, standing)| counted_on(standing) && self.ids.contains(&event.id))
    }
}

impl Writer {
    pub(super) fn new(store: Store, metrics: Arc<IngestMetrics>, memory: Memory) -> Self {
        Self {
            store,
            metrics,
            memory,
            lost: Lost::default(),
        }
    }

    /// Writes until the checker has ended and everything it gave is written, or, when the
    /// database is away, until `stop` is cancelled.
    pub(super) async fn run(mut self, mut checked: mpsc::Receiver<Batch>, stop: CancellationToken) {
        while let Some(mut batch) = checked.recv().await {
            let timer = self.metrics.batch_seconds.start_timer();
            let fresh = batch.fresh();
            let begun: Vec<EventId> = fresh.iter().map(|&n| batch.events[n].id).collect();
            if self.lost.concerns(&batch) {
                self.memory.end(begun.iter().copied(), std::iter::empty());
                self.lost.add(begun);
                continue;
            }
            let outcome = self.insert(&mut batch, fresh, &stop).await;
            timer.observe_duration();
            match outcome {
                Ok(written) => {
                    self.metrics.new.inc_by(written.new_events);
                    self.metrics.associations.inc_by(written.new_associations);
                    self.remember(&batch, begun, &written);
                    self.metrics.known.inc_by(batch.answer().known);
                }
                // Dropping the batch tells the submitters that nothing of it is durable.
                Err(error) => {
                    self.memory.end(begun.iter().copied(), std::iter::empty());
                    self.lost.add(begun);
                    if !matches!(error, StoreError::Stopped) {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "cannot archive events",
                        );
                    }
                }
            }
        }
    }

    fn remember(&self, batch: &Batch, begun: Vec<EventId>, written: &ArchivedEvents) {
        let archived =
            batch.events.iter().zip(&batch.standings).filter_map(
                |(event, standing)| match standing {
                    Standing::New => Some((event.id, written.nums.get(&event.id).copied())),
                    Standing::Known(num) => Some((event.id, *num)),
                    Standing::Refused(_) => None,
                },
            );
        self.memory.end(begun.into_iter(), archived);
    }

    /// Writes the fresh events and all sightings. When the database refuses a batch for good, it
    /// is halved until the event that it cannot take stands alone: that one is refused.
    async fn insert(
        &self,
        batch: &mut Batch,
        fresh: Vec<usize>,
        stop: &CancellationToken,
    ) -> Result<ArchivedEvents, StoreError> {
        let mut total = ArchivedEvents::default();
        let mut pieces = vec![fresh];
        while let Some(piece) = pieces.pop() {
            let events: Vec<&Event> = piece.iter().map(|&n| &batch.events[n]).collect();
            // Sightings name archived events: they all go with the last piece.
            let sightings = if pieces.is_empty() {
                batch.sightings()
            } else {
                Vec::new()
            };
            let mut retry = Retry::new(&self.metrics, stop);
            let error = loop {
                let failure = match retry
                    .bounded(self.store.insert_events(&events, &sightings))
                    .await
                {
                    Ok(written) => {
                        total.new_events += written.new_events;
                        total.new_associations += written.new_associations;
                        total.nums.extend(written.nums);
                        break None;
                    }
                    Err(failure) => failure,
                };
                match retry.pause(failure).await {
                    Ok(()) => {}
                    Err(StoreError::Stopped) => return Err(StoreError::Stopped),
                    Err(lasting) => break Some(lasting),
                }
            };
            let Some(error) = error else { continue };
            if let [n] = piece[..] {
                tracing::error!(
                    event.id = %batch.events[n].id,
                    error = &error as &dyn std::error::Error,
                    "the database does not take an event",
                );
                let refusal = Refusal::Database;
                self.metrics
                    .refused
                    .with_label_values(&[refusal.label()])
                    .inc();
                batch.standings[n] = Standing::Refused(refusal);
                // The sightings that waited for this piece still have to be written.
                if pieces.is_empty() {
                    pieces.push(Vec::new());
                }
            } else if piece.is_empty() {
                return Err(error);
            } else {
                let (left, right) = piece.split_at(piece.len() / 2);
                pieces.push(left.to_vec());
                pieces.push(right.to_vec());
            }
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use bigbrotr_testkit::population::{EventMaker, author_keys};
    use tokio::sync::oneshot;

    use super::super::Submission;
    use super::*;

    #[test]
    fn a_batch_that_counts_on_a_lost_event_fails_too() {
        let event = EventMaker::new(1).content("x").sign(&author_keys(1, 1));
        let id = bigbrotr_core::event::EventId(event.id.0);
        let batch = |standing| {
            let text = EventMaker::new(1)
                .content("x")
                .sign(&author_keys(1, 1))
                .to_json();
            let events = vec![Event::from_json(&text).unwrap()];
            let (answer, _) = oneshot::channel();
            let mut batch = Batch::new(vec![Submission {
                events,
                relay: None,
                seen_at: 0,
                answer,
            }]);
            batch.standings = vec![standing];
            batch
        };
        let mut lost = Lost::default();
        assert!(!lost.concerns(&batch(Standing::Known(None))));
        lost.add([id]);
        assert!(lost.concerns(&batch(Standing::Known(None))));
        assert!(
            !lost.concerns(&batch(Standing::New)),
            "checked after the loss"
        );
        for _ in 0..CHECKED_AHEAD {
            lost.concerns(&batch(Standing::Known(Some(1))));
        }
        assert!(
            !lost.concerns(&batch(Standing::Known(None))),
            "forgotten in the end"
        );
    }
}
