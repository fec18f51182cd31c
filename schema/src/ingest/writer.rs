//! The second half of the intake: the one task that writes the archive.

use std::collections::HashSet;
use std::sync::Arc;

use bigbrotr_core::event::{Event, EventId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Standing};
use super::memory::Memory;
use super::retry::Retry;
use super::verify::check;
use super::{IngestMetrics, Refusal, pace};
use crate::error::StoreError;
use crate::limits::CHECKED_AHEAD;
use crate::store::{ArchivedEvents, Sighting, Store, Unconfirmed};

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
            let outcome = self.archive(&mut batch, fresh, &stop).await;
            timer.observe_duration();
            match outcome {
                Ok(written) => {
                    self.metrics.new.inc_by(written.new_events);
                    self.metrics.associations.inc_by(written.new_associations);
                    self.remember(&batch, begun, &written);
                    let ingested = batch.answer();
                    self.metrics.known.inc_by(ingested.known);
                    self.metrics.unkept.inc_by(ingested.unkept);
                    self.keep_pace(&stop).await;
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

    async fn keep_pace(&self, stop: &CancellationToken) {
        let pace = async {
            pace::keep_pace(&self.store, stop).await;
            Ok(())
        };
        // The node stops: that the statistics were late is of no concern any more.
        drop(Retry::new(&self.metrics, stop).bounded(pace).await);
    }

    fn remember(&self, batch: &Batch, begun: Vec<EventId>, written: &ArchivedEvents) {
        let archived =
            batch.events.iter().zip(&batch.standings).filter_map(
                |(event, standing)| match standing {
                    Standing::New => Some((event.id, written.nums.get(&event.id).copied())),
                    Standing::Known(Some(num)) => Some((event.id, Some(*num))),
                    // Asking for its number is left to the next batch that has it.
                    Standing::Known(None) | Standing::Refused(_) | Standing::Unkept => None,
                },
            );
        self.memory.end(begun.into_iter(), archived);
    }

    /// Writes the fresh events and all sightings, and afterwards says of each event truly whether
    /// it was new.
    async fn archive(
        &self,
        batch: &mut Batch,
        fresh: Vec<usize>,
        stop: &CancellationToken,
    ) -> Result<ArchivedEvents, StoreError> {
        let mut written = self.insert(batch, fresh, stop).await?;
        // The memory is only a cache: what somebody has deleted meanwhile is archived again.
        self.heed_deletions(batch, &written);
        while !written.missing.is_empty() {
            let missing = std::mem::take(&mut written.missing);
            let again = self.reconsider(batch, &missing).await;
            written.add(self.insert(batch, again, stop).await?);
            self.heed_deletions(batch, &written);
        }
        batch.settle(&written.nums);
        Ok(written)
    }

    /// Forgets what is remembered when events were deleted from the archive since.
    fn heed_deletions(&self, batch: &mut Batch, written: &ArchivedEvents) {
        if batch.deletions != Some(written.deletions) {
            self.memory.clear(written.deletions);
            batch.forget_nums(written.deletions);
        }
    }

    /// Checks the signatures of events that were taken for archived; returns the positions of
    /// those that have to go in.
    async fn reconsider(&self, batch: &mut Batch, missing: &HashSet<EventId>) -> Vec<usize> {
        let copies = (0..batch.events.len())
            .filter(|&n| {
                missing.contains(&batch.events[n].id)
                    && matches!(batch.standings[n], Standing::Known(_) | Standing::New)
            })
            .collect::<Vec<_>>();
        let wrong = check(&batch.events, copies.clone(), Event::verify_signature).await;
        self.metrics.refuse(&mut batch.standings, wrong);
        let mut chosen = HashSet::new();
        for n in copies {
            if !matches!(batch.standings[n], Standing::Refused(_)) {
                batch.standings[n] = if chosen.insert(batch.events[n].id) {
                    Standing::New
                } else {
                    Standing::Known(None)
                };
            }
        }
        let is_again = |n: &usize| {
            batch.standings[*n] == Standing::New && chosen.contains(&batch.events[*n].id)
        };
        (0..batch.events.len()).filter(is_again).collect()
    }

    /// Writes events and all sightings. When the database refuses the batch, it is halved until
    /// the event that it does not take stands alone: that one is refused, the others go in.
    async fn insert(
        &self,
        batch: &mut Batch,
        fresh: Vec<usize>,
        stop: &CancellationToken,
    ) -> Result<ArchivedEvents, StoreError> {
        match self.write(batch, &fresh, &batch.sightings(), stop).await {
            Err(error) if error.is_refusal() && !fresh.is_empty() => {}
            outcome => return outcome,
        }
        let mut total = ArchivedEvents::default();
        let mut pieces = halves(&fresh);
        while let Some(piece) = pieces.pop() {
            match (self.write(batch, &piece, &[], stop).await, &piece[..]) {
                (Ok(written), _) => total.add(written),
                (Err(error), _) if !error.is_refusal() => return Err(error),
                (Err(error), [n]) => self.refuse(batch, *n, &error, stop).await?,
                (Err(_), _) => pieces.extend(halves(&piece)),
            }
        }
        // Sightings name archived events: they go last.
        total.add(self.write(batch, &[], &batch.sightings(), stop).await?);
        Ok(total)
    }

    /// Writes events and sightings in one transaction, trying again for as long as that may help.
    async fn write(
        &self,
        batch: &Batch,
        positions: &[usize],
        sightings: &[Sighting<'_>],
        stop: &CancellationToken,
    ) -> Result<ArchivedEvents, StoreError> {
        let events: Vec<&Event> = positions.iter().map(|&n| &batch.events[n]).collect();
        let mut unconfirmed = Unconfirmed::default();
        let mut retry = Retry::new(&self.metrics, stop);
        loop {
            let attempt = self.store.retry_insert_events(
                &events,
                sightings,
                batch.deletions,
                &mut unconfirmed,
            );
            match retry.bounded(attempt).await {
                Ok(written) => return Ok(written),
                Err(error) => retry.pause(error).await?,
            }
        }
    }

    /// Leaves out an event that the database does not take, and records it.
    async fn refuse(
        &self,
        batch: &mut Batch,
        position: usize,
        reason: &StoreError,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let event = &batch.events[position];
        tracing::error!(
            event.id = %event.id,
            error = reason as &dyn std::error::Error,
            "the database does not take an event",
        );
        self.metrics
            .refused
            .with_label_values(&[Refusal::Database.label()])
            .inc();
        let mut retry = Retry::new(&self.metrics, stop);
        loop {
            let record = self
                .store
                .record_refused_event(event, batch.relay(position), reason);
            let Err(error) = retry.bounded(record).await else {
                break;
            };
            match retry.pause(error).await {
                Ok(()) => {}
                Err(StoreError::Stopped) => return Err(StoreError::Stopped),
                // It is in the log at least, and must not hold up the others.
                Err(error) => {
                    tracing::error!(
                        event.id = %event.id,
                        error = &error as &dyn std::error::Error,
                        "cannot record an event that the database does not take",
                    );
                    break;
                }
            }
        }
        let id = event.id;
        batch.refuse(&id);
        Ok(())
    }
}

/// Divides positions in two; a single one stays as it is.
fn halves(positions: &[usize]) -> Vec<Vec<usize>> {
    let (left, right) = positions.split_at(positions.len() / 2);
    [left, right]
        .into_iter()
        .filter(|half| !half.is_empty())
        .map(<[usize]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests {
    use bigbrotr_testkit::population::{EventMaker, author_keys};
    use tokio::sync::oneshot;

    use super::super::Submission;
    use super::super::room::Place;
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
                place: Place::default(),
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
