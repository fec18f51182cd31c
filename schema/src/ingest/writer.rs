//! The one task that writes the archive.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::event::{Event, EventError, EventId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::verify::check;
use super::{Answer, IngestMetrics, Ingested, Submission};
use crate::error::StoreError;
use crate::limits::{INGEST_BATCH_BYTES, INGEST_BATCH_EVENTS, RECENT_IDS, RETRY_BASE, RETRY_MAX};
use crate::recent::RecentIds;
use crate::store::{ArchivedEvents, RelayId, Sighting, Store};

/// Merges submissions into batches and writes them.
pub(super) struct Writer {
    store: Store,
    metrics: Arc<IngestMetrics>,
    recent: RecentIds,
}

/// Submissions that are written together.
struct Batch {
    events: Arc<Vec<Event>>,
    /// For each event by position: the relay that sent it, and when (Unix seconds).
    senders: Vec<(Option<RelayId>, i64)>,
    /// Which positions belong to which submission.
    answers: Vec<(Range<usize>, Answer)>,
}

/// What becomes of one event of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    New,
    Known,
    Refused,
}

impl Writer {
    pub(super) fn new(store: Store, metrics: Arc<IngestMetrics>) -> Self {
        Self {
            store,
            metrics,
            recent: RecentIds::new(RECENT_IDS),
        }
    }

