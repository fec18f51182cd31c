//! From parsed events to durable rows: what every source of events goes through.
//!
//! Submissions wait in a bounded queue, are merged into batches, checked (id and signature, off
//! the async threads, only events that the archive does not know) and written in one transaction
//! each, one batch being checked while the one before is written. A submission is answered once
//! its rows are durable, so a cursor may advance then. While the database is away submissions
//! wait, and the full queue makes the sockets wait.

mod batch;
mod checker;
mod link;
mod memory;
mod pace;
mod report;
mod retry;
mod room;
mod verify;
mod writer;

use std::sync::Arc;

use bigbrotr_core::event::{Event, EventError};
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::batch::Standing;
use self::checker::Checker;
use self::memory::Memory;
pub use self::report::{IngestReport, Ingested, Refusal, RefusedPosition};
use self::room::{Place, Room};
use self::writer::Writer;
use crate::error::StoreError;
use crate::limits::{INGEST_PRIORITY_BYTES, INGEST_QUEUE, INGEST_WAITING_BYTES};
use crate::store::{RelayId, Store};

/// Events that one relay sent.
#[derive(Debug)]
struct Submission {
    events: Vec<Event>,
    relay: Option<RelayId>,
    seen_at: i64,
    answer: Answer,
    place: Place,
}

/// How a submitter hears of its events.
type Answer = oneshot::Sender<Result<IngestReport, StoreError>>;

/// The intake of the archive. Clones share its queues and one writer.
#[derive(Debug, Clone)]
pub struct Ingest {
    lanes: [Lane; 2],
    lane: usize,
    store: Store,
    metrics: Arc<IngestMetrics>,
}

/// A queue with room of its own.
#[derive(Debug, Clone)]
struct Lane {
    queue: mpsc::Sender<Submission>,
    room: Room,
}

impl Ingest {
    /// Starts its two tasks. They end, with everything in their hands written, when `stop` is
    /// cancelled.
    pub fn start(
        store: Store,
        metrics: Arc<IngestMetrics>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (queue, submissions) = mpsc::channel(INGEST_QUEUE);
        let (priority_queue, priority) = mpsc::channel(INGEST_QUEUE);
        // One batch is written while the next is checked; a third waits at most.
        let (to_writer, batches) = mpsc::channel(1);
        let memory = Memory::new();
        let room = |bytes| Room::new(bytes, metrics.waiting.clone());
        let lanes = [
            Lane {
                queue,
                room: room(INGEST_WAITING_BYTES),
            },
            Lane {
                queue: priority_queue,
                room: room(INGEST_PRIORITY_BYTES),
            },
        ];
        let checker = Checker {
            store: store.clone(),
            metrics: Arc::clone(&metrics),
            retention: store.config.retention.policy(),
            memory: memory.clone(),
            checked: to_writer,
        };
        let writer = Writer::new(store.clone(), Arc::clone(&metrics), memory);
        tasks.spawn(checker.run(priority, submissions, stop.clone()));
        tasks.spawn(writer.run(batches, stop));
        Self {
            lanes,
            lane: 0,
            store,
            metrics,
        }
    }

    /// Returns the same intake with a queue and room of its own, of which half of each batch is
    /// filled first: who submits here does not wait behind a flood of others.
    #[must_use]
    pub fn prioritised(&self) -> Self {
        Self {
            lane: 1,
            ..self.clone()
        }
    }

    /// Archives events that a relay sent (`None`: from a file, without a relay), and returns once
    /// they are durable. Waits for as long as the database is away.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] when the node shuts down before the events are durable; any other
    /// when the database refuses for good.
    pub async fn submit(
        &self,
        events: Vec<Event>,
        relay: Option<RelayId>,
    ) -> Result<Ingested, StoreError> {
        Ok(self.submit_reporting(events, relay).await?.ingested)
    }

    /// As [`submit`](Self::submit), and says which events were refused.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub async fn submit_reporting(
        &self,
        events: Vec<Event>,
        relay: Option<RelayId>,
    ) -> Result<IngestReport, StoreError> {
        if events.is_empty() {
            return Ok(IngestReport::default());
        }
        let lane = &self.lanes[self.lane];
        let place = lane.room.take(&events).await?;
        let (answer, answered) = oneshot::channel();
        let submission = Submission {
            events,
            relay,
            seen_at: self.store.now(),
            answer,
            place,
        };
        if lane.queue.send(submission).await.is_err() {
            return Err(StoreError::Stopped);
        }
        answered.await.unwrap_or(Err(StoreError::Stopped))
    }
}

/// What the ingest path counts.
#[derive(Debug)]
pub struct IngestMetrics {
    new: IntCounter,
    known: IntCounter,
    associations: IntCounter,
    refused: IntCounterVec,
    unkept: IntCounter,
    retries: IntCounter,
    waiting: IntGauge,
    batch_seconds: Histogram,
}

impl IngestMetrics {
    /// Notes and counts the events at these positions as refused.
    fn refuse(&self, standings: &mut [Standing], wrong: Vec<(usize, EventError)>) {
        for (n, error) in wrong {
            let refusal = Refusal::from(&error);
            self.refused.with_label_values(&[refusal.label()]).inc();
            standings[n] = Standing::Refused(refusal);
        }
    }

    /// Registers the metrics.
    pub fn register(registry: &prometheus::Registry) -> prometheus::Result<Arc<Self>> {
        use prometheus::{HistogramOpts, Opts};
        let metrics = Self {
            new: IntCounter::new("bigbrotr_ingest_new_events_total", "Events archived.")?,
            known: IntCounter::new(
                "bigbrotr_ingest_known_events_total",
                "Events received that the archive had.",
            )?,
            associations: IntCounter::new(
                "bigbrotr_ingest_new_associations_total",
                "Pairs of event and relay archived.",
            )?,
            refused: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_ingest_refused_events_total",
                    "Events refused, by reason: wrong_id, wrong_signature, database.",
                ),
                &["reason"],
            )?,
            unkept: IntCounter::new(
                "bigbrotr_ingest_unkept_events_total",
                "Events received of a kind or age that is not kept.",
            )?,
            retries: IntCounter::new(
                "bigbrotr_ingest_retries_total",
                "Ingest transactions that failed and were tried again.",
            )?,
            waiting: IntGauge::new(
                "bigbrotr_ingest_waiting_bytes",
                "Events submitted and not durable yet, about as long as their JSON.",
            )?,
            batch_seconds: Histogram::with_opts(HistogramOpts::new(
                "bigbrotr_ingest_batch_seconds",
                "Time from taking a batch to its commit.",
            ))?,
        };
        // All are there from the start: an alert sees the first one, too.
        for refusal in Refusal::ALL {
            metrics.refused.with_label_values(&[refusal.label()]);
        }
        registry.register(Box::new(metrics.new.clone()))?;
        registry.register(Box::new(metrics.known.clone()))?;
        registry.register(Box::new(metrics.associations.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.unkept.clone()))?;
        registry.register(Box::new(metrics.retries.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(metrics.batch_seconds.clone()))?;
        Ok(Arc::new(metrics))
    }
}
