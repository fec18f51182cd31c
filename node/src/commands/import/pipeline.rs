//! One file from its first byte to its last durable event.
//!
//! One blocking thread reads and unpacks, chunks are parsed on all cores, several submissions are
//! in flight. Every queue between them is bounded, in bytes too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::{ImportProgress, ImportRecord, Store};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::chunks::{Chunk, Place, ReadEnd, cut};
use super::ledger::{Ledger, Reporter};
use super::source::Input;
use super::work::{Problem, Report, Worker};
use crate::limits::{
    IMPORT_IN_FLIGHT_BYTES, IMPORT_IN_FLIGHT_CHUNKS, IMPORT_SAVE_INTERVAL, IMPORT_STOP_GRACE,
    IMPORT_STORE_TIMEOUT, METER_TICK,
};
use crate::meter::Meter;
use crate::summary::count;

/// How the import of a file ended.
#[derive(Debug)]
pub(super) enum End {
    /// At the end of the file.
    Complete,
    /// The operator stopped it.
    Interrupted,
    /// At a line that is bad, as was asked for.
    Bad(Problem),
    /// The file cannot be read on.
    Unreadable {
        /// The end of the last line that could be read.
        at: Place,
        /// Bytes of the file that were read.
        file_bytes: u64,
        /// Why.
        error: std::io::Error,
    },
    /// The archive takes no more events.
    Refused(StoreError),
}

/// What came of a file.
#[derive(Debug)]
pub(super) struct Outcome {
    /// How far it is done, earlier imports included.
    pub(super) done: ImportProgress,
    /// How it ended.
    pub(super) end: End,
}

/// What the import of every file needs.
pub(super) struct Pipeline {
    pub(super) store: Store,
    pub(super) worker: Worker,
    /// The operator's.
    pub(super) stop: CancellationToken,
    /// The archive's intake: it writes what is in its hands and drops what waits.
    pub(super) ingest_stop: CancellationToken,
}

/// Chunks that are being worked on.
#[derive(Default)]
struct Flight {
    tasks: JoinSet<(u64, usize, Result<Report, StoreError>)>,
    bytes: usize,
    begun: u64,
}

impl Flight {
    fn has_room(&self) -> bool {
        self.tasks.len() < IMPORT_IN_FLIGHT_CHUNKS && self.bytes < IMPORT_IN_FLIGHT_BYTES
    }

    fn begin(&mut self, chunk: Chunk, worker: Worker) {
        let (number, bytes) = (self.begun, chunk.bytes());
        self.begun += 1;
        self.bytes += bytes;
        self.tasks
            .spawn(async move { (number, bytes, worker.work(chunk).await) });
    }

    /// Waits for any chunk; `None` when there is none.
    async fn next(&mut self) -> Option<(u64, Result<Report, StoreError>)> {
        match self.tasks.join_next().await? {
            Ok((number, bytes, outcome)) => {
                self.bytes -= bytes;
                Some((number, outcome))
            }
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => None,
            },
        }
    }
}