    /// Writes until `stop` is cancelled and what was taken by then is done. Submissions still
    /// waiting are dropped, which tells their senders that they are not durable.
    pub(super) async fn run(
        mut self,
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
            self.write(Batch::new(batch), &stop).await;
        }
    }

    async fn write(&mut self, batch: Batch, stop: &CancellationToken) {
        let timer = self.metrics.batch_seconds.start_timer();
        let outcome = self.archive(&batch, stop).await;
        timer.observe_duration();
        match outcome {
            Ok(standings) => {
                for (positions, answer) in batch.answers {
                    let count = |wanted| {
                        standings[positions.clone()]
                            .iter()
                            .filter(|&&s| s == wanted)
                            .count() as u64
                    };
                    let ingested = Ingested {
                        new: count(Standing::New),
                        known: count(Standing::Known),
                        refused: count(Standing::Refused),
                    };
                    self.metrics.known.inc_by(ingested.known);
                    // A submitter that went away does not want to know.
                    drop(answer.send(Ok(ingested)));
                }
            }
            // Dropping the answers tells the submitters that nothing of this is durable.
            Err(StoreError::Stopped) => {}
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot archive events"
                );
            }
        }
    }

    /// Decides what each event of the batch is and writes it, in one transaction.
    async fn archive(
        &mut self,
        batch: &Batch,
        stop: &CancellationToken,
    ) -> Result<Vec<Standing>, StoreError> {
        let events = &batch.events;
        let mut standings = vec![Standing::Known; events.len()];
        // Every id is checked, known or not: it is what ties a sighting to the content.
        let all = (0..events.len()).collect();
        self.refuse(&mut standings, check(events, all, Event::verify_id).await);
        let unknown = self.unknown(events, &standings, stop).await?;
        // Copies of one event with different signatures are checked each on its own merit.
        let mut distinct = HashSet::new();
        let candidates: Vec<usize> = (0..events.len())
            .filter(|&n| standings[n] != Standing::Refused && unknown.contains(&events[n].id))
            .filter(|&n| distinct.insert((events[n].id, events[n].sig)))
            .collect();
        let wrong = check(events, candidates.clone(), Event::verify_signature).await;
        let forged: HashSet<(EventId, [u8; 64])> = wrong
            .iter()
            .map(|(n, _)| (events[*n].id, events[*n].sig))
            .collect();
        self.refuse(&mut standings, wrong);
        for (n, event) in events.iter().enumerate() {
            if forged.contains(&(event.id, event.sig)) {
                standings[n] = Standing::Refused;
            }
        }
        let mut fresh: HashMap<EventId, usize> = HashMap::with_capacity(candidates.len());
        for n in candidates {
            if standings[n] != Standing::Refused {
                fresh.entry(events[n].id).or_insert(n);
            }
        }
        let fresh: Vec<usize> = fresh.into_values().collect();
        for &n in &fresh {
            standings[n] = Standing::New;
        }
        let written = self.insert(batch, &mut standings, fresh, stop).await?;
        self.metrics.new.inc_by(written.new_events);
        self.metrics.associations.inc_by(written.new_associations);
        for (event, standing) in events.iter().zip(&standings) {
            if *standing != Standing::Refused && !self.recent.contains(&event.id) {
                self.recent.insert(event.id);
            }
        }
        Ok(standings)
    }

    fn refuse(&self, standings: &mut [Standing], wrong: Vec<(usize, EventError)>) {
        for (n, error) in wrong {
            self.metrics
                .refused
                .with_label_values(&[error.reason()])
                .inc();
            standings[n] = Standing::Refused;
        }
    }

    /// Returns the ids that the archive does not have.
    async fn unknown(
        &self,
        events: &[Event],
        standings: &[Standing],
        stop: &CancellationToken,
    ) -> Result<HashSet<EventId>, StoreError> {
        let mut unknown: HashSet<EventId> = events
            .iter()
            .zip(standings)
            .filter(|(_, standing)| **standing != Standing::Refused)
            .map(|(event, _)| event.id)
            .filter(|id| !self.recent.contains(id))
            .collect();
        if unknown.is_empty() {
            return Ok(unknown);
        }
        let ids: Vec<EventId> = unknown.iter().copied().collect();
        let mut delay = RETRY_BASE;
        let archived = loop {
            match self.store.archived_ids(&ids).await {
                Ok(archived) => break archived,
                Err(error) => self.pause(error, &mut delay, stop).await?,
            }
        };
        unknown.retain(|id| !archived.contains(id));
        Ok(unknown)
    }

    /// Writes the fresh events and all sightings. When the database refuses a batch for good, it
    /// is halved until the event that it cannot take stands alone: that one is refused.
    async fn insert(
        &self,
        batch: &Batch,
        standings: &mut [Standing],
        fresh: Vec<usize>,
        stop: &CancellationToken,
    ) -> Result<ArchivedEvents, StoreError> {
        let mut total = ArchivedEvents::default();
        let mut pieces = vec![fresh];
        while let Some(piece) = pieces.pop() {
            let events: Vec<&Event> = piece.iter().map(|&n| &batch.events[n]).collect();
            // Sightings name archived events: they all go with the last piece.
            let sightings = if pieces.is_empty() {
                batch.sightings(standings)
            } else {
                Vec::new()
            };
            let mut delay = RETRY_BASE;
            let error = loop {
                match self.store.insert_events(&events, &sightings).await {
                    Ok(written) => {
                        total.new_events += written.new_events;
                        total.new_associations += written.new_associations;
                        break None;
                    }
                    Err(error) if error.is_retryable() => {
                        self.pause(error, &mut delay, stop).await?;
                    }
                    Err(error) => break Some(error),
                }
            };
            let Some(error) = error else { continue };
            if let [n] = piece[..] {
                tracing::error!(
                    event.id = %batch.events[n].id,
                    error = &error as &dyn std::error::Error,
                    "the database does not take an event",
                );
                self.metrics.refused.with_label_values(&["database"]).inc();
                standings[n] = Standing::Refused;
                // What waited for this piece still has to be written.
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

    /// Waits before the next try; gives up when the error will not pass or the node stops.
    async fn pause(
        &self,
        error: StoreError,
        delay: &mut Duration,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        if !error.is_retryable() {
            return Err(error);
        }
        self.metrics.retries.inc();
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            retry_ms = delay.as_millis() as u64,
            "cannot write to the archive: trying again",
        );
        tokio::select! {
            () = stop.cancelled() => return Err(StoreError::Stopped),
            () = tokio::time::sleep(*delay) => {}
        }
        *delay = (*delay * 2).min(RETRY_MAX);
        Ok(())
    }
}

impl Batch {
    fn new(submissions: Vec<Submission>) -> Self {
        let mut events = Vec::new();
        let mut senders = Vec::new();
        let mut answers = Vec::with_capacity(submissions.len());
        for submission in submissions {
            let start = events.len();
            events.extend(submission.events);
            senders.resize(events.len(), (submission.relay, submission.seen_at));
            answers.push((start..events.len(), submission.answer));
        }
        Self {
            events: Arc::new(events),
            senders,
            answers,
        }
    }

    /// Says who had which of the events that are not refused.
    fn sightings(&self, standings: &[Standing]) -> Vec<Sighting> {
        let mut sightings = Vec::with_capacity(self.events.len());
        for (n, event) in self.events.iter().enumerate() {
            if let ((Some(relay), seen_at), true) =
                (self.senders[n], standings[n] != Standing::Refused)
            {
                sightings.push(Sighting {
                    event: event.id,
                    relay,
                    seen_at,
                });
            }
        }
        sightings
    }
}

fn size(submission: &Submission) -> (usize, usize) {
    let bytes = submission.events.iter().map(Event::size_hint).sum();
    (submission.events.len(), bytes)
}
