//! The second half of the intake: the one task that writes the archive.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bigbrotr_core::event::{Event, EventId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Standing};
use super::memory::Memory;
use super::retry::Retry;
use super::verify::check;
use super::{IngestMetrics, pace};
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
                self.memory.end(&begun);
                self.lost.add(begun);
                continue;
            }
            let outcome = self.insert(&mut batch, fresh, &stop).await;
            timer.observe_duration();
            self.memory.end(&begun);
            match outcome {
                Ok(written) => {
                    self.metrics.new.inc_by(written.new_events);
                    self.metrics.associations.inc_by(written.new_associations);
                    self.remember(&batch, written);
                    let ingested = batch.answer();
                    self.metrics.known.inc_by(ingested.known);
                    self.metrics.unkept.inc_by(ingested.unkept);
                    self.keep_pace(&stop).await;
                }
                // Dropping the batch tells the submitters that nothing of it is durable.
                Err(error) => {
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

    async fn keep_pace(&self, stop: &CancellationToken) {
        let pace = async {
            pace::keep_pace(&self.store, stop).await;
            Ok(())
        };
        // The node stops: that the statistics were late is of no concern any more.
        drop(Retry::new(&self.metrics, stop).bounded(pace).await);
    }

    fn remember(&self, batch: &Batch, written: ArchivedEvents) {
        let met =
            batch.events.iter().zip(&batch.standings).filter_map(
                |(event, standing)| match standing {
                    // Older than a removal: the number may stand for nothing any more.
                    Standing::Known(_) if batch.removals != written.removals => None,
                    Standing::Known(Some(num)) => Some((event.id, *num)),
                    _ => None,
                },
            );
        let archived = written.nums.into_iter().chain(written.known);
        self.memory.remember(written.removals, met.chain(archived));
    }

    /// Writes the fresh events and all sightings. Known events that have been removed from the
    /// archive meanwhile are fresh again.
    async fn insert(
        &self,
        batch: &mut Batch,
        fresh: Vec<usize>,
        stop: &CancellationToken,
    ) -> Result<ArchivedEvents, StoreError> {
        let mut total = self.insert_pieces(batch, fresh, stop).await?;
        while !total.missing.is_empty() {
            let missing: HashSet<EventId> = total.missing.drain(..).collect();
            let fresh = self.revive(batch, &missing).await;
            if fresh.is_empty() {
                break;
            }
            let more = self.insert_pieces(batch, fresh, stop).await?;
            add(&mut total, more);
        }
        Ok(total)
    }

    /// Turns known events that the archive no longer has into new ones, their signatures checked;
    /// returns their positions.
    async fn revive(&self, batch: &mut Batch, missing: &HashSet<EventId>) -> Vec<usize> {
        let gone: Vec<usize> = (0..batch.events.len())
            .filter(|&n| matches!(batch.standings[n], Standing::Known(_)))
            .filter(|&n| missing.contains(&batch.events[n].id))
            .collect();
        let wrong = check(&batch.events, gone.clone(), Event::verify_signature).await;
        self.metrics.refuse(&mut batch.standings, wrong);
        let mut fresh = HashMap::new();
        for n in gone {
            if batch.standings[n] != Standing::Refused {
                batch.standings[n] = Standing::Known(None);
                fresh.entry(batch.events[n].id).or_insert(n);
            }
        }
        for &n in fresh.values() {
            batch.standings[n] = Standing::New;
        }
        fresh.into_values().collect()
    }

    /// Writes the fresh events and all sightings. When the database refuses a batch for good, it
    /// is halved until the event that it cannot take stands alone: that one is refused.
    async fn insert_pieces(
        &self,
        batch: &mut Batch,
        fresh: Vec<usize>,
        stop: &CancellationToken,
    ) -> Result<ArchivedEvents, StoreError> {
        let mut total = ArchivedEvents::default();
        let mut pieces = vec![fresh];
        while let Some(piece) = pieces.pop() {
            // Sightings name archived events: they all go with the last piece.
            let error = match self
                .insert_piece(batch, &piece, pieces.is_empty(), stop)
                .await
            {
                Ok(written) => {
                    batch.mark_known(&written.known);
                    add(&mut total, written);
                    continue;
                }
                Err(StoreError::Stopped) => return Err(StoreError::Stopped),
                Err(error) => error,
            };
            if let [n] = piece[..] {
                tracing::error!(
                    event.id = %batch.events[n].id,
                    error = &error as &dyn std::error::Error,
                    "the database does not take an event",
                );
                self.metrics.refused.with_label_values(&["database"]).inc();
                batch.standings[n] = Standing::Refused;
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

    /// Writes some of the fresh events in one transaction, trying again for as long as that may
    /// help.
    async fn insert_piece(
        &self,
        batch: &Batch,
        piece: &[usize],
        with_sightings: bool,
        stop: &CancellationToken,
    ) -> Result<ArchivedEvents, StoreError> {
        let events: Vec<&Event> = piece.iter().map(|&n| &batch.events[n]).collect();
        let sightings = if with_sightings {
            batch.sightings()
        } else {
            Vec::new()
        };
        let mut retry = Retry::new(&self.metrics, stop);
        loop {
            let insert = self
                .store
                .insert_events(&events, &sightings, batch.removals);
            match retry.bounded(insert).await {
                Ok(written) => return Ok(written),
                Err(failure) => retry.pause(failure).await?,
            }
        }
    }
}

/// Adds what one more transaction did.
fn add(total: &mut ArchivedEvents, more: ArchivedEvents) {
    total.new_events += more.new_events;
    total.new_associations += more.new_associations;
    total.nums.extend(more.nums);
    total.known.extend(more.known);
    total.missing.extend(more.missing);
    total.removals = more.removals;
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