impl Pipeline {
    /// Imports a file behind what its record says is done; a stream, which has no record, from
    /// where it is.
    pub(super) async fn run(
        &self,
        input: Input,
        mut record: Option<ImportRecord>,
        reporter: &mut Reporter,
        meter: &mut Meter,
    ) -> anyhow::Result<Outcome> {
        let before = record.map(|record| record.progress).unwrap_or_default();
        let start = Place {
            offset: before.offset_bytes,
            lines: before.lines,
        };
        let read = Arc::new(AtomicU64::new(0));
        let (sender, mut chunks) = mpsc::channel(1);
        let counter = Arc::clone(&read);
        let live = matches!(input, Input::Stream(_));
        let reading =
            tokio::task::spawn_blocking(move || match input.text(start.offset, counter) {
                Ok((_, text)) => cut(text, live, start, &sender),
                Err(error) => ReadEnd {
                    at: start,
                    error: Some(error),
                },
            });

        let mut ledger = Ledger::new(self.worker.strict, before);
        let mut flight = Flight::default();
        let (mut reads_on, mut began, mut saved) = (true, None, Instant::now());
        let mut tick = tokio::time::interval(METER_TICK);
        let mut end = None;
        while end.is_none() && (reads_on || !flight.tasks.is_empty()) {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => end = Some(End::Interrupted),
                _ = tick.tick() => {
                    let now = read.load(Ordering::Relaxed);
                    meter.update(now, || note(&ledger.done, &before, began));
                    if saved.elapsed() >= IMPORT_SAVE_INTERVAL {
                        saved = Instant::now();
                        self.save(record.as_mut(), &ledger).await;
                    }
                }
                Some((number, outcome)) = flight.next() => match outcome {
                    Ok(report) => {
                        end = ledger.settle(number, report, reporter, meter).map(End::Bad);
                    }
                    Err(error) => end = Some(End::Refused(error)),
                },
                chunk = chunks.recv(), if reads_on && flight.has_room() => match chunk {
                    Some(chunk) => {
                        if began.is_none() {
                            // What had to be skipped is no measure of the speed.
                            meter.begin_at(read.load(Ordering::Relaxed));
                            began = Some(Instant::now());
                        }
                        flight.begin(chunk, self.worker.clone());
                    }
                    None => reads_on = false,
                },
            }
        }
        if matches!(end, Some(End::Interrupted | End::Refused(_))) {
            drop(chunks);
            self.ingest_stop.cancel();
            let landing = land(&mut flight, &mut ledger, reporter, meter);
            drop(tokio::time::timeout(IMPORT_STOP_GRACE, landing).await);
        }
        let end = match end {
            Some(end) => end,
            None => end_of_reading(reading.await?, read.load(Ordering::Relaxed)),
        };
        if let Some(record) = &mut record {
            record.progress = ledger.resumable;
            record.complete = matches!(end, End::Complete);
            match self.store(record).await {
                // What was stored before is true too; there is something else to say.
                Err(error) if matches!(end, End::Interrupted | End::Refused(_)) => {
                    tracing::warn!("{error:#}");
                }
                stored => stored?,
            }
        }
        Ok(Outcome {
            done: ledger.done,
            end,
        })
    }

    /// Stores how far the import is. That it fails once costs nothing but repeated work.
    async fn save(&self, record: Option<&mut ImportRecord>, ledger: &Ledger) {
        let Some(record) = record.filter(|record| record.progress != ledger.resumable) else {
            return;
        };
        record.progress = ledger.resumable;
        if let Err(error) = self.store(record).await {
            tracing::warn!("{error:#}");
        }
    }

    async fn store(&self, record: &ImportRecord) -> anyhow::Result<()> {
        tokio::time::timeout(IMPORT_STORE_TIMEOUT, self.store.update_import(record))
            .await
            .map_err(anyhow::Error::from)
            .and_then(|stored| Ok(stored?))
            .context("cannot store how far the import is")
    }
}

fn end_of_reading(reading: ReadEnd, file_bytes: u64) -> End {
    match reading.error {
        None => End::Complete,
        Some(error) => End::Unreadable {
            at: reading.at,
            file_bytes,
            error,
        },
    }
}

/// Waits for what is in flight: written, or dropped.
async fn land(flight: &mut Flight, ledger: &mut Ledger, reporter: &mut Reporter, meter: &Meter) {
    while let Some((number, outcome)) = flight.next().await {
        if let Ok(report) = outcome
            && ledger.settle(number, report, reporter, meter).is_some()
        {
            break;
        }
    }
}

fn note(done: &ImportProgress, before: &ImportProgress, began: Option<Instant>) -> String {
    let seconds = began.map_or(0.0, |began| began.elapsed().as_secs_f64());
    let events = total(done) - total(before);
    format!(
        "{} lines, {} events/s",
        count(done.lines),
        count(rate(events, seconds))
    )
}

/// Adds up the events of an import.
pub(super) fn total(progress: &ImportProgress) -> u64 {
    let ingested = &progress.ingested;
    ingested.new + ingested.known + ingested.refused + ingested.unkept
}

/// Divides events by seconds.
pub(super) fn rate(events: u64, seconds: f64) -> u64 {
    (events as f64 / seconds.max(0.001)) as u64
}
